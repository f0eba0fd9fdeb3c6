from typing import Any, get_type_hints

from channels_core import _messages as _events
from channels_core import typing

# Any: the keys of a TypedDict are no part of what the type checker knows of a class.
SENT: dict[str, Any] = {
    "websocket.accept": typing.WebsocketAccept,
    "websocket.send": typing.WebsocketFrame,
    "websocket.close": typing.WebsocketClose,
    "websocket.http.response.start": typing.WebsocketDenialStart,
    "websocket.http.response.body": typing.WebsocketDenialBody,
}


def test_all_names_are_there() -> None:
    assert all(hasattr(typing, name) for name in typing.__all__)
    assert {*typing.__all__} <= {*dir(typing)}


def test_each_message_has_its_type_and_no_key_besides_those_it_lists() -> None:
    messages = [
        _events.accept("v1", [("a", "b")]),
        _events.frame("text", None),
        _events.frame(None, b"bytes"),
        _events.close(1000, "done"),
        *_events.denial({"extensions": {"websocket.http.response": {}}}, 404),
    ]
    assert {message["type"] for message in messages} == set(SENT)
    for message in messages:
        kind = SENT[message["type"]]
        assert kind.__required_keys__ <= set(message) <= set(get_type_hints(kind))
