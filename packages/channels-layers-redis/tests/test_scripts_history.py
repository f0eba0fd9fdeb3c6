from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from channels_layers_redis._scripts import history, plain_members
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.history import Kept, Sent
from scripts_server import KEYS, START, UNHURRIED, Scripts, running_scripts

EPOCH, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def server() -> Iterator[Scripts]:
    with running_scripts() as scripts:
        yield scripts


@pytest.fixture
def scripts(server: Scripts) -> Scripts:
    server.ask("FLUSHALL")
    return server


def send(
    message: bytes,
    *,
    group: str = "room",
    epoch: str = EPOCH,
    size: int = 5,
    age: float = 600,
    now: int | None = None,
) -> Call[Sent]:
    return history.send(
        KEYS,
        group,
        message,
        head=b"head ",
        to=f"to-{group}",
        epoch=epoch,
        size=size,
        age=age,
        keep=86400,
        now=now,
    )


def read(
    after: tuple[str, int] | None = None,
    *,
    limit: int | None = None,
    epoch: str = OTHER,
    age: float = 600,
    now: int | None = None,
) -> Call[Kept]:
    return history.read(
        KEYS, "room", after=after, limit=limit, epoch=epoch, age=age, keep=86400, now=now
    )


def test_messages_are_numbered_and_kept_up_to_the_size(scripts: Scripts) -> None:
    for number in range(1, 8):
        assert scripts.run(send(b"%d" % number)) == Sent(EPOCH, number, [])
    everything = [b"3", b"4", b"5", b"6", b"7"]
    assert scripts.run(read()) == Kept(EPOCH, 7, complete=True, first=3, messages=everything)
    assert scripts.run(send(b"x", group="other", epoch=OTHER)) == Sent(OTHER, 1, [])


def test_the_message_is_published_with_its_position(scripts: Scripts) -> None:
    listener = scripts.listen("to-room")
    scripts.run(send(b" \x00 message"))
    published = listener.get_message(timeout=60)["data"]
    assert published == b"head " + EPOCH.encode() + b".1  \x00 message"
    listener.close()


@pytest.mark.parametrize(
    ("after", "limit", "complete", "first", "messages"),
    [
        (None, None, True, 3, [b"3", b"4", b"5", b"6", b"7"]),
        (None, 2, True, 6, [b"6", b"7"]),
        (None, 99, True, 3, [b"3", b"4", b"5", b"6", b"7"]),
        (None, 0, True, 8, []),
        ((EPOCH, 7), None, True, 8, []),
        ((EPOCH, 6), None, True, 7, [b"7"]),
        ((EPOCH, 4), None, True, 5, [b"5", b"6", b"7"]),
        ((EPOCH, 4), 2, True, 5, [b"5", b"6"]),
        ((EPOCH, 4), 0, True, 5, []),
        # The last that is not kept is known to have been the one before.
        ((EPOCH, 2), None, True, 3, [b"3", b"4", b"5", b"6", b"7"]),
        ((EPOCH, 1), None, False, 3, [b"3", b"4", b"5", b"6", b"7"]),
        ((EPOCH, 0), 2, False, 3, [b"3", b"4"]),
        ((EPOCH, 8), None, False, 3, [b"3", b"4", b"5", b"6", b"7"]),
        ((EPOCH, 10**18), 1, False, 3, [b"3"]),
        ((OTHER, 6), None, False, 3, [b"3", b"4", b"5", b"6", b"7"]),
        (("", 0), None, False, 3, [b"3", b"4", b"5", b"6", b"7"]),
    ],
)
def test_what_is_read(
    scripts: Scripts,
    after: tuple[str, int] | None,
    limit: int | None,
    complete: bool,
    first: int,
    messages: list[bytes],
) -> None:
    for number in range(1, 8):
        scripts.run(send(b"%d" % number))
    assert scripts.run(read(after, limit=limit)) == Kept(EPOCH, 7, complete, first, messages)


def test_the_history_begins_with_the_first_call(scripts: Scripts) -> None:
    assert scripts.run(read(epoch=EPOCH)) == Kept(EPOCH, 0, complete=True, first=1, messages=[])
    assert scripts.run(read((EPOCH, 0))).complete
    assert scripts.run(send(b"x", epoch=OTHER)) == Sent(EPOCH, 1, [])
    assert scripts.run(read((EPOCH, 0))).messages == [b"x"]


def test_an_emptied_store_begins_another(scripts: Scripts) -> None:
    scripts.run(send(b"x"))
    scripts.ask("FLUSHALL")
    assert scripts.run(send(b"y", epoch=OTHER)) == Sent(OTHER, 1, [])
    assert scripts.run(read((EPOCH, 1))) == Kept(OTHER, 1, False, 1, [b"y"])


@pytest.mark.parametrize("by", ["send", "read"])
def test_messages_whose_numbering_is_lost_are_not_kept(scripts: Scripts, by: str) -> None:
    numbering, messages = KEYS.history("room")
    scripts.run(send(b"x"))
    scripts.ask("DEL", numbering)
    if by == "send":
        assert scripts.run(send(b"y", epoch=OTHER)) == Sent(OTHER, 1, [])
        assert scripts.run(read()).messages == [b"y"]
    else:
        assert scripts.run(read()) == Kept(OTHER, 0, True, 1, [])
    assert scripts.ask("EXISTS", messages) == (by == "send")


