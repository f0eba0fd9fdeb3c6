import asyncio
import gc
import logging
import re
import threading
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from copy import deepcopy
from typing import Any

import pytest
from django.test import override_settings

from channels_core.exceptions import ChannelFull
from channels_core.layers import BaseChannelLayer, get_channel_layer
from channels_layers_memory import layer as layer_module
from channels_layers_memory._layer.readers import Listener
from channels_layers_memory.layer import InMemoryChannelLayer
from fakes import Clock

BACKEND = "channels_layers_memory.layer.InMemoryChannelLayer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layer(clock: Clock) -> InMemoryChannelLayer:
    return InMemoryChannelLayer(capacity=3, clock=clock)


async def turn() -> None:
    """Let all tasks run until they wait again."""
    await asyncio.sleep(0)


async def waiting(call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Start a call and let it run until it waits."""
    task = asyncio.create_task(call)
    await turn()
    assert not task.done()
    return task


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def in_thread(work: Callable[[], object]) -> None:
    """Call a function in a thread of its own, without an event loop."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def is_empty(layer: InMemoryChannelLayer) -> bool:
    """Return whether a layer is empty, including its indices."""
    store = layer._store
    return not (
        layer.channels
        or layer.groups
        or store._thrown_away
        or store._backlogs.kept
        or store._backlogs._shared
        or store.groups._joined
        or store.groups._groups_of
    )


class TestOptions:
    def test_the_defaults_are_those_that_programs_know(self) -> None:
        layer = InMemoryChannelLayer()
        assert isinstance(layer, BaseChannelLayer)
        assert (layer.expiry, layer.group_expiry, layer.capacity) == (60, 86400, 100)
        assert layer.channel_capacity == []
        assert layer.extensions == ["groups", "flush", "exclude", "history", "members", "acks"]

    def test_the_settings_may_name_it(self) -> None:
        config = {"BACKEND": BACKEND, "CONFIG": {"capacity": 7, "isolation": "deepcopy"}}
        with override_settings(CHANNEL_LAYERS={"default": config}):
            layer = get_channel_layer()
            assert type(layer) is InMemoryChannelLayer
            assert layer.capacity == 7

    def test_unknown_options_are_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match=r"has no option 'hosts', 'prefix'; expected expiry, "):
            InMemoryChannelLayer(hosts=["localhost"], prefix="x")

    @pytest.mark.parametrize("isolation", ["pickle", None, ["msgpack"]])
    def test_an_unknown_isolation_is_refused(self, isolation: Any) -> None:
        with pytest.raises(ValueError, match=r"one of 'msgpack', 'deepcopy', not ") as caught:
            InMemoryChannelLayer(isolation=isolation)
        assert repr(isolation) in str(caught.value)


