"""Consumers in groups whose messages the channel layer keeps."""

import asyncio
import logging
import random
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from channels_core.connection import Connection, framework
from channels_core.consumer import AsyncConsumer, hook
from channels_core.exceptions import InvalidChannelLayerError, MessagesMissed, StopConsumer
from channels_core.generic.groups import AsyncGroupMember
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import channel_layers
from channels_core.middleware import after_each_handler
from colours import both_colours, consumer
from fakes import LocalLayer, Server, until
from keeping_layer import KeepingLayer, PushingLayer

Steps = Generator[Any, Any, None]


@pytest.fixture(params=[KeepingLayer, PushingLayer])
def layer(request: pytest.FixtureRequest) -> Iterator[KeepingLayer]:
    """Set a new channel layer with history as the default one: without `listen`, and with it."""
    made: KeepingLayer = request.param()
    channel_layers.set("default", made)
    yield made
    channel_layers.set("default", None)


# The program: a chat whose page sends the position of the last message that it has.


def connect(self: Any) -> Steps:
    yield self.join_group("room", after=self.scope.get("after"))
    yield self.accept()


def receive(self: Any, text_data: str) -> Steps:
    word, _, rest = text_data.partition(" ")
    if word == "join":
        group, _, after = rest.partition(" ")
        yield self.join_group(group, after=after)
    elif word == "leave":
        yield self.leave_group(rest)
    yield self.send(text_data=f"done {text_data}")


def chat(self: Any, event: Any) -> Steps:
    yield self.send(text_data=event["text"])


@hook
def tell_missed(self: Any, group: str | None) -> Steps:
    yield self.send(text_data=f"missed {group}")


@hook
def close_when_missed(self: Any, group: str | None) -> Steps:
    yield self.close(code=4000)


def chat_consumer(colour: str, **members: Any) -> Any:
    members = {"connect": connect, "receive": receive, "chat": chat, **members}
    return consumer(colour, **members).as_asgi()


async def say(layer: KeepingLayer, *texts: object, group: str = "room", **kwargs: Any) -> None:
    for text in texts:
        await layer.group_send(group, {"type": "chat", "text": str(text)}, **kwargs)


def texts(server: Server) -> list[str]:
    return [each["text"] for each in server.received if "text" in each]


async def heard(server: Server, *expected: object) -> None:
    """Wait until the client has got so many frames, and compare them all."""
    await server.replies(len(expected) + 1)
    assert texts(server) == [str(each) for each in expected]


@both_colours
async def test_a_client_that_comes_back_gets_what_it_missed(
    layer: KeepingLayer, colour: str
) -> None:
    application = chat_consumer(colour)
    await say(layer, 1, 2, 3, 4)
    server = Server(application, {"after": layer.position("room", 2)})
    await server.connect()
    await heard(server, 3, 4)
    await say(layer, 5, 6)
    await heard(server, 3, 4, 5, 6)
    await server.leave()


@pytest.mark.parametrize("after", [None, ""])
@both_colours
async def test_a_new_client_gets_what_is_sent_from_now_on(
    layer: KeepingLayer, colour: str, after: Any
) -> None:
    await say(layer, 1, 2)
    server = Server(chat_consumer(colour), {"after": after})
    await server.connect()
    await say(layer, 3)
    await heard(server, 3)
    await server.leave()


@both_colours
async def test_what_was_missed_comes_before_what_is_sent_meanwhile(
    layer: KeepingLayer, colour: str
) -> None:
    await say(layer, 1, 2)

    def connect(self: Any) -> Steps:
        yield self.accept()
        yield self.join_group("room", after=layer.position("room", 1))
        # The next ones are live, and wait in the layer.
        yield send(self, 3)
        yield send(self, 4)

    def send(self: Any, text: int) -> Any:
        message = {"type": "chat", "text": str(text)}
        if colour == "async":
            return layer.group_send("room", message)
        return self._channels_connection.in_loop(layer.group_send, "room", message)

    server = Server(chat_consumer(colour, connect=connect))
    await server.connect()
    await heard(server, 2, 3, 4)
    await say(layer, 5)
    await heard(server, 2, 3, 4, 5)
    await server.leave()