def test_lost_messages_are_missing(scripts: Scripts) -> None:
    for number in range(1, 4):
        scripts.run(send(b"%d" % number))
    scripts.ask("DEL", KEYS.history("room")[1])
    assert scripts.run(read((EPOCH, 1))) == Kept(EPOCH, 3, False, 4, [])
    assert scripts.run(read((EPOCH, 3))).complete
    scripts.run(send(b"4"))
    assert scripts.run(read((EPOCH, 3))) == Kept(EPOCH, 4, True, 4, [b"4"])


def test_old_messages_are_not_read(scripts: Scripts) -> None:
    for second in range(4):
        scripts.run(send(b"%d" % second, now=START + second * 1000))
    now = START + 601_000
    assert scripts.run(read(now=now)) == Kept(EPOCH, 4, True, 3, [b"2", b"3"])
    assert not scripts.run(read((EPOCH, 1), now=now)).complete
    assert scripts.run(read((EPOCH, 2), now=now)).complete
    later = scripts.run(read(now=START + 700_000))
    assert later == Kept(EPOCH, 4, True, 5, [])


def test_sending_drops_old_messages_step_by_step(scripts: Scripts) -> None:
    for number in range(5):
        scripts.run(send(b"%d" % number, now=START))
    scripts.run(send(b"new", size=99, now=START + 601_000))
    assert scripts.ask("LLEN", KEYS.history("room")[1]) == 4
    scripts.run(send(b"new", size=99, now=START + 601_000))
    assert scripts.ask("LLEN", KEYS.history("room")[1]) == 3
    assert scripts.run(read((EPOCH, 5), now=START + 601_000)).messages == [b"new", b"new"]


def test_the_answer_has_the_members_that_are_channels_of_no_process(scripts: Scripts) -> None:
    scripts.run(plain_members.add(KEYS, "room", "jobs", group_expiry=60, now=START))
    assert scripts.run(send(b"x", now=START)).plain_members == ["jobs"]
    assert scripts.run(send(b"x", now=START + 60_000)).plain_members == []


def test_all_of_it_expires(scripts: Scripts) -> None:
    numbering, messages = KEYS.history("room")
    scripts.run(send(b"x", age=20))
    assert 19_000 < scripts.ask("PTTL", messages) <= 20_000
    assert 86_000_000 < scripts.ask("PTTL", numbering) <= 86_400_000
    calls: list[Call[Any]] = [read(), send(b"x")]
    for call in calls:
        scripts.ask("PEXPIRE", numbering, 1000)
        scripts.run(call)
        assert scripts.ask("PTTL", numbering) > 86_000_000
    assert scripts.all_keys() == [numbering, messages]


def test_a_smaller_size_counts_at_once(scripts: Scripts) -> None:
    for number in range(5):
        scripts.run(send(b"%d" % number))
    scripts.run(send(b"new", size=2))
    assert scripts.run(read()).messages == [b"4", b"new"]


def test_large_messages(scripts: Scripts) -> None:
    large = bytes(range(256)) * 4096
    scripts.run(send(large))
    assert scripts.run(read((EPOCH, 0))).messages == [large]


class Group(RuleBasedStateMachine):
    """A history beside all messages that were ever sent."""

    scripts: Scripts

    def __init__(self) -> None:
        super().__init__()
        self.scripts.ask("FLUSHALL")
        self.now = START
        self.begun = 0
        self.sent: list[tuple[int, bytes]] = []
        self.positions: list[tuple[str, int]] = [("", 0), (OTHER, 3)]

    @property
    def epoch(self) -> str:
        return f"{self.begun:016x}"

    @rule()
    def send(self) -> None:
        message = b"%d" % self.now
        sent = self.scripts.run(send(message, size=4, epoch=self.epoch, now=self.now))
        self.sent.append((self.now, message))
        assert sent == Sent(self.epoch, len(self.sent), [])
        self.positions.append(sent[:2])

    @rule(data=st.data(), limit=st.one_of(st.none(), st.integers(0, 5)))
    def read(self, data: st.DataObject, limit: int | None) -> None:
        after = data.draw(st.one_of(st.none(), st.sampled_from(self.positions)))
        found = self.scripts.run(read(after, limit=limit, epoch=self.epoch, now=self.now))
        newest = len(self.sent)
        kept = [
            (number, message)
            for number, (time, message) in enumerate(self.sent, 1)
            if number > newest - 4 and time > self.now - 600_000
        ]
        oldest = kept[0][0] if kept else newest + 1
        if after is None:
            complete, expected = True, kept[-limit:] if limit else kept
        else:
            complete = after[0] == self.epoch and oldest - 1 <= after[1] <= newest
            expected = [one for one in kept if one[0] > after[1]] if complete else kept
            expected = expected[:limit]
        if limit == 0:
            expected = []
        assert found.messages == [message for _, message in expected]
        assert (found.epoch, found.number, found.complete) == (self.epoch, newest, complete)
        assert not expected or found.first == expected[0][0]

    @rule(seconds=st.sampled_from([1, 200, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @precondition(lambda self: self.sent)
    @rule()
    def empty(self) -> None:
        self.scripts.ask("FLUSHALL")
        self.begun += 1
        self.sent.clear()


def test_a_history_behaves_as_a_list(scripts: Scripts) -> None:
    kind = type("Run", (Group,), {"scripts": scripts})
    run_state_machine_as_test(kind, settings=UNHURRIED)
