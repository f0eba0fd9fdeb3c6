from io import StringIO
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from django.core.management.commands import runserver as djangos
from django.core.servers.basehttp import WSGIServer
from django.test import override_settings

from channels_http._runserver.wsgi import WsgiOnlyCommand

LINE = "ASGI_APPLICATION is not set, so this is Django's WSGI server"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the WSGI applications that Django's server is started with."""

    def run(address: str, port: int, handler: Any, **kwargs: Any) -> None:
        assert (address, port, kwargs["server_cls"]) == ("127.0.0.1", 8123, WSGIServer)
        started.append(handler)

    started: list[Any] = []
    monkeypatch.setattr(djangos, "run", run)
    return started


def start(*arguments: str) -> str:
    out = StringIO()
    call_command(WsgiOnlyCommand(stdout=out), "--noreload", "8123", *arguments)
    return out.getvalue()


def test_without_an_asgi_application_it_is_djangos_server_and_says_why(served: list[Any]) -> None:
    with override_settings(ASGI_APPLICATION=None):
        out = start()
    assert out.startswith(LINE)
    assert '"mysite.asgi.application"' in out
    assert [type(each) for each in served] == [WSGIHandler]


def test_it_says_nothing_if_that_was_asked_for(served: list[Any]) -> None:
    assert LINE not in start("--noasgi")
    assert [type(each) for each in served] == [WSGIHandler]


@pytest.mark.parametrize(
    ("debug", "arguments", "kind"),
    [
        (True, [], StaticFilesHandler),
        (True, ["--nostatic"], WSGIHandler),
        (False, [], WSGIHandler),
        (False, ["--insecure"], StaticFilesHandler),
    ],
)
def test_static_files(served: list[Any], debug: bool, arguments: list[str], kind: type) -> None:
    with override_settings(DEBUG=debug):
        start("--noasgi", *arguments)
    assert [type(each) for each in served] == [kind]


def test_without_the_application_for_them_there_are_none(served: list[Any]) -> None:
    with override_settings(DEBUG=True, INSTALLED_APPS=["channels_http"]):
        start("--noasgi")
        assert [type(each) for each in served] == [WSGIHandler]
        with pytest.raises(CommandError, match="--nostatic"):
            start("--noasgi", "--nostatic")


def test_an_asgi_application_needs_daphne(served: list[Any]) -> None:
    with pytest.raises(CommandError, match=r"pip install 'channels-http\[daphne\]'"):
        start()
    assert served == []