@both_colours
async def test_a_gap_on_the_live_path_is_filled(layer: KeepingLayer, colour: str) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, 1)
    await heard(server, 1)
    layer.deaf = {"specific.1!1"}
    await say(layer, 2, 3)
    layer.deaf = set()
    await say(layer, 4, 5)
    await heard(server, 1, 2, 3, 4, 5)
    await server.leave()


class DroppingLayer(PushingLayer):
    """Drops what has no room, and counts it, as our layers do."""

    dropped = 0

    def put(self, channel: str, message: Any) -> None:
        if len(self._waiting.get(channel, ())) < self.get_capacity(channel):
            super().put(channel, message)
        else:
            self.dropped += 1


@pytest.mark.parametrize("by_channel", [False, True])
@both_colours
async def test_the_last_messages_of_a_burst_are_not_missed(colour: str, by_channel: bool) -> None:
    """No later message shows that they are missing."""
    layer = DroppingLayer()
    if by_channel:
        layer.channel_capacity = layer.compile_capacities({"specific.*": 3})
    else:
        layer.capacity = 3
    channel_layers.set("default", layer)
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, *range(5))
    assert layer.dropped == 2
    await heard(server, *range(5))
    # Another channel drops messages, and this one was not full: nothing is asked.
    layer.dropped += 1
    asked = layer.calls.count(("group_history", "room"))
    await say(layer, 5)
    await heard(server, *range(6))
    await server.leave()
    assert layer.calls.count(("group_history", "room")) == asked
    channel_layers.set("default", None)


@both_colours
async def test_a_layer_that_knows_of_lost_messages_is_asked_for_them(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    layer.deaf = {"specific.1!1"}
    await say(layer, 1, 2)
    layer.deaf = set()
    layer.put("specific.1!1", None)
    await heard(server, 1, 2)
    await say(layer, 3)
    await heard(server, 1, 2, 3)
    await server.leave()


@both_colours
async def test_a_group_without_history_ends_the_connection_when_messages_are_lost(
    layer: KeepingLayer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    server.text("join other")
    await heard(server, "done join other")
    layer.put("specific.1!1", None)
    await server.end()
    closed = {"type": "websocket.close", "code": 1012, "reason": "Service restart"}
    assert server.received[-1] == closed
    assert layer.members == 0
    assert caplog.records == []


@both_colours
async def test_a_hook_is_told_of_the_groups_that_cannot_be_filled(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour, missed=tell_missed))
    await server.connect()
    server.text("join other")
    await heard(server, "done join other")
    layer.deaf = {"specific.1!1"}
    await say(layer, 1)
    await say(layer, "lost", group="other")
    layer.deaf = set()
    layer.put("specific.1!1", None)
    await heard(server, "done join other", "missed other", 1)
    await say(layer, "heard", group="other")
    await heard(server, "done join other", "missed other", 1, "heard")
    await server.leave()


@both_colours
async def test_before_the_handshake_nothing_can_be_missed(layer: KeepingLayer, colour: str) -> None:
    layer.put("specific.1!1", None)
    server = Server(chat_consumer(colour, missed=tell_missed))
    for _ in range(10):
        await asyncio.sleep(0)
    await server.connect()
    await say(layer, 1)
    await heard(server, 1)
    await server.leave()


@both_colours
async def test_a_connection_without_groups_may_have_missed_messages_too(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour, missed=tell_missed))
    await server.connect()
    server.text("leave room")
    await heard(server, "done leave room")
    layer.put("specific.1!1", None)
    await heard(server, "done leave room", "missed None")
    await server.leave()


