import threading
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from channels_layers_redis._scripts import queues, waiting
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.waiting import Taken
from scripts_server import KEYS, START, UNHURRIED, Scripts, running_scripts


@pytest.fixture(scope="module")
def server() -> Iterator[Scripts]:
    with running_scripts() as scripts:
        yield scripts


@pytest.fixture
def scripts(server: Scripts) -> Scripts:
    server.ask("FLUSHALL")
    return server


def append(
    message: bytes,
    *,
    channel: str = "jobs",
    capacity: int = 100,
    expiry: float | None = 60,
    now: int | None = None,
) -> Call[bool]:
    return waiting.append(KEYS, channel, message, capacity=capacity, expiry=expiry, now=now)


def messages(taken: list[Taken]) -> list[bytes]:
    return [one.message for one in taken]


def test_messages_are_taken_in_order_and_once(scripts: Scripts) -> None:
    sent = [b"", b" a b \x00\xff", b"-" * 3, b"0 0 - x"]
    for one in sent:
        assert scripts.run(append(one))
    assert [messages(scripts.run(waiting.pop(KEYS, "jobs"))) for _ in range(5)] == [
        *([one] for one in sent),
        [],
    ]
    assert scripts.all_keys() == []


def test_several_are_taken_at_once(scripts: Scripts) -> None:
    for number in range(5):
        scripts.run(append(b"%d" % number))
    assert messages(scripts.run(waiting.pop(KEYS, "jobs", count=3))) == [b"0", b"1", b"2"]
    assert messages(scripts.run(waiting.pop(KEYS, "jobs", count=3))) == [b"3", b"4"]


def test_a_channel_is_full_at_exactly_its_capacity(scripts: Scripts) -> None:
    assert [scripts.run(append(b"x", capacity=3)) for _ in range(5)] == [True] * 3 + [False] * 2
    assert scripts.run(append(b"x", capacity=3, channel="others"))
    scripts.run(waiting.pop(KEYS, "jobs"))
    assert scripts.run(append(b"x", capacity=3))
    assert not scripts.run(append(b"x", capacity=3))


def test_expired_messages_are_skipped_and_take_no_room(scripts: Scripts) -> None:
    scripts.run(append(b"old", expiry=60, now=START))
    scripts.run(append(b"new", expiry=60, now=START + 30_000))
    assert not scripts.run(append(b"more", capacity=2, now=START + 59_999))
    assert scripts.run(append(b"more", capacity=2, now=START + 60_000))
    taken = scripts.run(waiting.pop(KEYS, "jobs", count=9, now=START + 60_000))
    assert messages(taken) == [b"new", b"more"]
    scripts.run(append(b"old", expiry=60, now=START))
    assert scripts.run(waiting.pop(KEYS, "jobs", now=START + 60_000)) == []


def test_the_time_is_that_of_the_server(scripts: Scripts) -> None:
    scripts.run(append(b"soon over", expiry=60))
    seconds, _ = scripts.ask("TIME")
    now = (int(seconds) + 1) * 1000
    assert scripts.run(waiting.pop(KEYS, "jobs", now=now + 60_000)) == []


def test_what_nobody_takes_goes_from_redis(scripts: Scripts) -> None:
    scripts.run(append(b"x", expiry=60))
    assert 59_000 < scripts.ask("PTTL", KEYS.channel("jobs")) <= 60_000
    scripts.ask("PEXPIRE", KEYS.channel("jobs"), 1000)
    scripts.run(append(b"x", expiry=60))
    assert 59_000 < scripts.ask("PTTL", KEYS.channel("jobs")) <= 60_000


def test_what_never_expires_stays_beside_what_does(scripts: Scripts) -> None:
    for expiry in (None, 60, None):
        scripts.run(append(b"x", expiry=expiry))
        assert scripts.ask("PTTL", KEYS.channel("jobs")) == -1
    scripts.ask("FLUSHALL")
    for expiry, lives in ((60, True), (None, False), (60, False)):
        scripts.run(append(b"x", expiry=expiry))
        assert (scripts.ask("PTTL", KEYS.channel("jobs")) > 0) is lives
    far = START * 2
    assert len(scripts.run(waiting.pop(KEYS, "jobs", count=9, now=far))) == 1


def test_what_is_put_back_is_the_next_one_again(scripts: Scripts) -> None:
    scripts.run(append(b"first"))
    scripts.run(append(b"second"))
    [first] = scripts.run(waiting.pop(KEYS, "jobs"))
    assert scripts.run(waiting.put_back(KEYS, "jobs", first))
    assert messages(scripts.run(waiting.pop(KEYS, "jobs", count=9))) == [b"first", b"second"]


@pytest.mark.parametrize("expiry", [60, None])
def test_what_is_put_back_as_the_only_one_keeps_its_time(
    scripts: Scripts, expiry: float | None
) -> None:
    scripts.run(append(b"x", expiry=expiry, now=START))
    [taken] = scripts.run(waiting.pop(KEYS, "jobs", now=START + 40_000))
    assert scripts.run(waiting.put_back(KEYS, "jobs", taken, now=START + 40_000))
    lives = scripts.ask("PTTL", KEYS.channel("jobs"))
    assert lives == -1 if expiry is None else 19_000 < lives <= 20_000


