import logging
from typing import Any

import pytest

from channels_core._failures import log_failure


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
