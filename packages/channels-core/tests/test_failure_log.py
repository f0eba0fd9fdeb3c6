import logging
from typing import Any

import pytest

from channels_core._failure_log import log_failure, log_lost, mark_as_logged, was_logged


class Program:
    pass


@pytest.mark.parametrize(
    ("scope", "message", "words"),
    [
        (
            {"path": "/a/"},
            {"type": "note", "text": "secret"},
            "path '/a/', channel c, message type 'note'",
        ),
        ({}, None, "path None, channel c, message type None"),
        (
            {"type": "channel", "channel": "jobs"},
            {"type": "resize", "picture": "secret"},
            "worker for 'jobs', channel c, message type 'resize'",
        ),
    ],
)
def test_a_failure_is_logged_with_its_place_and_without_the_payload(
    scope: Any, message: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = LookupError("broken")
    log_failure(Program, scope, "c", message, error)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("django.channels.consumer", logging.ERROR)
    assert record.getMessage() == f"{__name__}.Program failed: {words}"
    assert record.exc_info == (LookupError, error, None)


def test_what_is_logged_is_known_to_be(caplog: pytest.LogCaptureFixture) -> None:
    error = LookupError("broken")
    assert not was_logged(error)
    log_failure(Program, {}, None, None, error)
    assert was_logged(error)


def test_an_exception_that_takes_no_attributes_can_be_marked() -> None:
    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    error = Frozen()
    mark_as_logged(error)
    assert was_logged(error)


async def test_a_lost_message_is_logged_once_for_each_class_and_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for kind in ("note", "note", "other", None, None, "x" * 1000):
        log_lost(Program, kind, f"{kind} is lost")
    assert caplog.messages == ["note is lost", "other is lost", "None is lost"]
