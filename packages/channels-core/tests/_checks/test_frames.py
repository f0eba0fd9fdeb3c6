import sys
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.test import override_settings

from channels_core._checks.frames import check_frame_limits, check_frame_setting
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter


class Chat(AsyncWebsocketConsumer):
    pass


class Small(WebsocketConsumer, max_message_size=100):
    pass


class Anything(WebsocketConsumer, max_message_size=None):
    pass


class Jobs(AsyncConsumer):
    pass


def checked(monkeypatch: pytest.MonkeyPatch, *consumers: Any, **settings: Any) -> list[Any]:
    from django.urls import path

    module = ModuleType("a_site")
    routes = [path(f"{number}/", each.as_asgi()) for number, each in enumerate(consumers)]
    module.application = ProtocolTypeRouter(  # type: ignore[attr-defined] # a program has it
        {"websocket": URLRouter(routes), "channel": ChannelNameRouter({"jobs": Jobs.as_asgi()})}
    )
    monkeypatch.setitem(sys.modules, "a_site", module)
    with override_settings(ASGI_APPLICATION="a_site.application", **settings):
        messages: list[CheckMessage] = [*check_frame_setting(), *check_frame_limits()]
    return [(each.id, each.msg) for each in messages]


def test_a_consumer_without_a_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    [(number, text)] = checked(monkeypatch, Chat, Small, Anything, Chat)
    assert number == "channels_core.W011"
    assert f"by {Chat.__module__}.Chat. A client" in text


def test_many_are_not_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [type(f"Chat{number}", (Chat,), {}) for number in range(7)]
    [(_, text)] = checked(monkeypatch, *many)
    assert "and 2 more. A client" in text


def test_either_limit_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(monkeypatch, Small, Anything) == []
    assert checked(monkeypatch, Chat, CHANNELS_MAX_MESSAGE_SIZE=100) == []


def test_another_value_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    [(number, text)] = checked(monkeypatch, Chat, CHANNELS_MAX_MESSAGE_SIZE="100")
    assert number == "channels_core.E006"
    assert text.startswith("CHANNELS_MAX_MESSAGE_SIZE must be")


def test_an_application_that_cannot_be_imported_is_for_another_check() -> None:
    with override_settings(ASGI_APPLICATION="not.there"):
        assert check_frame_limits() == []