def test_what_has_expired_is_not_put_back(scripts: Scripts) -> None:
    scripts.run(append(b"x", now=START))
    [taken] = scripts.run(waiting.pop(KEYS, "jobs", now=START))
    assert not scripts.run(waiting.put_back(KEYS, "jobs", taken, now=START + 60_000))
    assert scripts.all_keys() == []


def test_each_message_that_comes_is_published(scripts: Scripts) -> None:
    listener = scripts.listen(KEYS.channel("jobs"))
    scripts.run(append(b"x", capacity=1))
    scripts.run(append(b"x", capacity=1))
    [taken] = scripts.run(waiting.pop(KEYS, "jobs"))
    scripts.run(waiting.put_back(KEYS, "jobs", taken))
    assert listener.get_message(timeout=60)
    assert listener.get_message(timeout=60)
    scripts.ask("PUBLISH", KEYS.channel("jobs"), "end")
    assert listener.get_message(timeout=60)["data"] == b"end"
    listener.close()


def test_no_message_is_taken_twice_by_threads(scripts: Scripts) -> None:
    taken: deque[bytes] = deque()
    done = threading.Event()

    def work() -> None:
        while True:
            found = scripts.run(waiting.pop(KEYS, "jobs", count=2))
            taken.extend(messages(found))
            if not found and done.is_set():
                return

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    sent = [b"%d" % number for number in range(500)]
    for one in sent:
        assert scripts.run(append(one, capacity=10_000))
    done.set()
    for worker in workers:
        worker.join()
    assert sorted(taken) == sorted(sent)


def test_large_messages_and_long_channels(scripts: Scripts) -> None:
    large = bytes(range(256)) * 4096
    scripts.run(append(large))
    assert messages(scripts.run(waiting.pop(KEYS, "jobs"))) == [large]
    for number in range(3000):
        scripts.run(append(b"%d" % number, capacity=3000))
    assert not scripts.run(append(b"x", capacity=3000))
    assert len(scripts.run(waiting.pop(KEYS, "jobs", count=5000))) == 3000


class Channel(RuleBasedStateMachine):
    """A channel beside a list of pairs: when it expires, and what."""

    scripts: Scripts

    def __init__(self) -> None:
        super().__init__()
        self.scripts.ask("FLUSHALL")
        self.now = START
        self.waiting: list[tuple[float, bytes]] = []
        self.taken: list[tuple[tuple[float, bytes], Taken]] = []
        self.number = 0

    def fresh(self) -> list[tuple[float, bytes]]:
        return [one for one in self.waiting if one[0] > self.now]

    @rule(expiry=st.sampled_from([60, 60, None]), capacity=st.integers(1, 5))
    def send(self, expiry: float | None, capacity: int) -> None:
        self.number += 1
        message = b"%d" % self.number
        sent = self.scripts.run(append(message, expiry=expiry, capacity=capacity, now=self.now))
        # Expired messages behind one that never expires take room until they come to the front.
        while len(self.waiting) >= capacity and self.waiting[0][0] <= self.now:
            del self.waiting[0]
        assert sent == (len(self.waiting) < capacity)
        if sent:
            expires = float("inf") if expiry is None else self.now + expiry * 1000
            self.waiting.append((expires, message))

    @rule(count=st.integers(1, 3))
    def take(self, count: int) -> None:
        taken = self.scripts.run(waiting.pop(KEYS, "jobs", count=count, now=self.now))
        expected = self.fresh()[:count]
        assert messages(taken) == [message for _, message in expected]
        if len(expected) < count:
            self.waiting.clear()
        else:
            del self.waiting[: self.waiting.index(expected[-1]) + 1]
        self.taken.extend(zip(expected, taken, strict=True))

    @precondition(lambda self: self.taken)
    @rule()
    def put_back(self) -> None:
        model, taken = self.taken.pop()
        back = self.scripts.run(waiting.put_back(KEYS, "jobs", taken, now=self.now))
        assert back == (model[0] > self.now)
        if back:
            self.waiting.insert(0, model)

    @rule(seconds=st.sampled_from([1, 30, 60]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @invariant()
    def it_has_as_many(self) -> None:
        assert self.scripts.ask("LLEN", KEYS.channel("jobs")) == len(self.waiting)


def test_a_channel_behaves_as_a_list(scripts: Scripts) -> None:
    kind = type("Run", (Channel,), {"scripts": scripts})
    run_state_machine_as_test(kind, settings=UNHURRIED)


def test_a_plain_channel_may_become_a_queue(scripts: Scripts) -> None:
    scripts.run(append(b"plain", now=START))
    delivered = scripts.run(
        queues.deliver(KEYS, "jobs", ["a"], redeliver_after=60, tries=3, now=START)
    )
    assert delivered.taken[0].message == b"plain"
    scripts.run(queues.give_back(KEYS, "jobs", "a"))
    assert scripts.ask("PTTL", KEYS.channel("jobs")) == -1
    assert messages(scripts.run(waiting.pop(KEYS, "jobs", now=START * 2))) == [b"plain"]
