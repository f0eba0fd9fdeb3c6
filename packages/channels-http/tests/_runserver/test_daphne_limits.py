import argparse
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError

from channels_http._runserver.daphne_limits import add_limits, limits


def parse(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_limits(parser)
    return vars(parser.parse_args(arguments))


def test_what_is_not_set_is_left_to_the_server() -> None:
    assert limits(SimpleNamespace(), parse()) == {}
    assert limits(SimpleNamespace(), {}) == {}


def test_each_can_be_set() -> None:
    arguments = [
        "--websocket-timeout=-1",
        "--websocket-connect-timeout=2",
        "--ping-interval=3",
        "--ping-timeout=4",
        "--application-close-timeout=5",
        "--request-buffer-size=6",
    ]
    expected = {
        "websocket_timeout": -1,
        "websocket_connect_timeout": 2,
        "ping_interval": 3,
        "ping_timeout": 4,
        "application_close_timeout": 5,
        "request_buffer_size": 6,
    }
    assert limits(SimpleNamespace(), parse(*arguments)) == expected
    underscores = [f"--{name}={value}" for name, value in expected.items()]
    assert limits(SimpleNamespace(), parse(*underscores)) == expected


def test_zero_is_a_value() -> None:
    assert limits(SimpleNamespace(), parse("--ping-timeout", "0")) == {"ping_timeout": 0}


@pytest.mark.parametrize("argument", ["--websocket-timeout=never", "--websocket_timeout=-1"])
def test_a_websocket_may_last_for_ever(argument: str) -> None:
    assert limits(SimpleNamespace(), parse(argument)) == {"websocket_timeout": -1}


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("websocket_timeout", "1 or more, or 'never'"),
        ("websocket_connect_timeout", "1 or more"),
        ("ping_interval", "1 or more"),
        ("ping_timeout", "0 or more"),
        ("application_close_timeout", "0 or more"),
        ("request_buffer_size", "1 or more"),
    ],
)
def test_values_that_make_no_sense_are_refused(name: str, least: str) -> None:
    value = int(least[0]) - 1
    if name == "websocket_timeout":
        with pytest.raises(CommandError):
            limits(SimpleNamespace(), {name: -2})
    with pytest.raises(CommandError, match=f"{name} has to be {least}; got {value}"):
        limits(SimpleNamespace(), {name: value})
    assert limits(SimpleNamespace(), {name: value + 1}) == {name: value + 1}


def test_those_that_daphnes_command_keeps_are_looked_at_too() -> None:
    with pytest.raises(CommandError, match="http_timeout has to be 0 or more; got -1"):
        limits(SimpleNamespace(http_timeout=-1), {})


def test_what_daphnes_command_keeps_is_passed_on_as_it_is() -> None:
    command = SimpleNamespace(http_timeout=None, websocket_max_message_size=0, other=1)
    expected = {"http_timeout": None, "websocket_max_message_size": 0, "ping_timeout": 4}
    assert limits(command, parse("--ping-timeout=4")) == expected


def test_they_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--ping-timeout", "soon")
    assert "invalid int value: 'soon'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse("--websocket-timeout", "soon")
    assert "expected a number of seconds, or 'never'; got 'soon'" in capsys.readouterr().err


@pytest.mark.daphne
def test_daphnes_server_takes_them() -> None:
    from daphne.server import Server

    parameters = inspect.signature(Server).parameters
    assert limits(SimpleNamespace(), parse("--ping-timeout=4")).keys() <= parameters.keys()
