import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from channels_layers_memory._layer.backlogs import Backlog, Message
from channels_layers_memory._layer.store import OVERDUE, Store
from fakes import Clock, Fixed, Reader

EXPIRY, GROUP_EXPIRY, CAPACITY = 10, 35, 3

# Two channels with a capacity of their own, and two pairs that share one.
NAMES = st.sampled_from(["a", "b", "p!1", "p!2", "q!1", "q!2"])
GROUPS = st.sampled_from(["room", "hall"])


@dataclass(eq=False)
class Sent:
    """A message as the model keeps it."""

    number: int
    expires: float


@dataclass
class Model:
    """The behaviour of a store, written as plainly as possible."""

    now: float
    messages: dict[str, list[Sent]] = field(default_factory=dict)
    readers: dict[str, list[Reader]] = field(default_factory=dict)
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    handed: dict[Reader, Sent] = field(default_factory=dict)
    flushed: int = -1

    def waiting(self, name: str) -> list[Sent]:
        return self.messages.setdefault(name, [])

    def sweep(self) -> None:
        for name, messages in self.messages.items():
            expired = [message for message in messages if message.expires <= self.now]
            if expired:
                self.messages[name] = [one for one in messages if one not in expired]
                self.leave_all(name)

    def sweep_all(self) -> None:
        self.sweep()
        for members in self.groups.values():
            for channel, joined in list(members.items()):
                if joined <= self.now - GROUP_EXPIRY:
                    del members[channel]

    def leave_all(self, name: str) -> None:
        for members in self.groups.values():
            members.pop(name, None)

    def hand_over(self, name: str, message: Sent) -> bool:
        readers = self.readers.setdefault(name, [])
        while readers:
            reader = readers.pop(0)
            if reader.alive:
                self.handed[reader] = message
                return True
        return False

    def put(self, name: str, number: int) -> bool:
        message = Sent(number, self.now + EXPIRY)
        if self.hand_over(name, message):
            return True
        prefix, mark, _ = name.partition("!")
        sharing = [one for one in self.messages if one.startswith(prefix + "!")] if mark else [name]
        if sum(len(self.waiting(one)) for one in sharing) >= CAPACITY:
            return False
        self.waiting(name).append(message)
        return True

    def give_up(self, name: str, reader: Reader) -> None:
        message = self.handed.pop(reader, None)
        if message is None:
            if reader in self.readers.get(name, []):
                self.readers[name].remove(reader)
        elif message.number <= self.flushed:
            pass
        elif message.expires <= self.now:
            self.leave_all(name)
        elif not self.hand_over(name, message):
            self.waiting(name).append(message)
            self.waiting(name).sort(key=lambda one: one.number)