@pytest.mark.parametrize("after", ["0123abcd.0123abcd.5", "junk", 5, {"a": []}, "x" * 100_000, 0])
@both_colours
async def test_a_position_that_nobody_knows_gives_what_is_kept(
    layer: KeepingLayer, colour: str, after: Any
) -> None:
    layer.size = 3
    await say(layer, 1, 2, 3, 4)
    server = Server(chat_consumer(colour, missed=tell_missed), {"after": after})
    await server.connect()
    await heard(server, "missed room", 2, 3, 4)
    await say(layer, 5)
    await heard(server, "missed room", 2, 3, 4, 5)
    await server.leave()


@both_colours
async def test_at_joining_nothing_happens_by_default_if_messages_are_gone(
    layer: KeepingLayer, colour: str
) -> None:
    layer.size = 2
    await say(layer, 1, 2, 3, 4)
    server = Server(chat_consumer(colour), {"after": layer.position("room", 1)})
    await server.connect()
    await heard(server, 3, 4)
    await server.leave()


@both_colours
async def test_live_the_connection_ends_by_default_if_messages_are_gone(
    layer: KeepingLayer, colour: str
) -> None:
    layer.size = 1
    server = Server(chat_consumer(colour))
    await server.connect()
    layer.deaf = {"specific.1!1"}
    await say(layer, 1, 2)
    layer.deaf = set()
    await say(layer, 3)
    await server.end()
    assert texts(server) == []
    assert server.received[-1]["code"] == 1012


@both_colours
async def test_live_a_hook_is_told_once_and_gets_what_is_kept(
    layer: KeepingLayer, colour: str
) -> None:
    layer.size = 2
    server = Server(chat_consumer(colour, missed=tell_missed))
    await server.connect()
    await say(layer, 1)
    await heard(server, 1)
    layer.deaf = {"specific.1!1"}
    await say(layer, 2, 3)
    layer.deaf = set()
    await say(layer, 4)
    await heard(server, 1, "missed room", 3, 4)
    await say(layer, 5)
    await heard(server, 1, "missed room", 3, 4, 5)
    await server.leave()


@both_colours
async def test_a_hook_may_close(layer: KeepingLayer, colour: str) -> None:
    layer.size = 1
    await say(layer, 1, 2, 3)
    server = Server(
        chat_consumer(colour, missed=close_when_missed), {"after": layer.position("room", 1)}
    )
    await server.connect()
    await server.replies(2)
    assert server.received[-1]["code"] == 4000
    await server.leave()


@both_colours
async def test_a_hook_may_leave_the_group(layer: KeepingLayer, colour: str) -> None:
    @hook
    def missed(self: Any, group: str) -> Steps:
        yield self.leave_group(group)

    layer.size = 1
    await say(layer, 1, 2, 3)
    application = chat_consumer(colour, missed=missed)
    server = Server(application, {"after": layer.position("room", 1)})
    await server.connect()
    await until(lambda: layer.members == 0)
    server.text("go on")
    await heard(server, "done go on")
    await server.leave()


@both_colours
async def test_a_method_named_missed_is_the_programs_unless_it_is_marked(
    layer: KeepingLayer, colour: str
) -> None:
    def missed(self: Any, event: Any) -> Steps:
        yield self.send(text_data=f"you missed {event['what']}")

    server = Server(chat_consumer(colour, missed=missed))
    await server.connect()
    await layer.send("specific.1!1", {"type": "missed", "what": "the train"})
    await heard(server, "you missed the train")
    server.text("leave room")
    await heard(server, "you missed the train", "done leave room")
    layer.put("specific.1!1", None)
    await server.end()
    assert server.received[-1]["code"] == 1012


@both_colours
async def test_the_end_of_a_failing_hook_is_that_of_a_failing_handler(
    layer: KeepingLayer, colour: str
) -> None:
    @hook
    def missed(self: Any, group: str) -> Steps:
        yield self.send(text_data="before")
        raise LookupError("broken")

    server = Server(chat_consumer(colour, missed=missed), {"after": "junk"})
    await server.connect()
    with pytest.raises(LookupError, match="broken"):
        await server.end()
    assert layer.members == 0