class TestWhatProgramsTouch:
    async def test_channels_and_groups_may_be_assigned(self, layer: InMemoryChannelLayer) -> None:
        await layer.send("mail", {"n": 1})
        await layer.send("chat", {"n": 1})
        layer.channels = {"chat": None}
        assert list(layer.channels) == ["chat"]
        layer.groups = {"room": {"b": 999.0, "a": 998.0}}
        assert await layer.group_channels("room") == ["a", "b"]
        layer.groups = {}
        assert await layer.group_channels("room") == []

    async def test_private_methods_that_tests_wrap(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room", "mail")
        await layer.group_add("room", "chat")
        layer._remove_from_groups("mail")
        assert list(layer.groups["room"]) == ["chat"]
        await layer.send("mail", {"n": 1})
        clock.advance(60)
        layer._clean_expired()
        assert not layer.channels

    async def test_channels_show_what_waits_as_it_is_at_each_look(
        self, layer: InMemoryChannelLayer
    ) -> None:
        assert layer.channels == {}
        assert not layer.channels
        await layer.send("mail", {"n": 1})
        await layer.send("mail", {"n": 2})
        task = await waiting(layer.receive("chat"))
        assert list(layer.channels) == ["mail", "chat"]
        assert "mail" in layer.channels
        assert len(layer.channels) == 2
        assert [message[2] for message in layer.channels["mail"]] == [{"n": 1}, {"n": 2}]
        # Tests use them like queues of messages; a waiting receiver does not count.
        assert (layer.channels["mail"].qsize(), layer.channels["mail"].empty()) == (2, False)
        assert (layer.channels["chat"].qsize(), layer.channels["chat"].empty()) == (0, True)
        assert "'mail'" in repr(layer.channels)
        with pytest.raises(KeyError):
            layer.channels["other"]
        await ended(task)

    async def test_a_channel_may_be_deleted_whether_or_not_anything_waits(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("chat"))
        await layer.send("chat", {"n": 1})
        del layer.channels["chat"]
        assert await task == {"n": 1}

    async def test_channels_may_be_deleted_from_in_a_loop(
        self, layer: InMemoryChannelLayer
    ) -> None:
        for name in ("a", "b!1"):
            await layer.send(name, {})
        for name in layer.channels:
            del layer.channels[name]
        assert layer.channels == {}
        await layer.send("a", {})
        layer.channels.clear()
        assert layer.channels == {}

    def test_a_channel_cannot_be_assigned(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(TypeError, match="await send\\('mail', message\\)"):
            layer.channels["mail"] = ()


class TestMessages:
    async def test_they_arrive_in_the_order_in_which_they_were_sent(
        self, layer: InMemoryChannelLayer
    ) -> None:
        for number in range(3):
            await layer.send("mail", {"type": "n", "n": number})
        assert [(await layer.receive("mail"))["n"] for _ in range(3)] == [0, 1, 2]
        assert is_empty_but_for_checks(layer)

    async def test_each_arrives_once(self, layer: InMemoryChannelLayer) -> None:
        await layer.send("mail", {"n": 1})
        await layer.receive("mail")
        second = await waiting(layer.receive("mail"))
        await ended(second)

    async def test_channels_are_apart(self, layer: InMemoryChannelLayer) -> None:
        await layer.send("a", {"to": "a"})
        await layer.send("b", {"to": "b"})
        assert await layer.receive("b") == {"to": "b"}
        assert await layer.receive("a") == {"to": "a"}

    async def test_a_waiting_receiver_is_woken(self, layer: InMemoryChannelLayer) -> None:
        task = await waiting(layer.receive("mail"))
        assert list(layer.channels) == ["mail"]
        await layer.send("mail", {"n": 1})
        assert is_empty(layer)
        assert await task == {"n": 1}

    async def test_a_receiver_may_change_its_message(self, layer: InMemoryChannelLayer) -> None:
        message = {"type": "x", "user": {"tags": ["a"]}}
        for channel in ("a", "b"):
            await layer.group_add("room", channel)
        await layer.group_send("room", message)
        message["user"]["tags"].append("sender")  # type: ignore[index] # it is a dict
        first = await layer.receive("a")
        first["user"]["tags"].append("first")
        assert await layer.receive("b") == {"type": "x", "user": {"tags": ["a"]}}

    async def test_a_message_that_cannot_be_packed_is_rejected_at_once(
        self, layer: InMemoryChannelLayer
    ) -> None:
        message = {"user": {"id": uuid.UUID(int=1)}}
        with pytest.raises(TypeError, match=re.escape('message["user"]["id"]: UUID')):
            await layer.send("mail", message)
        with pytest.raises(TypeError, match=re.escape('message["user"]["id"]: UUID')):
            await layer.group_send("nobody", message)
        with pytest.raises(TypeError, match="must be a dict, not str"):
            await layer.send("mail", "hello")
        assert is_empty(layer)

    async def test_deep_copies_let_objects_pass(self) -> None:
        layer = InMemoryChannelLayer(isolation="deepcopy")
        message = {"id": uuid.UUID(int=1), "place": (1, [2])}
        await layer.send("mail", message)
        message["place"][1].append(3)  # type: ignore[index] # it is a tuple
        assert await layer.receive("mail") == {"id": uuid.UUID(int=1), "place": (1, [2])}


def is_empty_but_for_checks(layer: InMemoryChannelLayer, *, listening: bool = False) -> bool:
    """Return whether no message waits, though a check for expired ones may still be planned."""
    kept = layer._store._backlogs.kept
    return bool(layer.channels) <= listening and not layer.groups and not any(kept.values())


class TestNames:
    @pytest.mark.parametrize("name", ["", "a b", "a!b!c", "ä", "x" * 100, None, ["a"], b"a"])
    async def test_a_bad_channel_name_is_refused_everywhere(
        self, layer: InMemoryChannelLayer, name: Any
    ) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: layer.send(name, {}),
            lambda: layer.receive(name),
            lambda: layer.group_add("room", name),
            lambda: layer.group_discard("room", name),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="Channel name must be"):
                await call()
        assert is_empty(layer)

    @pytest.mark.parametrize("name", ["", "a b", "a!b", "x" * 100, None, ["a"]])
    async def test_a_bad_group_name_is_refused_everywhere(
        self, layer: InMemoryChannelLayer, name: Any
    ) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: layer.group_add(name, "a"),
            lambda: layer.group_discard(name, "a"),
            lambda: layer.group_send(name, {}),
            lambda: layer.group_channels(name),
            lambda: layer.group_count(name),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="Group name must be"):
                await call()

    async def test_a_limited_number_of_valid_names_is_remembered(
        self, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(layer_module, "_REMEMBERED", 2)
        for name in ("a", "b", "c", "a"):
            await layer.send(name, {})
            assert len(layer._checked) <= 2

    async def test_a_str_of_a_subclass_is_a_name_too(self, layer: InMemoryChannelLayer) -> None:
        class Name(str):
            __slots__ = ()

        await layer.send(Name("mail"), {"n": 1})
        assert await layer.receive("mail") == {"n": 1}


class TestCapacity:
    async def test_sending_to_a_full_channel_raises_an_error_with_its_name(
        self, layer: InMemoryChannelLayer
    ) -> None:
        for _ in range(3):
            await layer.send("mail", {})
        with pytest.raises(ChannelFull, match="'mail' is at its capacity of 3 messages"):
            await layer.send("mail", {})
        await layer.receive("mail")
        await layer.send("mail", {})

    async def test_it_may_depend_on_the_name(self) -> None:
        layer = InMemoryChannelLayer(
            capacity=3, channel_capacity={"jobs.*": 1, re.compile(r"mail\.\d+$"): 2}
        )
        for name, room in (("jobs.resize", 1), ("mail.7", 2), ("mail.x", 3)):
            for _ in range(room):
                await layer.send(name, {})
            with pytest.raises(ChannelFull, match=f"capacity of {room} "):
                await layer.send(name, {})

    async def test_a_message_handed_to_a_receiver_does_not_count(
        self, layer: InMemoryChannelLayer
    ) -> None:
        tasks = [await waiting(layer.receive("mail")) for _ in range(5)]
        for _ in range(8):
            await layer.send("mail", {})
        with pytest.raises(ChannelFull):
            await layer.send("mail", {})
        await asyncio.gather(*tasks)

    async def test_process_specific_names_share_it_up_to_the_mark(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await layer.send("web.1!a", {})
        await layer.send("web.1!b", {})
        await layer.send("web.1!a", {})
        for name in ("web.1!a", "web.1!b", "web.1!c", "web.1!"):
            with pytest.raises(ChannelFull):
                await layer.send(name, {})
        await layer.send("web.2!a", {})
        await layer.receive("web.1!b")
        await layer.send("web.1!c", {})

    async def test_a_group_passes_over_its_full_members(
        self, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("full", "roomy"):
            await layer.group_add("room", name)
        for _ in range(3):
            await layer.send("full", {"n": 0})
        await layer.group_send("room", {"n": 1})
        await layer.group_send("room", {"n": 2})
        assert [await layer.receive("roomy") for _ in range(2)] == [{"n": 1}, {"n": 2}]
        assert layer.dropped == 2
        [record] = caplog.records
        assert (record.name, record.levelno) == ("django.channels.layers.memory", logging.WARNING)
        assert "'room'" in record.getMessage()

    async def test_nothing_is_logged_while_no_member_is_full(
        self, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        await layer.group_add("room", "a")
        await layer.group_send("room", {})
        assert layer.dropped == 0
        assert caplog.records == []


class TestDroppedMessages:
    """`dropped`, and the warnings about it."""

    @pytest.fixture
    async def layer(self, clock: Clock) -> InMemoryChannelLayer:
        layer = InMemoryChannelLayer(capacity=0, clock=clock)
        for group, members in (("room", 3), ("hall", 2)):
            for number in range(members):
                await layer.group_add(group, f"{group}.{number}")
        return layer

    async def test_the_first_warning_names_the_group_and_the_count(
        self, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        await layer.group_send("room", {})
        assert layer.dropped == 3
        [record] = caplog.records
        assert (record.name, record.levelno) == ("django.channels.layers.memory", logging.WARNING)
        assert "'room'" in record.getMessage()
        assert "3 message(s)" in record.getMessage()

    async def test_later_ones_are_counted_together_every_ten_seconds(
        self, layer: InMemoryChannelLayer, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        await layer.group_send("room", {})
        clock.advance(9)
        await layer.group_send("room", {})
        await layer.group_send("hall", {})
        assert len(caplog.records) == 1
        clock.advance(1)
        await layer.group_send("hall", {})
        assert layer.dropped == 10
        told = caplog.records[1].getMessage()
        assert "'hall'" in told
        assert "7 message(s)" in told

    async def test_a_logging_handler_may_itself_send_to_a_full_group(
        self, layer: InMemoryChannelLayer
    ) -> None:
        class Announcer(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                in_thread(lambda: layer.group_send_sync("hall", {}))

        handler = Announcer()
        logger = logging.getLogger("django.channels.layers.memory")
        logger.addHandler(handler)
        try:
            await layer.group_send("room", {})
        finally:
            logger.removeHandler(handler)
        assert layer.dropped == 5


class TestExpiry:
    async def test_an_old_message_is_passed_over(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.send("mail", {"n": 1})
        clock.advance(59)
        await layer.send("mail", {"n": 2})
        clock.advance(1)
        assert await layer.receive("mail") == {"n": 2}

    async def test_a_receiver_that_passed_it_over_and_gave_up_leaves_no_channel(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.send("mail", {"n": 1})
        clock.advance(60)
        task = await waiting(layer.receive("mail"))
        await ended(task)
        assert len(layer.channels) == 0
        assert is_empty(layer)

    @pytest.mark.parametrize(
        "operation",
        [
            lambda layer: layer.group_send("nobody", {}),
            lambda layer: layer.group_add("room", "other"),
            lambda layer: layer.group_discard("room", "other"),
            lambda layer: layer.group_channels("room"),
            lambda layer: layer.group_count("room"),
            lambda layer: layer.forget_channel("other"),
        ],
        ids=["group_send", "group_add", "group_discard", "channels", "count", "forget"],
    )
    async def test_any_later_operation_drops_it(
        self,
        layer: InMemoryChannelLayer,
        clock: Clock,
        operation: Callable[[InMemoryChannelLayer], Awaitable[object]],
    ) -> None:
        await layer.send("mail", {"n": 1})
        clock.advance(60)
        assert "mail" in layer.channels
        await operation(layer)
        assert "mail" not in layer.channels

    async def test_the_room_that_it_took_is_free_again(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        for _ in range(3):
            await layer.send("web!a", {})
        clock.advance(60)
        for _ in range(3):
            await layer.send("web!b", {})

    async def test_a_channel_that_lets_one_expire_leaves_its_groups(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        for group in ("room", "hall"):
            await layer.group_add(group, "gone")
            await layer.group_add(group, "alive")
        await layer.send("gone", {})
        clock.advance(60)
        assert await layer.group_channels("room") == ["alive"]
        assert layer.groups == {"room": {"alive": 1000.0}, "hall": {"alive": 1000.0}}

    async def test_a_membership_ends_unless_it_is_renewed(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room", "a")
        await layer.group_add("room", "b")
        clock.advance(86399)
        await layer.group_add("room", "b")
        clock.advance(1)
        assert await layer.group_channels("room") == ["b"]
        clock.advance(86399)
        assert await layer.group_count("room") == 0
        assert is_empty(layer)


class TestReceivers:
    async def test_one_of_several_gets_a_message_the_longest_waiting_first(
        self, layer: InMemoryChannelLayer
    ) -> None:
        tasks = [await waiting(layer.receive("mail")) for _ in range(3)]
        for number in range(3):
            await layer.send("mail", {"n": number})
        assert await asyncio.gather(*tasks) == [{"n": number} for number in range(3)]

    async def test_receivers_take_turns(self, layer: InMemoryChannelLayer) -> None:
        counts = [0, 0, 0]

        async def read(reader: int) -> None:
            while True:
                await layer.receive("mail")
                counts[reader] += 1

        tasks = [await waiting(read(reader)) for reader in range(3)]
        for _ in range(30):
            await layer.send("mail", {})
            await turn()
        assert counts == [10, 10, 10]
        for task in tasks:
            await ended(task)
        assert is_empty(layer)

    async def test_one_that_is_cancelled_while_it_waits_leaves_nothing(
        self, layer: InMemoryChannelLayer
    ) -> None:
        first, second = [await waiting(layer.receive("mail")) for _ in range(2)]
        await ended(first)
        assert list(layer.channels) == ["mail"]
        await ended(second)
        assert is_empty(layer)

    async def test_one_that_is_cancelled_with_a_message_gives_it_to_the_next(
        self, layer: InMemoryChannelLayer
    ) -> None:
        first, second = [await waiting(layer.receive("mail")) for _ in range(2)]
        await layer.send("mail", {"n": 1})
        await ended(first)
        assert await second == {"n": 1}

    async def test_one_that_is_cancelled_with_a_message_puts_it_back_in_front(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("mail"))
        for number in range(4):
            # Not by `send`: that lets the receiver run before the channel is full.
            assert layer._store.put("mail", {"n": number})
        await ended(task)
        assert len(layer.channels["mail"]) == 4
        assert [(await layer.receive("mail"))["n"] for _ in range(4)] == [0, 1, 2, 3]

    async def test_several_put_theirs_back_in_the_order_in_which_they_were_sent(
        self, layer: InMemoryChannelLayer
    ) -> None:
        tasks = [await waiting(layer.receive("web!a")) for _ in range(3)]
        for number in range(6):
            assert layer._store.put("web!a", {"n": number})
        for place in (2, 0, 1):
            tasks[place].cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert [(await layer.receive("web!a"))["n"] for _ in range(6)] == list(range(6))
        await layer.send("web!a", {})

    async def test_one_that_is_cancelled_before_the_message_comes_does_not_get_it(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("mail"))
        task.cancel()
        await layer.send("mail", {"n": 1})
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await layer.receive("mail") == {"n": 1}

    async def test_a_message_that_was_given_back_keeps_its_age(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room", "mail")
        task = await waiting(layer.receive("mail"))
        await layer.send("mail", {"n": 1})
        clock.advance(30)
        await ended(task)
        clock.advance(30)
        assert await layer.group_count("room") == 0
        assert is_empty(layer)

    @pytest.mark.parametrize("steps", range(6))
    async def test_no_message_is_lost_at_whatever_step_a_time_limit_ends_a_receive(
        self, layer: InMemoryChannelLayer, steps: int
    ) -> None:
        """Race a cancellation through `wait_for` against the arrival of a message."""
        got: list[object] = []

        async def read() -> None:
            got.append(await asyncio.wait_for(layer.receive("mail"), timeout=60))

        task = await waiting(read())
        await turn()
        sender = asyncio.create_task(layer.send("mail", {"n": 1}))
        for _ in range(steps):
            await turn()
        task.cancel()
        await asyncio.gather(task, sender, return_exceptions=True)
        if not got:
            got.append(await asyncio.wait_for(layer.receive("mail"), timeout=10))
        assert got == [{"n": 1}]
        assert is_empty_but_for_checks(layer)

    async def test_a_call_that_is_closed_by_hand_leaves_nothing(
        self, layer: InMemoryChannelLayer
    ) -> None:
        call = layer.receive("mail")
        call.send(None)
        assert list(layer.channels) == ["mail"]
        call.close()
        assert is_empty(layer)


class TestACopy:
    """A message to be sent after a commit is copied, or rejected, at the time of the call."""

    def test_it_is_what_a_receiver_would_get(self, layer: InMemoryChannelLayer) -> None:
        rooms = [(1, 2)]
        copy = layer.copy_message({"type": "x", "rooms": rooms})
        rooms.clear()
        assert copy == {"type": "x", "rooms": [[1, 2]]}
        flat = {"type": "x"}
        assert layer.copy_message(flat) == flat
        assert layer.copy_message(flat) is not flat

    def test_a_message_that_cannot_be_sent_fails(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(TypeError, match=r'message\["n"\]: object cannot cross'):
            layer.copy_message({"n": object()})
        with pytest.raises(TypeError, match=r'message\["n"\]: object cannot cross'):
            layer.send_on_commit("mail", {"n": object()})

    def test_with_deepcopy_anything_goes(self) -> None:
        one = object()
        copying = InMemoryChannelLayer(isolation="deepcopy")
        assert set(copying.copy_message({"n": [one]})) == {"n"}


async def test_a_deep_copy_is_an_empty_layer_with_the_same_options(clock: Clock) -> None:
    layer = InMemoryChannelLayer(capacity=3, isolation="deepcopy", clock=clock)
    await layer.send("mail", {"n": 1})
    copy = deepcopy(layer)
    assert copy.capacity == 3
    assert list(copy.channels) == []
    one = object()
    assert set(copy.copy_message({"n": one})) == {"n"}
    await copy.group_add("room", "mail")
    assert copy.groups == {"room": {"mail": clock.now}}
    assert list(layer.channels) == ["mail"]
    assert layer.groups == {}


class TestBursts:
    """Sending in a plain loop lets idle readers run."""

    @pytest.fixture
    def layer(self) -> InMemoryChannelLayer:
        return InMemoryChannelLayer(capacity=10)

    @staticmethod
    def read(layer: InMemoryChannelLayer, name: str) -> tuple[asyncio.Task[None], list[int]]:
        got: list[int] = []

        async def read() -> None:
            while True:
                got.append((await layer.receive(name))["n"])
                await turn()  # as a consumer between two messages

        return asyncio.create_task(read()), got

    @pytest.mark.parametrize("at_once", [False, True])
    async def test_members_that_are_idle_get_all_of_it(
        self, layer: InMemoryChannelLayer, at_once: bool
    ) -> None:
        readers = [self.read(layer, name) for name in ("a", "b")]
        for name in ("a", "b"):
            await layer.group_add("room", name)
        await turn()
        sending = [layer.group_send("room", {"n": number}) for number in range(200)]
        if at_once:
            await asyncio.gather(*sending)
        else:
            for one in sending:
                await one
        for task, got in readers:
            while len(got) < 200:
                await turn()
            assert got == list(range(200))
            await ended(task)
        assert layer.dropped == 0

    async def test_a_channel_that_is_sent_to_directly_gets_all_of_it(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task, got = self.read(layer, "a")
        for number in range(200):
            await layer.send("a", {"n": number})
        while len(got) < 200:
            await turn()
        assert got == list(range(200))
        await ended(task)

    async def test_a_member_that_is_busy_is_not_waited_for_twice(
        self, layer: InMemoryChannelLayer
    ) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await turn()

        await layer.group_add("room", "busy")
        task = asyncio.create_task(count())
        for number in range(8):
            await layer.group_send("room", {"n": number})
        before = turns
        for number in range(8, 12):
            await layer.group_send("room", {"n": number})
        assert before > 1
        assert turns == before
        assert layer.dropped == 2
        # Once the reader takes messages again, the sender waits for it.
        assert (await layer.receive("busy"))["n"] == 0
        await layer.group_send("room", {"n": 12})
        assert turns > before
        await ended(task)

    @pytest.mark.parametrize("threads", [1, 2])
    async def test_other_threads_get_pauses_of_the_interpreter(
        self, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch, threads: int
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(threading, "active_count", lambda: threads)
        monkeypatch.setattr(time, "sleep", pauses.append)
        for _ in range(7):
            await layer.send("busy", {})
        assert bool(pauses) == (threads > 1)
        assert sum(pauses) < 0.01

    @pytest.mark.parametrize("way", ["forget", "delete", "flush", "expire", "receive"])
    async def test_a_channel_that_was_full_is_forgotten(self, way: str, clock: Clock) -> None:
        layer = InMemoryChannelLayer(capacity=4, clock=clock)
        for _ in range(3):
            await layer.send("a", {})
        assert layer._store.half_full
        if way == "forget":
            await layer.forget_channel("a")
        elif way == "delete":
            del layer.channels["a"]
        elif way == "flush":
            await layer.flush()
        else:
            if way == "receive":
                for _ in range(3):
                    await layer.receive("a")
            clock.advance(61)
            await layer.group_count("room")
        assert not layer._store.half_full

    async def test_half_full_is_room_enough(self, layer: InMemoryChannelLayer) -> None:
        for number in range(5):
            with pytest.raises(StopIteration):  # it does not wait
                layer.send("a", {"n": number}).send(None)
        assert not layer._store.half_full


class TestThreadsAndLoops:
    async def test_a_thread_without_a_loop_wakes_a_receiver(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("mail"))
        await asyncio.to_thread(layer.send_sync, "mail", {"n": 1})
        assert await asyncio.wait_for(task, timeout=10) == {"n": 1}

    async def test_code_without_a_loop_wakes_a_receiver(self, layer: InMemoryChannelLayer) -> None:
        def send() -> None:
            with pytest.raises(StopIteration):
                layer.send("mail", {"n": 1}).send(None)

        task = await waiting(layer.receive("mail"))
        await asyncio.to_thread(send)
        assert await asyncio.wait_for(task, timeout=10) == {"n": 1}

    async def test_another_loop_wakes_a_receiver(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "mail")
        task = await waiting(layer.receive("mail"))
        await asyncio.to_thread(lambda: asyncio.run(layer.group_send("room", {"n": 1})))
        assert await asyncio.wait_for(task, timeout=10) == {"n": 1}

    def test_loops_come_and_go(self, layer: InMemoryChannelLayer) -> None:
        asyncio.run(layer.send("mail", {"n": 1}))
        assert asyncio.run(layer.receive("mail")) == {"n": 1}
        layer.send_sync("mail", {"n": 2})
        assert asyncio.run(layer.receive("mail")) == {"n": 2}

    def test_a_receiver_in_another_thread_is_woken_at_once(
        self, layer: InMemoryChannelLayer
    ) -> None:
        """Nothing else could wake its loop."""
        got: list[object] = []
        ready = threading.Event()

        async def read() -> None:
            task = await waiting(layer.receive("mail"))
            ready.set()
            got.append(await task)

        thread = threading.Thread(target=asyncio.run, args=(read(),))
        thread.start()
        ready.wait()
        asyncio.run(layer.send("mail", {"n": 1}))
        thread.join()
        assert got == [{"n": 1}]

    async def test_one_cancelled_after_another_thread_gave_it_a_message_gives_it_back(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("mail"))
        in_thread(lambda: asyncio.run(layer.send("mail", {"n": 1})))
        assert is_empty(layer)
        await ended(task)
        assert await layer.receive("mail") == {"n": 1}

    def test_many_threads_reach_many_loops_and_nothing_is_lost(self) -> None:
        layer = InMemoryChannelLayer(capacity=10**6)
        each, total = 200, 800
        got: list[int] = []
        finished = threading.Event()

        async def read() -> None:
            async def one() -> None:
                while True:
                    got.append((await layer.receive("mail"))["n"])
                    if len(got) == total:
                        finished.set()

            tasks = [asyncio.create_task(one()) for _ in range(3)]
            await asyncio.to_thread(finished.wait)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        async def send(base: int) -> None:
            for number in range(base, base + each):
                await layer.send("mail", {"n": number})
                await turn()

        threads = [threading.Thread(target=asyncio.run, args=(read(),)) for _ in range(2)]
        threads += [
            threading.Thread(target=asyncio.run, args=(send(base),))
            for base in range(0, total, each)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == list(range(total))
        assert is_empty_but_for_checks(layer)

    def test_a_receiver_whose_loop_is_closed_is_passed_over(
        self, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Asyncio logs that the tasks were destroyed."""
        loop = asyncio.new_event_loop()
        tasks = {loop.create_task(layer.receive("mail")) for _ in range(2)}
        loop.run_until_complete(turn())
        loop.close()
        tasks.clear()

        async def later() -> object:
            alive = await waiting(layer.receive("mail"))
            await layer.send("mail", {"n": 1})
            return await alive

        assert asyncio.run(later()) == {"n": 1}
        gc.collect()
        asyncio.run(layer.send("mail", {"n": 2}))
        assert asyncio.run(layer.receive("mail")) == {"n": 2}
        assert is_empty_but_for_checks(layer)
        assert {record.name for record in caplog.records} == {"asyncio"}

    def test_receivers_may_be_collected_in_the_middle_of_an_operation(self) -> None:
        """The clock is read under the lock, for which a collected receiver must not wait."""
        times = iter(range(1000, 2000))

        def clock() -> float:
            gc.collect()
            return next(times)

        layer = InMemoryChannelLayer(clock=clock)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        tasks = {loop.create_task(layer.receive("mail"))}
        loop.run_until_complete(turn())
        asyncio.run(layer.send("mail", {"n": 1}))
        loop.close()
        tasks.clear()
        assert asyncio.run(layer.group_count("room")) == 0
        assert asyncio.run(layer.receive("mail")) == {"n": 1}

    def test_a_loop_that_is_closed_with_a_message_on_its_way_loses_none(
        self, layer: InMemoryChannelLayer
    ) -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        tasks = {loop.create_task(layer.receive("mail"))}
        loop.run_until_complete(turn())
        asyncio.run(layer.send("mail", {"n": 1}))
        assert is_empty(layer)
        loop.close()
        tasks.clear()
        gc.collect()
        assert asyncio.run(layer.receive("mail")) == {"n": 1}


class Bell:
    """A reader that counts how often it is woken."""

    def __init__(self) -> None:
        self.rings = 0
        self.rung = asyncio.Event()

    def ring(self) -> None:
        self.rings += 1
        self.rung.set()


class TestListening:
    """`listen`: reading a channel without a task."""

    async def test_messages_are_taken_in_order(self, layer: InMemoryChannelLayer) -> None:
        take = layer.listen("mail", Bell().ring)
        for number in range(3):
            await layer.send("mail", {"n": number})
        assert [take() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, None]
        assert is_empty_but_for_checks(layer, listening=True)

    async def test_nobody_is_woken_once_it_has_ended(self) -> None:
        bell = Bell()
        listener = Listener("mail", lambda name, listener: None, bell.ring)
        listener.end()
        listener.wake()
        assert bell.rings == 0

    async def test_the_first_message_wakes_and_the_next_ones_do_not(
        self, layer: InMemoryChannelLayer
    ) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        assert bell.rings == 0
        await layer.send("mail", {"n": 1})
        await layer.send("mail", {"n": 2})
        assert bell.rings == 1
        while take():
            pass
        await layer.send("mail", {"n": 3})
        assert bell.rings == 2

    async def test_a_new_channel_joins_and_leaves(self, layer: InMemoryChannelLayer) -> None:
        name = await layer.new_channel()
        await layer.group_add("room", name)
        assert await layer.group_channels("room") == [name]
        await layer.group_discard("room", name)
        assert await layer.group_channels("room") == []

    async def test_a_group_wakes_each_member(self, layer: InMemoryChannelLayer) -> None:
        bells = {name: Bell() for name in ("a", "b")}
        takes = {name: layer.listen(name, bell.ring) for name, bell in bells.items()}
        for name in bells:
            await layer.group_add("room", name)
        await layer.group_send("room", {"deep": [1]})
        assert [bell.rings for bell in bells.values()] == [1, 1]
        first, second = (take() for take in takes.values())
        assert first == second == {"deep": [1]}
        assert first is not second

    async def test_a_message_that_is_there_already_is_taken_at_once(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await layer.send("mail", {"n": 1})
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        assert bell.rings == 0
        await turn()
        # A reader that waits before it looks is woken.
        assert bell.rings == 1
        assert take() == {"n": 1}

    async def test_messages_count_towards_the_capacity_until_they_are_taken(
        self, layer: InMemoryChannelLayer
    ) -> None:
        take = layer.listen("web!a", Bell().ring)
        for number in range(3):
            await layer.send("web!a", {"n": number})
        with pytest.raises(ChannelFull):
            await layer.send("web!a", {})
        assert take() == {"n": 0}
        await layer.send("web!a", {})

    async def test_an_expired_message_is_passed_over(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        await layer.send("mail", {"n": 1})
        clock.advance(59)
        await layer.send("mail", {"n": 2})
        clock.advance(1)
        assert take() == {"n": 2}
        await layer.send("mail", {"n": 3})
        clock.advance(60)
        assert take() is None
        await layer.send("mail", {"n": 4})
        assert bell.rings == 3
        assert take() == {"n": 4}

    async def test_a_forgotten_channel_wakes_no_more(self, layer: InMemoryChannelLayer) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        in_thread(lambda: asyncio.run(layer.send("mail", {"n": 1})))
        await layer.forget_channel("mail")
        await turn()
        assert bell.rings == 0
        assert take() is None
        assert is_empty(layer)
        await layer.send("mail", {"n": 2})
        assert bell.rings == 0

    async def test_a_later_call_replaces_an_earlier_one(self, layer: InMemoryChannelLayer) -> None:
        first, second = Bell(), Bell()
        takes = [layer.listen("mail", bell.ring) for bell in (first, second)]
        await layer.send("mail", {"n": 1})
        assert (first.rings, second.rings) == (0, 1)
        assert takes[1]() == {"n": 1}

    async def test_a_receive_that_waits_goes_first(self, layer: InMemoryChannelLayer) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        task = await waiting(layer.receive("mail"))
        await layer.send("mail", {"n": 1})
        await layer.send("mail", {"n": 2})
        assert await task == {"n": 1}
        assert bell.rings == 1
        # A call that comes later takes the first message that waits.
        assert await layer.receive("mail") == {"n": 2}
        assert take() is None

    async def test_a_message_that_a_receive_gives_back_wakes(
        self, layer: InMemoryChannelLayer
    ) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        task = await waiting(layer.receive("mail"))
        await layer.send("mail", {"n": 1})
        await ended(task)
        await turn()
        assert bell.rings == 1
        assert take() == {"n": 1}

    @pytest.mark.parametrize("loop", [False, True])
    async def test_a_thread_wakes_it_in_its_own_loop(
        self, layer: InMemoryChannelLayer, loop: bool
    ) -> None:
        threads: list[int] = []
        bell = Bell()

        def wake() -> None:
            threads.append(threading.get_ident())
            bell.ring()

        take = layer.listen("mail", wake)
        if loop:
            sending = asyncio.to_thread(asyncio.run, layer.send("mail", {"n": 1}))
        else:
            sending = asyncio.to_thread(layer.send_sync, "mail", {"n": 1})
        await sending
        await asyncio.wait_for(bell.rung.wait(), timeout=10)
        assert threads == [threading.get_ident()]
        assert take() == {"n": 1}

    def test_a_loop_that_is_closed_is_passed_over(self, layer: InMemoryChannelLayer) -> None:
        async def listen() -> object:
            return layer.listen("mail", Bell().ring)

        take = asyncio.run(listen())
        asyncio.run(layer.send("mail", {"n": 1}))
        assert asyncio.run(layer.receive("mail")) == {"n": 1}
        del take

    async def test_a_listener_that_is_garbage_collected_is_removed(
        self, layer: InMemoryChannelLayer
    ) -> None:
        takes = [layer.listen(name, Bell().ring) for name in ("mail", "chat", "news")]
        assert list(layer.channels) == ["mail", "chat", "news"]
        takes.clear()
        gc.collect()
        assert layer.channels == {}
        await layer.send("mail", {"n": 1})
        await layer.forget_channel("mail")
        take = layer.listen("mail", Bell().ring)
        assert list(layer._store._listeners) == ["mail"]
        assert take() is None

    async def test_it_is_seen_among_the_channels(self, layer: InMemoryChannelLayer) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        assert "mail" in layer.channels
        assert len(layer.channels) == 1
        assert (len(layer.channels["mail"]), layer.channels["mail"].empty()) == (1, True)
        await layer.send("mail", {"n": 1})
        assert layer.channels["mail"].qsize() == 1
        layer.channels = {}
        assert layer.channels == {}
        await layer.send("mail", {"n": 2})
        assert bell.rings == 1
        assert take() == {"n": 2}

    async def test_a_flush_leaves_it_listening(self, layer: InMemoryChannelLayer) -> None:
        bell = Bell()
        take = layer.listen("mail", bell.ring)
        await layer.send("mail", {"n": 1})
        await layer.flush()
        assert take() is None
        await layer.send("mail", {"n": 2})
        assert bell.rings == 2

    async def test_a_bad_name_is_refused(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(TypeError, match="Channel name must be"):
            layer.listen("two words", Bell().ring)

    def test_it_needs_an_event_loop(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(RuntimeError):
            layer.listen("mail", print)
        assert layer.channels == {}


class Reader(Bell):
    """The program's side of a listener that can tell whether it waits."""

    def __init__(self, layer: InMemoryChannelLayer, channel: str = "mail") -> None:
        super().__init__()
        self.waits = True
        self.offers = 0
        self.take = layer.listen(channel, self.ring, self.offer)

    def offer(self) -> bool:
        """Return whether it waits, once: then it is awake."""
        waits, self.waits = self.waits, False
        self.offers += waits
        return waits


class TestAListenerThatWaits:
    """A message that comes while the channel is empty is given to a listener that waits."""

    async def test_it_gets_the_message_and_then_those_in_the_channel(
        self, layer: InMemoryChannelLayer
    ) -> None:
        reader = Reader(layer)
        for number in range(3):
            await layer.send("mail", {"n": number})
        assert (reader.offers, reader.rings) == (1, 1)
        assert [reader.take() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, None]
        await layer.send("mail", {"n": 3})
        assert (reader.offers, reader.rings) == (1, 2)
        assert [reader.take(), reader.take()] == [{"n": 3}, None]
        reader.waits = True
        await layer.send("mail", {"n": 4})
        assert (reader.offers, reader.rings) == (2, 2)
        assert [reader.take(), reader.take()] == [{"n": 4}, None]

    async def test_it_may_say_that_it_waits_until_it_has_taken_one(
        self, layer: InMemoryChannelLayer
    ) -> None:
        rings: list[None] = []
        take = layer.listen("mail", lambda: rings.append(None), lambda: True)
        for number in range(3):
            await layer.send("mail", {"n": number})
        assert len(rings) == 1
        assert [take() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, None]

    async def test_each_member_of_a_group_has_its_own_copy(
        self, layer: InMemoryChannelLayer
    ) -> None:
        readers = [Reader(layer, name) for name in ("a", "b")]
        for name in ("a", "b"):
            await layer.group_add("room", name)
        message = {"deep": [1]}
        await layer.group_send("room", message)
        message["deep"].append(2)
        first, second = (reader.take() for reader in readers)
        assert first == second == {"deep": [1]}
        assert first is not None
        assert second is not None
        assert first["deep"] is not second["deep"]
        assert [reader.offers for reader in readers] == [1, 1]

    async def test_a_receive_that_waits_goes_first(self, layer: InMemoryChannelLayer) -> None:
        reader = Reader(layer)
        task = await waiting(layer.receive("mail"))
        await layer.send("mail", {"n": 1})
        assert await task == {"n": 1}
        assert (reader.offers, reader.rings) == (0, 0)

    async def test_the_message_counts_towards_the_capacity(
        self, layer: InMemoryChannelLayer
    ) -> None:
        reader = Reader(layer, "web!a")
        await layer.send("web!a", {"n": 0})
        assert layer._store.half_full == {}
        await layer.send("web!a", {"n": 1})
        assert list(layer._store.half_full) == ["web!a"]
        await layer.send("web!a", {"n": 2})
        with pytest.raises(ChannelFull):
            await layer.send("web!a", {})
        assert reader.take() == {"n": 0}
        await layer.send("web!a", {"n": 3})
        assert [reader.take() for _ in range(4)] == [{"n": 1}, {"n": 2}, {"n": 3}, None]

    @pytest.mark.parametrize("capacity", [2, 3, 4, 5])
    async def test_a_sender_gives_way_to_it_before_the_channel_is_full(self, capacity: int) -> None:
        layer = InMemoryChannelLayer(capacity=capacity)
        reader = Reader(layer)
        taken: list[int] = []

        async def read() -> None:
            while len(taken) < 20:
                await asyncio.sleep(0)
                while (message := reader.take()) is not None:
                    taken.append(message["n"])

        task = asyncio.create_task(read())
        for number in range(20):
            await layer.send("mail", {"n": number})
        await task
        assert taken == list(range(20))

    async def test_a_channel_for_one_message_has_it(self) -> None:
        layer = InMemoryChannelLayer(capacity=1)
        reader = Reader(layer)
        await layer.send("mail", {"n": 1})
        assert (reader.offers, reader.rings) == (0, 1)
        with pytest.raises(ChannelFull):
            await layer.send("mail", {"n": 2})
        assert reader.take() == {"n": 1}

    async def test_it_is_asked_in_its_own_event_loop_only(
        self, layer: InMemoryChannelLayer
    ) -> None:
        reader = Reader(layer)
        await asyncio.to_thread(asyncio.run, layer.send("mail", {"n": 1}))
        await asyncio.wait_for(reader.rung.wait(), timeout=10)
        assert (reader.offers, reader.rings) == (0, 1)
        assert reader.take() == {"n": 1}

    async def test_the_message_is_seen_in_its_channel(self, layer: InMemoryChannelLayer) -> None:
        reader = Reader(layer)
        await layer.send("mail", {"n": 1})
        assert layer.channels["mail"].qsize() == len(layer.channels["mail"]) == 1
        await layer.send("mail", {"n": 2})
        assert [message[2] for message in layer.channels["mail"]] == [{"n": 1}, {"n": 2}]
        del layer.channels["mail"]
        assert reader.take() is None
        with pytest.raises(KeyError, match="mail"):
            layer.channels["mail"]

    @pytest.mark.parametrize("drop", ["flush", "forget_channel"])
    async def test_the_message_is_dropped_with_its_channel(
        self, layer: InMemoryChannelLayer, drop: str
    ) -> None:
        reader = Reader(layer)
        await layer.send("mail", {"n": 1})
        await (layer.flush() if drop == "flush" else layer.forget_channel("mail"))
        assert reader.take() is None

    async def test_a_flush_passes_over_one_that_is_gone(self, layer: InMemoryChannelLayer) -> None:
        reader: Reader | None = Reader(layer)
        del reader
        gc.collect()
        await layer.flush()
        assert layer.channels == {}

    async def test_a_later_call_gets_the_message(self, layer: InMemoryChannelLayer) -> None:
        first = Reader(layer)
        await layer.send("mail", {"n": 1})
        second = Reader(layer)
        await turn()
        assert first.take() is None
        assert second.rings == 1
        assert [second.take(), second.take()] == [{"n": 1}, None]


class TestNewChannel:
    async def test_each_name_is_its_own_on_both_sides_of_the_mark(
        self, layer: InMemoryChannelLayer
    ) -> None:
        names = [await layer.new_channel() for _ in range(100)]
        for name in names:
            assert name.startswith("specific.")
            assert layer.require_valid_channel_name(name)
        assert len({name.partition("!")[0] for name in names}) == 100
        assert len({name.partition("!")[2] for name in names}) == 100

    async def test_the_prefix_may_be_chosen(self, layer: InMemoryChannelLayer) -> None:
        assert (await layer.new_channel("jobs.")).startswith("jobs.")
        assert (await layer.new_channel(prefix="jobs.")).startswith("jobs.")
        with pytest.raises(TypeError, match="Channel name must be"):
            await layer.new_channel("not allowed")

    async def test_a_consumer_does_not_use_up_the_capacity_of_another(
        self, layer: InMemoryChannelLayer
    ) -> None:
        slow, other = await layer.new_channel(), await layer.new_channel()
        for _ in range(3):
            await layer.send(slow, {})
        await layer.send(other, {"n": 1})
        assert await layer.receive(other) == {"n": 1}


class TestGroups:
    async def test_every_member_gets_a_message(self, layer: InMemoryChannelLayer) -> None:
        waits = await waiting(layer.receive("a"))
        for channel in ("a", "b"):
            await layer.group_add("room", channel)
        await layer.group_add("hall", "c")
        await layer.group_send("room", {"n": 1})
        assert await waits == {"n": 1}
        assert await layer.receive("b") == {"n": 1}
        assert "c" not in layer.channels

    async def test_a_channel_that_joins_twice_gets_a_message_once(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await layer.group_add("room", "a")
        await layer.group_add("room", "a")
        await layer.group_send("room", {"n": 1})
        assert len(layer.channels["a"]) == 1

    async def test_a_channel_that_has_left_gets_no_message(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await layer.group_add("room", "a")
        await layer.group_discard("room", "a")
        await layer.group_discard("room", "a")
        await layer.group_send("room", {"n": 1})
        assert is_empty(layer)

    async def test_its_channels_can_be_asked_for(self, layer: InMemoryChannelLayer) -> None:
        assert await layer.group_channels("room") == []
        assert await layer.group_count("room") == 0
        for channel in ("b", "a"):
            await layer.group_add("room", channel)
        assert await layer.group_channels("room") == ["b", "a"]
        assert await layer.group_count("room") == 2

    async def test_two_messages_arrive_in_one_order_everywhere(
        self, layer: InMemoryChannelLayer
    ) -> None:
        for channel in ("a", "b"):
            await layer.group_add("room", channel)
        await layer.group_send("room", {"n": 1})
        await layer.group_send("room", {"n": 2})
        for channel in ("a", "b"):
            assert [(await layer.receive(channel))["n"] for _ in range(2)] == [1, 2]

    async def test_no_task_is_made(self, layer: InMemoryChannelLayer) -> None:
        for number in range(100):
            await layer.group_add("room", f"c{number}")
        before = asyncio.all_tasks()
        call = layer.group_send("room", {"n": 1})
        with pytest.raises(StopIteration):
            call.send(None)
        assert asyncio.all_tasks() == before
        assert len(layer.channels) == 100


class TestEnds:
    async def test_a_flush_drops_all_but_the_receivers(self, layer: InMemoryChannelLayer) -> None:
        task = await waiting(layer.receive("chat"))
        await layer.send("web!a", {"n": 1})
        await layer.group_add("room", "chat")
        await layer.flush()
        assert list(layer.channels) == ["chat"]
        assert layer.groups == {}
        await layer.send("chat", {"n": 2})
        assert await task == {"n": 2}
        assert is_empty(layer)

    async def test_a_closed_layer_is_empty_and_may_be_used_again(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await layer.send("mail", {"n": 1})
        await layer.group_add("room", "mail")
        await layer.close()
        await layer.close()
        assert is_empty(layer)
        await layer.send("mail", {"n": 2})
        assert await layer.receive("mail") == {"n": 2}

    async def test_a_forgotten_channel_leaves_nothing(self, layer: InMemoryChannelLayer) -> None:
        channel = await layer.new_channel()
        for group in ("room", "hall"):
            await layer.group_add(group, channel)
        await layer.group_add("room", "other")
        await layer.send(channel, {"n": 1})
        await layer.forget_channel(channel)
        assert layer.channels == {}
        assert layer.groups == {"room": {"other": 1000.0}}
        await layer.group_discard("room", "other")
        assert is_empty(layer)
        assert layer._checked == set()

    async def test_a_receiver_of_a_forgotten_channel_goes_on_waiting(
        self, layer: InMemoryChannelLayer
    ) -> None:
        task = await waiting(layer.receive("chat"))
        await layer.forget_channel("chat")
        await layer.send("chat", {"n": 1})
        assert await task == {"n": 1}

    async def test_programs_may_delete_channels_and_groups(
        self, layer: InMemoryChannelLayer
    ) -> None:
        """Tests of programs clear a layer by hand."""
        for _ in range(3):
            await layer.send("web!a", {})
        await layer.group_add("room", "web!a")
        del layer.channels[next(iter(layer.channels))]
        layer.groups.clear()
        await layer.group_send("room", {})
        assert layer.channels == {}
        for _ in range(3):
            await layer.send("web!a", {})
        await layer.forget_channel("web!a")
        assert is_empty(layer)

    async def test_ten_thousand_connections_leave_nothing(
        self, layer: InMemoryChannelLayer
    ) -> None:
        before = asyncio.all_tasks()
        for number in range(10_000):
            channel = await layer.new_channel()
            await layer.group_add("all", channel)
            await layer.group_add(f"one.{number}", channel)
            task = asyncio.create_task(layer.receive(channel))
            if number % 3:
                await layer.send(channel, {"n": number})
                await turn()
                await layer.send(channel, {"n": number})
            task.cancel()
            await asyncio.wait([task])
            await layer.forget_channel(channel)
        assert is_empty(layer)
        assert layer._checked == set()
        assert asyncio.all_tasks() == before

    def test_a_layer_is_garbage_collected(self) -> None:
        layer = InMemoryChannelLayer()
        asyncio.run(layer.send("web!a", {}))
        reference = weakref.ref(layer)
        del layer
        gc.collect()
        assert reference() is None