class Machine(RuleBasedStateMachine):
    """Do the same to a store and to the model, and compare."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = Store(Fixed(EXPIRY, GROUP_EXPIRY, CAPACITY), self.clock)
        self.model = Model(self.clock.now)
        self.numbers = count()
        self.calls: list[tuple[str, Reader]] = []

    @rule(seconds=st.sampled_from([0, 1, 2, 5, 9, 10, 11, 30]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock.now

    @rule(name=NAMES)
    def send(self, name: str) -> None:
        if self.clock.now >= self.store._messages_due + OVERDUE:
            self.model.sweep()
        number = next(self.numbers)
        accepted = self.model.put(name, number)
        if not accepted:
            self.model.sweep()
            accepted = self.model.put(name, number)
        assert self.store.put(name, {"n": number}) == accepted

    @rule(group=GROUPS)
    def send_to_group(self, group: str) -> None:
        self.model.sweep_all()
        number = next(self.numbers)
        members = list(self.model.groups.get(group, ()))
        dropped = [not self.model.put(name, number) for name in members]
        assert self.store.put_all(group, {"n": number}) == sum(dropped)

    @rule(name=NAMES)
    def receive(self, name: str) -> None:
        self.model.sweep()
        taken = self.store.take(name, Reader)
        if self.model.waiting(name):
            assert isinstance(taken, tuple)
            assert taken[2] == {"n": self.model.waiting(name).pop(0).number}
        else:
            assert isinstance(taken, Reader)
            self.model.readers.setdefault(name, []).append(taken)
            self.calls.append((name, taken))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def become_unreachable(self, data: st.DataObject) -> None:
        _, reader = data.draw(st.sampled_from(self.calls))
        reader.alive = False

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), later=st.booleans())
    def give_up(self, data: st.DataObject, later: bool) -> None:
        """End a call that waits or was given a message: it is cancelled or garbage collected."""
        self.model.sweep_all()
        call = data.draw(st.sampled_from(self.calls))
        self.calls.remove(call)
        self.model.give_up(*call)
        (self.store.give_up_later if later else self.store.give_up)(*call)

    @precondition(lambda self: self.model.handed)
    @rule(data=st.data())
    def return_with_message(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(list(self.model.handed)))
        assert reader.message is not None
        assert reader.message[2] == {"n": self.model.handed.pop(reader).number}
        self.calls = [call for call in self.calls if call[1] is not reader]

    @rule(group=GROUPS, name=NAMES)
    def join(self, group: str, name: str) -> None:
        self.model.sweep_all()
        self.model.groups.setdefault(group, {})[name] = self.model.now
        self.store.join(group, name)

    @rule(group=GROUPS, name=NAMES)
    def leave(self, group: str, name: str) -> None:
        self.model.sweep_all()
        self.model.groups.get(group, {}).pop(name, None)
        self.store.leave(group, name)

    @rule(group=GROUPS)
    def ask_for_members(self, group: str) -> None:
        self.model.sweep_all()
        assert self.store.members(group) == list(self.model.groups.get(group, ()))

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.model.sweep_all()
        self.model.messages.pop(name, None)
        self.model.leave_all(name)
        self.store.forget(name)

    @rule(name=NAMES)
    def delete_channel_from_outside(self, name: str) -> None:
        if not self.model.messages.pop(name, None):
            self.model.readers.pop(name, None)
        self.store.remove(name)

    @rule(group=GROUPS)
    def delete_group_from_outside(self, group: str) -> None:
        self.model.groups.pop(group, None)
        self.store.groups.members.pop(group, None)

    @rule()
    def flush(self) -> None:
        self.model.messages.clear()
        self.model.groups.clear()
        self.model.flushed = next(self.numbers)
        self.store.flush()

    @invariant()
    def the_same_waits_in_the_same_order(self) -> None:
        messages, readers = {}, {}
        for name, queue in self.store.channels.items():
            if isinstance(queue, Backlog):
                assert self.store._backlogs.kept[name] is queue
                messages[name] = [
                    payload["n"] for _, _, payload in queue if isinstance(payload, dict)
                ]
            else:
                readers[name] = list(queue) if isinstance(queue, OrderedDict) else [queue]
        assert messages == {
            name: [one.number for one in sent] for name, sent in self.model.messages.items() if sent
        }
        assert readers == {name: found for name, found in self.model.readers.items() if found}

    @invariant()
    def the_same_are_members(self) -> None:
        assert self.store.groups.members == {
            group: members for group, members in self.model.groups.items() if members
        }

    @invariant()
    def the_same_messages_are_on_their_way(self) -> None:
        handed = {reader: reader.message for _, reader in self.calls if reader.message is not None}
        assert {reader: message[2] for reader, message in handed.items()} == {
            reader: {"n": message.number} for reader, message in self.model.handed.items()
        }

    @invariant()
    def the_indices_agree(self) -> None:
        backlogs = self.store._backlogs
        held: dict[str, int] = {}
        for name, backlog in backlogs.kept.items():
            assert (self.store.channels.get(name) is backlog) == bool(backlog)
            assert backlog.next_check >= backlogs.next_check >= self.store._messages_due
            assert not backlog or backlog.next_check <= backlog[0][0]
            prefix, mark, _ = name.partition("!")
            if mark:
                held[prefix] = held.get(prefix, 0) + len(backlog)
        assert {prefix: share.used for prefix, share in backlogs._shared.items()} == held
        assert self.store.groups.oldest + GROUP_EXPIRY >= self.store._groups_due

    def teardown(self) -> None:
        """Check that nothing stays once the calls have ended and time has passed."""
        for call in self.calls:
            self.store.give_up(*call)
        self.time_passes(EXPIRY + GROUP_EXPIRY)
        self.store.members("room")
        for name in list(self.store.channels):
            assert not isinstance(self.store.channels[name], Backlog)
        assert self.store.groups.members == {}
        assert self.store.channels == {}
        assert self.store._backlogs.kept == {}
        assert self.store._backlogs._checks == []
        assert not self.store._thrown_away
        assert self.store._messages_due == inf


TestStore = Machine.TestCase


# Single cases that the state machine does not show clearly


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(Fixed(expiry=60, group_expiry=600, capacity=3), clock)


def received(store: Store, name: str) -> Iterator[object]:
    """Take all messages of a channel."""
    while isinstance(store.channels.get(name), Backlog):
        message = store.take(name, Reader)
        assert isinstance(message, tuple)
        yield message[2]


def handed(reader: Message | Reader) -> Message:
    assert isinstance(reader, Reader)
    assert reader.message is not None
    return reader.message


def test_put_leaves_expired_messages_until_they_are_overdue(store: Store, clock: Clock) -> None:
    store.put("a", {"n": 1})
    clock.advance(60 + OVERDUE - 1)
    store.put("b", {"n": 2})
    assert list(store.channels) == ["a", "b"]
    clock.advance(1)
    store.put("c", {"n": 3})
    assert list(store.channels) == ["b", "c"]


def test_expired_messages_do_not_count(store: Store, clock: Clock) -> None:
    for number in range(3):
        store.put("a", {"n": number})
    assert not store.put("a", {"n": 3})
    clock.advance(60)
    assert store.put("a", {"n": 4})
    assert list(received(store, "a")) == [{"n": 4}]


def test_messages_that_come_back_keep_their_order(store: Store) -> None:
    readers = [store.take("a", Reader) for _ in range(3)]
    for number in range(5):
        store.put("a", {"n": number})
    for reader in (readers[0], readers[2], readers[1]):
        assert isinstance(reader, Reader)
        store.give_up("a", reader)
    # Two more than the capacity: a message that was accepted is not rejected later.
    assert list(received(store, "a")) == [{"n": number} for number in range(5)]


def test_a_message_that_comes_back_keeps_its_age(store: Store, clock: Clock) -> None:
    reader = store.take("a", Reader)
    store.put("a", {"n": 1})
    clock.advance(50)
    store.put("a", {"n": 2})
    assert isinstance(reader, Reader)
    store.give_up("a", reader)
    clock.advance(10)
    store.members("any")
    assert list(received(store, "a")) == [{"n": 2}]


def test_a_message_that_comes_back_too_late_has_expired(store: Store, clock: Clock) -> None:
    store.join("room", "a")
    reader = store.take("a", Reader)
    store.put("a", {"n": 1})
    clock.advance(60)
    assert isinstance(reader, Reader)
    store.give_up("a", reader)
    assert store.channels == {}
    assert store.groups.members == {}


def test_a_message_from_before_a_flush_does_not_come_back(store: Store) -> None:
    reader = store.take("a", Reader)
    store.put("a", {"n": 1})
    store.flush()
    assert isinstance(reader, Reader)
    store.give_up("a", reader)
    assert store.channels == {}


def test_a_limit_that_changes_holds_from_then_on(store: Store, clock: Clock) -> None:
    store.put("a", {"n": 1})
    limits = store._limits
    assert isinstance(limits, Fixed)
    limits.expiry, limits.group_expiry, limits.capacity = 5, 5, 1
    store.put("b", {"n": 2})
    store.join("room", "c")
    assert not store.put("b", {"n": 3})
    clock.advance(5)
    assert store.members("room") == []
    assert list(store.channels) == ["a"]


def test_a_channel_with_no_room_at_all_can_still_be_waited_on(clock: Clock) -> None:
    store = Store(Fixed(capacity=0), clock)
    assert not store.put("a", {"n": 1})
    assert store.channels == {}
    assert store._backlogs.kept == {}
    reader = store.take("a", Reader)
    assert store.put("a", {"n": 2})
    assert handed(reader)[2] == {"n": 2}


def test_a_receiver_that_cannot_be_made_leaves_nothing(store: Store) -> None:
    def fail() -> Reader:
        raise RuntimeError("no running event loop")

    with pytest.raises(RuntimeError):
        store.take("a", fail)
    assert store.channels == {}
    assert store.put("a", {"n": 1})


def test_a_receiver_collected_during_an_operation_is_removed_after_it(store: Store) -> None:
    """The garbage collector may run at any time, in a thread that holds the lock."""
    first = store.take("a", Reader)
    assert isinstance(first, Reader)
    store.put("a", {"n": 1})

    def collect() -> Reader:
        store.give_up_later("a", first)
        return Reader()

    other = store.take("b", collect)
    assert isinstance(other, Reader)
    assert list(store.channels) == ["b"]
    assert store.members("any") == []
    assert list(received(store, "a")) == [{"n": 1}]


def test_a_reader_that_is_thrown_away_during_a_sweep_is_not_forgotten(
    store: Store, clock: Clock
) -> None:
    first, other = store.take("a", Reader), store.take("b", Reader)
    assert isinstance(first, Reader)

    class Troublesome(Reader):
        def wake(self, current_loop: object = None) -> bool:
            assert isinstance(other, Reader)
            store.give_up_later("b", other)
            return super().wake(current_loop)

    heir = store.take("a", Troublesome)
    store.put("a", {"n": 1})
    store.give_up_later("a", first)
    assert handed(heir)[2] == {"n": 1}
    assert store.channels == {}
    store.members("any")
    assert store._messages_due == inf


def test_threads_take_each_message_once(store: Store) -> None:
    """Senders, readers and cancelled readers run at the same time."""
    store = Store(Fixed(capacity=10**9), Clock())
    taken: list[int] = []
    per_thread, threads = 500, 4
    start = threading.Barrier(2 * threads)

    def send(base: int) -> None:
        start.wait()
        for number in range(per_thread):
            assert store.put("a!1", {"n": base + number})

    def read() -> None:
        start.wait()
        for attempt in range(per_thread):
            got = store.take("a!1", Reader)
            if isinstance(got, Reader):
                store.give_up("a!1", got)
            elif attempt % 7 == 0:
                store.put("a!1", got[2])
            else:
                assert isinstance(got[2], dict)
                taken.append(got[2]["n"])

    workers = [threading.Thread(target=send, args=(base * per_thread,)) for base in range(threads)]
    workers += [threading.Thread(target=read) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for payload in received(store, "a!1"):
        assert isinstance(payload, dict)
        taken.append(payload["n"])
    assert sorted(taken) == list(range(per_thread * threads))
    assert store.channels == {}
    assert [share.used for share in store._backlogs._shared.values()] == [0]


def test_connections_that_come_and_go_leave_no_checks(store: Store, clock: Clock) -> None:
    """Their messages expire only after a minute, so many would have come and gone by then."""
    for number in range(20):
        store.put(f"stays{number}!a", {"n": number})
    for number in range(1000):
        store.put(f"goes{number}!a", {"n": number})
        store.forget(f"goes{number}!a")
    assert len(store._backlogs._checks) < 200
    assert len(store._backlogs.kept) == 20
    clock.advance(59)
    assert list(received(store, "stays7!a")) == [{"n": 7}]
    clock.advance(100)
    store.put("late", {"n": 0})
    assert list(store._backlogs.kept) == ["late"]
    assert list(received(store, "stays8!a")) == []