@both_colours
async def test_a_group_that_was_left_can_be_joined_after_a_position(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, 1)
    server.text("leave room")
    await heard(server, 1, "done leave room")
    await say(layer, 2, 3)
    position = layer.position("room", 1)
    server.text(f"join room {position}")
    await heard(server, 1, "done leave room", f"done join room {position}", 2, 3)
    await say(layer, 4)
    await heard(server, 1, "done leave room", f"done join room {position}", 2, 3, 4)
    await server.leave()


@both_colours
async def test_joining_again_after_a_position_gives_nothing_twice(
    layer: KeepingLayer, colour: str
) -> None:
    await say(layer, 1, 2, 3)
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, 4, 5)
    await heard(server, 4, 5)
    position = layer.position("room", 1)
    server.text(f"join room {position}")
    await heard(server, 4, 5, f"done join room {position}", 2, 3)
    # Those are now known to have come, too.
    server.text(f"join room {position}", "join room")
    await say(layer, 6)
    again = [f"done join room {position}", "done join room"]
    await server.replies(9)
    assert [text for text in texts(server)[5:] if text != "6"] == again
    assert texts(server).count("6") == 1
    await server.leave()


@both_colours
async def test_a_client_that_is_ahead_does_not_get_what_it_has(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    layer.deaf = {"specific.1!1"}
    await say(layer, 1, 2, 3)
    layer.deaf = set()
    position = layer.position("room", 2)
    server.text(f"join room {position}")
    await heard(server, f"done join room {position}", 3)
    await server.leave()


@both_colours
async def test_many_messages_are_fetched_in_parts_and_leave_room_for_frames(
    layer: KeepingLayer, colour: str
) -> None:
    await say(layer, *range(500))
    server = Server(chat_consumer(colour), {"after": layer.position("room", 0)})
    server.put({"type": "websocket.connect"})
    server.text(*map(str, range(10)))
    await server.replies(511)
    answers = [text for text in texts(server) if text.startswith("done")]
    assert [text for text in texts(server) if text not in answers] == [*map(str, range(500))]
    assert answers == [f"done {number}" for number in range(10)]
    # In turns, as soon as they are there.
    assert max(texts(server).index(text) for text in answers) < 100
    assert layer.calls.count(("group_history", "room")) == 3
    await server.leave()


@both_colours
async def test_an_excluded_channel_does_not_miss_a_number(layer: KeepingLayer, colour: str) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, 1)
    await say(layer, 2, exclude=["specific.1!1"])
    await say(layer, 3)
    await heard(server, 1, 3)
    await server.leave()
    assert layer.calls.count(("group_history", "room")) == 1  # at joining


