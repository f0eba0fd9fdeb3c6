"""The behaviour of the origin validator that programs for upstream rely on."""

import logging
import sys
from types import ModuleType
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import OriginValidator
from django.core.checks import run_checks

from channels_core.typing import Receive, Scope, Send

SECONDS = 5


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})


async def test_a_pattern_with_a_wildcard_inside_can_be_made_and_matches_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    validator = OriginValidator(accepting, ["*.example.com"])
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().partition(" is ")[0] for record in warnings] == [
        "OriginValidator: '*.example.com'"
    ]
    for origin in (b"http://example.com", b"http://www.example.com", b"http://*.example.com"):
        scope = {"type": "websocket", "path": "/", "headers": [(b"origin", origin)]}
        client = ApplicationCommunicator(validator, scope)
        await client.send_input({"type": "websocket.connect"})
        assert (await client.receive_output(SECONDS))["type"] == "websocket.close"
        await client.wait(SECONDS)


def test_a_system_check_tells_of_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site: Any = ModuleType("site_with_a_wildcard")
    site.application = ProtocolTypeRouter(
        {"websocket": OriginValidator(accepting, ["https://*.example.com", "example.com"])}
    )
    monkeypatch.setitem(sys.modules, site.__name__, site)
    settings.ASGI_APPLICATION = f"{site.__name__}.application"
    [message] = run_checks(tags=["channels"])
    assert message.id == "channels_core.W007"
    assert "'https://*.example.com'" in message.msg
    assert "'https://.example.com'" in message.msg
