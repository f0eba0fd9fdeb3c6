from typing import Any

import pytest

from channels_core._consumer_classes import class_of, find_handlers, get_handler_name, may_reach
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)

FRAMEWORK = [AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, JsonWebsocketConsumer,
             WebsocketConsumer]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "name"),
    [("chat.message", "chat_message"), ("a", "a"), ("a.b.c", "a_b_c"), ("a_b", "a_b")],
)
def test_a_type_names_its_handler(type_: str, name: str) -> None:
    assert get_handler_name({"type": type_}) == name


@pytest.mark.parametrize("type_", ["_private", ".private", "__init__", "._x"])
def test_a_leading_underscore_is_refused(type_: str) -> None:
    with pytest.raises(ValueError, match=r"Malformed type in message \(leading underscore\)"):
        get_handler_name({"type": type_})


def test_a_missing_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Incoming message has no 'type' attribute$"):
        get_handler_name({"kind": "chat.message"})


@pytest.mark.parametrize("type_", [None, 7, b"chat", ["chat"]])
def test_a_type_that_is_not_a_str_is_refused(type_: object) -> None:
    with pytest.raises(ValueError, match="expected a str"):
        get_handler_name({"type": type_})


@pytest.mark.parametrize("kind", FRAMEWORK)
def test_nothing_of_ours_is_reached_by_the_layer(kind: type) -> None:
    assert find_handlers(kind) == {
        "websocket_connect": False,
        "websocket_disconnect": False,
        # A program may send itself a frame, as if the client had.
        "websocket_receive": True,
    }


class Program(AsyncWebsocketConsumer):
    static_value = 7

    @property
    def loud_property(self) -> Any:
        raise AssertionError("read by a message")

    async def chat_message(self, event: Any) -> None: ...

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None: ...

    async def websocket_receive(self, message: Any) -> None: ...

    async def http_request(self, message: Any) -> None: ...

    async def join_group(self, event: Any) -> None: ...  # type: ignore[override] # of an older program

    @classmethod
    def of_class(cls, event: Any) -> None: ...

    @staticmethod
    def of_nobody(event: Any) -> None: ...

    class Meta:
        def __init__(self, event: Any) -> None:
            raise AssertionError("made by a message")

    def whoami(self) -> None:
        """Takes no message."""

    def between(self, one: Any, other: Any) -> None:
        """Takes more than one."""


def test_methods_of_a_program_are_reached() -> None:
    assert find_handlers(Program) == {
        "chat_message": True,
        "websocket_connect": False,
        "websocket_disconnect": False,
        "websocket_receive": True,
        "http_request": False,
        # A name that we added: a program's handler of that name is the program's.
        "join_group": True,
        "of_class": True,
        "of_nobody": True,
        # What a name leads to is called, and not judged.
        "loud_property": True,
        "whoami": True,
        "between": True,
    }


@pytest.mark.parametrize(
    "name",
    ["static_value", "Meta", "nothing", "base_send",
     "channel_receive", "receive",
     "send", "close", "accept", "dispatch", "as_asgi", "leave_group", "deny", "invalid_frame",
     "report_exception", "_channels_connection", "__init__", "connect", "disconnect"],
)  # fmt: skip
def test_names_that_are_not_reached(name: str) -> None:
    program = Program()
    program.base_send = print
    assert may_reach(program, name) is None


def test_an_attribute_of_an_instance_is_reached() -> None:
    program = Program()
    program.__dict__["note"] = lambda event: None
    assert may_reach(program, "note") is True
    assert may_reach(Program, "note") is None


def test_a_programs_own_getattr_is_asked() -> None:
    class Dynamic(AsyncConsumer):
        def __getattr__(self, name: str) -> Any:
            if name == "note":
                return print
            raise AttributeError(name)

    assert may_reach(Dynamic(), "note") is True
    assert may_reach(Dynamic(), "other") is None


def test_only_its_tables_are_made_when_they_are_used() -> None:
    known = class_of(AsyncWebsocketConsumer)
    with pytest.raises(AttributeError, match="'ConsumerClass' object has no attribute 'table'"):
        getattr(known, "table")  # noqa: B009 - for the type checker it has none
    assert "websocket_receive" in known.handlers