@both_colours
async def test_a_message_of_the_program_may_have_a_key_position(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    for position in ("e4", 5, None, "0123abcd.0123abcd.5"):
        await layer.send("specific.1!1", {"type": "chat", "text": "x", "position": position})
    await heard(server, *"xxxx")
    await server.leave()


@both_colours
async def test_a_history_that_begins_anew_goes_on(layer: KeepingLayer, colour: str) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    await say(layer, 1, 2)
    layer.forget("room")
    await say(layer, 3)
    layer.forget("room")
    layer.deaf = {"specific.1!1"}
    await say(layer, 4)
    layer.deaf = set()
    await say(layer, 5)
    await heard(server, 1, 2, 3, 4, 5)
    await server.leave()


@both_colours
async def test_what_had_arrived_before_a_history_began_anew_is_missed(
    layer: KeepingLayer, colour: str
) -> None:
    server = Server(chat_consumer(colour, missed=tell_missed))
    await server.connect()
    await say(layer, 1)
    await heard(server, 1)
    layer.put("specific.1!1", None)
    await say(layer, 2)
    layer.forget("room")
    await say(layer, 3)
    await heard(server, 1, "missed room", 3)
    await say(layer, 4)
    await heard(server, 1, "missed room", 3, 4)
    await server.leave()


@both_colours
async def test_a_store_that_has_gone_back_is_followed(layer: KeepingLayer, colour: str) -> None:
    server = Server(chat_consumer(colour, missed=tell_missed))
    await server.connect()
    await say(layer, 1, 2, 3)
    await heard(server, 1, 2, 3)
    layer.forget("room", back_to=1)
    layer.put("specific.1!1", None)
    await heard(server, 1, 2, 3, "missed room")
    await say(layer, 4)
    await heard(server, 1, 2, 3, "missed room", 4)
    await server.leave()


class Away(OSError):
    """The store cannot be reached."""


@both_colours
async def test_an_outage_while_messages_are_fetched_is_waited_for(
    layer: KeepingLayer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(chat_consumer(colour))
    await server.connect()
    layer.faults["group_history"] = Away()
    layer.deaf = {"specific.1!1"}
    await say(layer, 1)
    layer.deaf = set()
    await say(layer, 2)
    await until(lambda: layer.calls.count(("group_history", "room")) == 2)
    # Everything else goes on.
    server.text("hello")
    await heard(server, "done hello")
    await layer.send("specific.1!1", {"type": "chat", "text": "direct"})
    await heard(server, "done hello", "direct")
    # The next message of the group is another attempt.
    await say(layer, 3)
    await until(lambda: layer.calls.count(("group_history", "room")) == 3)
    del layer.faults["group_history"]
    await say(layer, 4)
    await heard(server, "done hello", "direct", 1, 2, 3, 4)
    await server.leave()
    (record,) = caplog.records
    assert record.getMessage().startswith("The channel layer fails; ")


@both_colours
async def test_messages_are_fetched_after_a_while_if_no_other_comes(
    layer: KeepingLayer, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels_core._connection import positions

    monkeypatch.setattr(positions, "_SOON", 0.001)
    layer.faults["group_history"] = Away()
    await say(layer, 1)
    server = Server(chat_consumer(colour), {"after": layer.position("room", 0)})
    await server.connect()
    await until(lambda: layer.calls.count(("group_history", "room")) == 3)
    del layer.faults["group_history"]
    await heard(server, 1)
    await server.leave()


@both_colours
async def test_an_attempt_that_waits_ends_with_the_connection(
    layer: KeepingLayer, colour: str
) -> None:
    layer.faults["group_history"] = Away()
    await say(layer, 1)
    server = Server(chat_consumer(colour), {"after": layer.position("room", 0)})
    await server.connect()
    await until(lambda: ("group_history", "room") in layer.calls)
    await server.leave()
    assert layer.members == 0


@both_colours
async def test_a_layer_that_fails_otherwise_ends_the_connection(
    layer: KeepingLayer, colour: str
) -> None:
    layer.faults["group_history"] = LookupError("broken")
    server = Server(chat_consumer(colour), {"after": layer.position("room", 0)})
    await server.connect()
    with pytest.raises(LookupError, match="broken"):
        await server.end()


@both_colours
async def test_an_outage_at_joining_is_the_programs(layer: KeepingLayer, colour: str) -> None:
    layer.faults["group_history"] = Away()
    server = Server(chat_consumer(colour))
    server.put({"type": "websocket.connect"})
    with pytest.raises(Away):
        await server.end()


@both_colours
async def test_a_layer_without_history_is_named(colour: str) -> None:
    channel_layers.set("default", LocalLayer())
    server = Server(chat_consumer(colour), {"after": "x"})
    server.put({"type": "websocket.connect"})
    text = r"^LocalLayer has no 'history', which join_group\(after=...\) needs$"
    with pytest.raises(InvalidChannelLayerError, match=text):
        await server.end()
    channel_layers.set("default", None)


@both_colours
async def test_a_group_without_history_is_named(layer: KeepingLayer, colour: str) -> None:
    def connect(self: Any) -> Steps:
        yield self.join_group("other", after="x")

    server = Server(chat_consumer(colour, connect=connect))
    server.put({"type": "websocket.connect"})
    text = r"^join_group\(after=...\) needs the history of group 'other', but no pattern in the "
    with pytest.raises(ValueError, match=text):
        await server.end()


@pytest.mark.parametrize("name", [5, "no spaces", "room no"])
async def test_a_name_that_is_not_valid_is_refused(layer: KeepingLayer, name: Any) -> None:
    def connect(self: Any) -> Steps:
        yield self.join_group(name, after="x" if name != "no spaces" else None)

    server = Server(chat_consumer("async", connect=connect))
    server.put({"type": "websocket.connect"})
    with pytest.raises(TypeError):
        await server.end()


async def test_a_program_that_catches_this_error_itself_is_not_disturbed(
    layer: KeepingLayer,
) -> None:
    def connect(self: Any) -> Steps:
        yield self.accept()
        raise MessagesMissed("of its own")

    server = Server(chat_consumer("async", connect=connect))
    await server.connect()
    with pytest.raises(MessagesMissed, match="of its own"):
        await server.end()


async def test_a_task_of_the_program_may_join_and_leave(layer: KeepingLayer) -> None:
    """It runs while the connection handles messages, so that each step may come in between."""
    await say(layer, 1, 2)

    class Consumer(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            position = layer.position("room", 1)
            self.tasks = [
                asyncio.create_task(self.join_group("room", after=position)),
                asyncio.create_task(self.join_group("room")),
                asyncio.create_task(self.join_group("room")),
            ]

        async def chat(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    server = Server(Consumer.as_asgi())
    await server.connect()
    await heard(server, 2)
    await say(layer, 3)
    await heard(server, 2, 3)
    await server.leave()


async def test_a_group_that_is_left_while_its_messages_are_fetched(layer: KeepingLayer) -> None:
    await say(layer, 1, 2)
    made: list[Any] = []
    asked, answer = asyncio.Event(), asyncio.Event()
    history = layer.group_history

    async def slow_history(*args: Any, **kwargs: Any) -> Any:
        result = await history(*args, **kwargs)
        asked.set()
        await answer.wait()
        return result

    class Consumer(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            made.append(self)
            await self.accept()
            await self.join_group("room", after=layer.position("room", 0))

        async def chat(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    layer.group_history = slow_history  # type: ignore[method-assign] # it answers when we say so
    server = Server(Consumer.as_asgi())
    await server.connect()
    await asked.wait()
    # It asks for something else meanwhile.
    await made[0].join_group("room", after=layer.position("room", 1))
    answer.set()
    await heard(server, 2)
    asked.clear()
    answer.clear()
    await made[0].join_group("room", after=layer.position("room", 0))
    await asked.wait()
    await made[0].leave_group("room")
    answer.set()
    await layer.send("specific.1!1", {"type": "chat", "text": "direct"})
    await heard(server, 2, "direct")
    await server.leave()


async def test_a_group_that_is_left_while_it_is_joined_is_not_followed(
    layer: KeepingLayer,
) -> None:
    await say(layer, 1)
    adding, added = asyncio.Event(), asyncio.Event()
    add = layer.group_add

    async def slow_add(*args: Any) -> None:
        await add(*args)
        adding.set()
        await added.wait()

    def connect(self: Any) -> Steps:
        yield self.accept()
        self.joining = asyncio.create_task(self.join_group("room", after="junk"))

    server = Server(chat_consumer("async", connect=connect, missed=tell_missed))
    layer.group_add = slow_add  # type: ignore[assignment] # it is done when we say so
    await server.connect()
    await adding.wait()
    # Nothing is known of the group yet, so that there is nothing to ask for.
    layer.put("specific.1!1", None)
    server.text("leave room")
    await heard(server, "done leave room")
    added.set()
    server.text("go on")
    await heard(server, "done leave room", "done go on")
    await server.leave()
    assert ("group_history", "room") not in layer.calls


@both_colours
async def test_two_reasons_to_fetch_are_one(layer: KeepingLayer, colour: str) -> None:
    layer.faults["group_history"] = Away()
    await say(layer, 1)
    server = Server(chat_consumer(colour), {"after": layer.position("room", 0)})
    await server.connect()
    await until(lambda: layer.calls.count(("group_history", "room")) == 1)
    del layer.faults["group_history"]
    layer.put("specific.1!1", None)
    await heard(server, 1)
    await server.leave()


async def test_what_was_fetched_is_dropped_when_the_group_is_left(layer: KeepingLayer) -> None:
    await say(layer, 1, 2, 3)
    await say(layer, "a", "b", group="room.2")

    def chat(self: Any, event: Any) -> Steps:
        yield self.send(text_data=event["text"])
        if event["text"] == "1":
            yield self.leave_group("room")

    def connect(self: Any) -> Steps:
        for group in ("room", "room.2"):
            yield self.join_group(group, after=layer.position(group, 0))
        yield self.accept()

    server = Server(chat_consumer("async", connect=connect, chat=chat))
    await server.connect()
    await heard(server, 1, "a", "b")
    await server.leave()


async def test_a_consumer_that_is_not_served_may_join(layer: KeepingLayer) -> None:
    """As in a unit test of a program."""
    unserved = AsyncWebsocketConsumer()
    unserved.channel_layer, unserved.channel_name = layer, "mine"
    await unserved.join_group("room", after=layer.position("room", 0))
    assert layer.groups["room"] == {"mine"}
    await unserved.leave_group("room")


async def test_a_consumer_without_groups_ends_when_messages_are_lost(layer: KeepingLayer) -> None:
    class Consumer(AsyncConsumer):
        async def job_begin(self, message: Any) -> None:
            await self.send({"type": "begun"})

        async def job_end(self, message: Any) -> None:
            raise StopConsumer

    server = Server(Consumer.as_asgi(), {"type": "job"})
    server.put({"type": "job.begin"})
    await server.replies(1)
    layer.put("specific.1!1", None)
    await server.end()


async def test_a_position_of_the_layer_that_is_malformed_is_an_error(layer: KeepingLayer) -> None:
    await say(layer, 1)
    layer.kept["room"][0]["position"] = "x"
    server = Server(chat_consumer("async"), {"after": layer.position("room", 0)})
    await server.connect()
    with pytest.raises(ValueError, match="The channel layer has made the position 'x'"):
        await server.end()


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_each_message_comes_once_and_in_order(
    layer: KeepingLayer, seed: int
) -> None:
    """Messages are lost, outages come and go, groups are joined again: a client hears all."""
    chance = random.Random(seed)
    server = Server(chat_consumer("async"))
    await server.connect()
    server.text("join room.2")
    await heard(server, "done join room.2")
    sent: dict[str, list[str]] = {"room": [], "room.2": []}

    def heard_of(group: str) -> list[str]:
        return [text for text in texts(server) if text.startswith(f"{group} ")]

    async def talk(group: str) -> None:
        sent[group].append(f"{group} {len(sent[group])}")
        await say(layer, sent[group][-1], group=group)

    def join_again(group: str) -> None:
        behind = layer.position(group, chance.randint(0, len(heard_of(group))))
        server.text(f"join {group} {behind}")

    happens: list[Callable[[str], Any]] = [
        lambda group: layer.deaf.symmetric_difference_update({"specific.1!1"}),
        lambda group: layer.put("specific.1!1", None),
        lambda group: layer.faults.update(group_history=Away()),
        lambda group: layer.faults.clear(),
        join_again,
        *[talk] * 7,
    ]
    for _ in range(150):
        happened = chance.choice(happens)(chance.choice(["room", "room.2"]))
        if asyncio.iscoroutine(happened):
            await happened
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    layer.deaf.clear()
    layer.faults.clear()
    layer.put("specific.1!1", None)
    for group in sent:
        await talk(group)
    await until(lambda: all(len(heard_of(group)) >= len(sent[group]) for group in sent))
    assert {group: heard_of(group) for group in sent} == sent
    await server.leave()


# Members


def connect_as_member(self: Any) -> Steps:
    yield self.join_group("room", member={"id": 5, "name": "Ann"})
    yield self.accept()


@both_colours
async def test_a_consumer_joins_as_a_member(layer: KeepingLayer, colour: str) -> None:
    server = Server(chat_consumer(colour, connect=connect_as_member))
    await server.connect()
    assert layer.members_of == {("room", "specific.1!1"): {"id": 5, "name": "Ann"}}
    await server.leave()


@both_colours
async def test_a_member_that_is_not_valid_is_refused(layer: KeepingLayer, colour: str) -> None:
    def connect(self: Any) -> Steps:
        yield self.join_group("room", member={"name": "Ann"})

    server = Server(chat_consumer(colour, connect=connect))
    server.put({"type": "websocket.connect"})
    with pytest.raises(ValueError, match="A member must have an 'id'"):
        await server.end()


@both_colours
async def test_a_layer_without_members_is_named(colour: str) -> None:
    channel_layers.set("default", LocalLayer())
    server = Server(chat_consumer(colour, connect=connect_as_member))
    server.put({"type": "websocket.connect"})
    text = r"^LocalLayer has no 'members', which join_group\(member=...\) needs$"
    with pytest.raises(InvalidChannelLayerError, match=text):
        await server.end()
    channel_layers.set("default", None)


@both_colours
async def test_notices_of_members_reach_those_who_want_them(
    layer: KeepingLayer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    def group_joined(self: Any, event: Any) -> Steps:
        yield self.send(text_data=f"hello {event['member']['name']}")

    notices: list[dict[str, Any]] = [
        {"type": "group.joined", "group": "room", "member": {"id": 5, "name": "Ann"}},
        {"type": "group.left", "group": "room", "member": {"id": 5, "name": "Ann"}},
        {"type": "group.position", "position": "0123abcd.0123abcd.5"},
    ]
    wants = Server(chat_consumer(colour, group_joined=group_joined))
    does_not = Server(chat_consumer(colour))
    for server in (wants, does_not):
        await server.connect()
    for notice in notices:
        await layer.send("specific.1!1", notice)
        await layer.send("specific.2!2", notice)
    await say(layer, 1)
    await heard(wants, "hello Ann", 1)
    await heard(does_not, 1)
    await wants.leave()
    await does_not.leave()
    assert [each for each in caplog.records if each.levelno >= logging.INFO] == []


class Worker(AsyncGroupMember):
    async def job_begin(self, message: Any) -> None:
        await self.join_group("room", after=message["after"])
        await self.send({"type": "begun"})

    async def chat(self, event: Any) -> None:
        await self.send(event)


@both_colours
async def test_middleware_is_called_after_the_hook(layer: KeepingLayer, colour: str) -> None:
    done: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope = dict(scope)
        after_each_handler(scope, lambda: done.append("handled"))
        await chat_consumer(colour, missed=tell_missed)(scope, receive, send)

    server = Server(application, {"after": "junk"})
    await server.connect()
    await heard(server, "missed room")
    await until(lambda: len(done) == 2)
    await server.leave()


async def test_a_protocol_that_answers_first_follows_groups_too(layer: KeepingLayer) -> None:
    class Answering(Connection):
        answers_first = True

    @framework(Answering)
    class Base(AsyncGroupMember):
        async def http_request(self, message: Any) -> None:
            await self.join_group("room", after=self.scope["after"])
            await self.send({"type": "answer"})

    class Program(Base):
        async def chat(self, event: Any) -> None:
            await self.send(event)

    await say(layer, 1, 2)
    server = Server(Program.as_asgi(), {"type": "http", "after": layer.position("room", 1)})
    server.put({"type": "http.request"})
    await server.replies(2)
    assert server.received[1]["text"] == "2"
    server.put({"type": "http.disconnect"})
    await server.end()


async def test_consumers_of_other_protocols_follow_groups_too(layer: KeepingLayer) -> None:
    await say(layer, 1, 2)
    server = Server(Worker.as_asgi(), {"type": "job"})
    server.put({"type": "job.begin", "after": layer.position("room", 1)})
    await server.replies(2)
    assert server.received[1]["text"] == "2"
    server.task.cancel()
    await asyncio.wait([server.task])
