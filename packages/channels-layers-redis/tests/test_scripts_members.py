import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from channels_layers_redis._scripts import members, plain_members
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.members import Joined, Left, Notices, Person
from scripts_server import KEYS, START, UNHURRIED, Scripts, running_scripts

NOTICES = Notices(to="group:{*}", joined=b"J ", left=b"L ", lease=20, linger=5)
AT_ONCE = NOTICES._replace(linger=0)


class Told:
    """What groups are told."""

    def __init__(self, scripts: Scripts) -> None:
        self.listener = scripts.listen("group:*", "end")
        self.scripts = scripts

    def read(self) -> list[bytes]:
        self.scripts.ask("PUBLISH", "end", "")
        found = []
        while (message := self.listener.get_message(timeout=60))["channel"] != b"end":
            assert message["channel"] == b"group:{%s}" % message["data"].split()[1]
            found.append(message["data"])
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Scripts]:
    with running_scripts() as scripts:
        yield scripts


@pytest.fixture
def scripts(server: Scripts) -> Scripts:
    server.ask("FLUSHALL")
    return server


@pytest.fixture
def told(scripts: Scripts) -> Iterator[Told]:
    found = Told(scripts)
    yield found
    found.listener.close()


def join(
    channel: str,
    person: str,
    data: bytes = b"",
    *,
    process: str = "p1",
    group: str = "room",
    now: int = START,
) -> Call[Joined]:
    return members.join(
        KEYS, NOTICES, process, group, channel, person, data or person.encode(), now=now
    )


def leave(
    channel: str, *, group: str = "room", now: int = START, notices: Notices = NOTICES
) -> Call[Left]:
    return members.leave(KEYS, notices, "p1", group, channel, now=now)


def renew(process: str = "p1", *, now: int = START) -> Call[members.Renewed]:
    return members.renew(KEYS, NOTICES, process, now=now)


def end(process: str = "p1", *, now: int = START) -> Call[bool]:
    return members.end_process(KEYS, NOTICES, process, now=now)


def people(group: str = "room", *, now: int = START) -> Call[list[Person]]:
    return members.people(KEYS, NOTICES, "p1", group, now=now)


def listed(scripts: Scripts, group: str = "room", *, now: int = START) -> list[tuple[bytes, int]]:
    return [(one.data, one.connections) for one in scripts.run(people(group, now=now))]


def test_a_first_connection_is_told_and_others_are_not(scripts: Scripts, told: Told) -> None:
    assert scripts.run(join("c1", "ann", b"a b \x00 1")) == Joined(fresh=True, first=True)
    assert scripts.run(join("c2", "ann", b"2")) == Joined(fresh=False, first=False)
    assert scripts.run(join("c3", "bob", b"3")) == Joined(fresh=False, first=True)
    assert told.read() == [b"J room a b \x00 1", b"J room 3"]
    assert listed(scripts) == [(b"2", 2), (b"3", 1)]


def test_the_last_connection_lingers_and_is_told_once(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann"))
    scripts.run(join("c2", "ann"))
    told.read()
    assert scripts.run(leave("c1")) == Left(known=True, lingers=False)
    assert scripts.run(leave("c1")) == Left(known=False, lingers=False)
    assert scripts.run(leave("c2")) == Left(known=True, lingers=True)
    assert listed(scripts, now=START + 4999) == [(b"ann", 0)]
    scripts.run(renew(now=START + 4999))
    assert told.read() == []
    scripts.run(renew(now=START + 5000))
    scripts.run(renew("p2", now=START + 5000))
    assert told.read() == [b"L room ann"]
    assert listed(scripts, now=START + 5000) == []


def test_one_who_comes_back_in_time_is_not_told(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann", b"old"))
    scripts.run(join("c2", "bob"))
    told.read()
    scripts.run(leave("c1"))
    assert scripts.run(join("c3", "ann", b"new", now=START + 4000)) == Joined(False, False)
    scripts.run(renew(now=START + 9000))
    assert listed(scripts, now=START + 9000) == [(b"new", 1), (b"bob", 1)]
    assert told.read() == []


def test_without_linger_it_is_told_at_once(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann"))
    assert scripts.run(leave("c1", notices=AT_ONCE)) == Left(known=True, lingers=False)
    assert told.read() == [b"J room ann", b"L room ann"]
    assert scripts.run(join("c1", "ann")) == Joined(fresh=False, first=True)


def test_the_data_are_those_of_the_newest_connection(scripts: Scripts, told: Told) -> None:
    for number in range(12):
        scripts.run(join(f"c{number}", "ann", b"%d" % number))
    assert listed(scripts) == [(b"11", 12)]
    scripts.run(leave("c10"))
    assert listed(scripts) == [(b"11", 11)]
    scripts.run(leave("c11"))
    assert listed(scripts) == [(b"9", 10)]
    scripts.run(join("c8", "ann", b"eight"))
    assert listed(scripts) == [(b"9", 10)]
    scripts.run(join("c9", "ann", b"nine"))
    assert listed(scripts) == [(b"nine", 10)]
    scripts.run(leave("c3"))
    scripts.run(leave("c9"))
    assert listed(scripts) == [(b"eight", 8)]
    assert told.read() == [b"J room 0"]


def test_the_last_data_are_told_at_the_end(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann", b"old"))
    scripts.run(join("c1", "ann", b"new"))
    scripts.run(leave("c1"))
    scripts.run(renew(now=START + 5000))
    assert told.read() == [b"J room old", b"L room new"]


def test_a_channel_may_become_another_person(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann"))
    assert scripts.run(join("c1", "bob")).first
    assert listed(scripts) == [(b"ann", 0), (b"bob", 1)]
    scripts.run(renew(now=START + 5000))
    assert told.read() == [b"J room ann", b"J room bob", b"L room ann"]


def test_a_channel_may_be_taken_over_by_another_process(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann"))
    scripts.run(join("c1", "ann", process="p2"))
    scripts.run(end("p1"))
    assert listed(scripts) == [(b"ann", 1)]
    scripts.run(end("p2"))
    assert listed(scripts) == []
    assert told.read() == [b"J room ann", b"L room ann"]


def test_groups_and_people_with_similar_names_are_kept_apart(scripts: Scripts) -> None:
    for group in ("room", "room.1", "room-", "roo"):
        scripts.run(join("c1", "ann", group.encode(), group=group))
        scripts.run(join("c2", "anna", group=group))
    for group in ("room", "room.1", "room-", "roo"):
        assert listed(scripts, group) == [(group.encode(), 1), (b"anna", 1)]
    scripts.run(leave("c1"))
    assert listed(scripts, now=START + 5000) == [(b"anna", 1)]
    assert len(listed(scripts, "room.1", now=START + 5000)) == 2


def test_killed_processes_are_removed_by_the_others_after_the_lease(
    scripts: Scripts, told: Told
) -> None:
    for number in range(3):
        scripts.run(join(f"c{number}", f"ann{number}", process="p1"))
    scripts.run(join("d1", "bob", process="p2"))
    scripts.run(join("d2", "ann0", process="p2"))
    told.read()
    scripts.run(renew("p2", now=START + 10_000))
    renewed = scripts.run(renew("p2", now=START + 19_999))
    assert (renewed.fresh, renewed.more, renewed.next_end) == (False, False, 0.001)
    assert told.read() == []
    renewed = scripts.run(renew("p2", now=START + 20_000))
    assert renewed.next_end == 20
    assert told.read() == [b"L room ann1", b"L room ann2"]
    assert listed(scripts, now=START + 20_000) == [(b"ann0", 1), (b"bob", 1)]


def test_who_reads_the_people_need_not_wait_for_a_renewal(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann", process="p1"))
    scripts.run(renew("p2", now=START + 10_000))
    assert listed(scripts, now=START + 20_000) == []
    assert told.read() == [b"J room ann", b"L room ann"]


def test_a_process_that_was_taken_for_dead_learns_it(scripts: Scripts) -> None:
    scripts.run(join("c1", "ann", process="p1"))
    assert not scripts.run(renew("p1")).fresh
    scripts.run(renew("p2", now=START + 10_000))
    scripts.run(renew("p2", now=START + 20_000))
    assert scripts.run(renew("p1", now=START + 21_000)).fresh
    assert not scripts.run(renew("p1", now=START + 22_000)).fresh
    scripts.ask("FLUSHALL")
    assert scripts.run(join("c2", "ann", process="p1")) == Joined(fresh=True, first=True)
    assert scripts.run(join("c2", "ann", process="p1")) == Joined(fresh=False, first=False)


def test_after_an_outage_nobody_is_taken_for_dead(scripts: Scripts, told: Told) -> None:
    scripts.run(join("c1", "ann", process="p1"))
    scripts.run(join("c2", "bob", process="p2"))
    scripts.run(join("c3", "cat", process="p3"))
    told.read()
    later = START + 3_600_000
    assert not scripts.run(renew("p1", now=later)).fresh
    assert not scripts.run(renew("p2", now=later + 5000)).fresh
    # One that never comes back is removed one lease later.
    scripts.run(renew("p1", now=later + 10_000))
    scripts.run(renew("p1", now=later + 20_000))
    assert told.read() == [b"L room cat"]
    assert not scripts.run(renew("p2", now=later + 20_000)).fresh


def test_much_that_is_overdue_is_removed_in_several_calls(scripts: Scripts, told: Told) -> None:
    for number in range(450):
        scripts.run(join(f"c{number}", f"ann{number}", process="p1"))
    scripts.run(renew("p2", now=START + 10_000))
    assert len(told.read()) == 450
    now = START + 20_000
    assert [scripts.run(renew("p2", now=now)).more for _ in range(4)] == [True, True, False, False]
    assert len(set(told.read())) == 450
    for number in range(450):
        scripts.run(join(f"c{number}", f"ann{number}", process="p2", now=now))
        scripts.run(leave(f"c{number}", now=now))
    now += 5000
    assert [scripts.run(renew("p2", now=now)).more for _ in range(4)] == [True, True, False, False]
    assert len(listed(scripts, now=now)) == 0


def test_several_processes_that_were_killed_at_once(scripts: Scripts) -> None:
    for number in range(3):
        scripts.run(join(f"c{number}", "ann", process=f"p{number}"))
    scripts.run(renew("p9", now=START + 10_000))
    now = START + 20_000
    assert [scripts.run(renew("p9", now=now)).more for _ in range(3)] == [True, True, False]
    assert listed(scripts, now=now) == []


def test_a_process_that_ends_leaves_nothing(scripts: Scripts, told: Told) -> None:
    for number in range(250):
        scripts.run(join(f"c{number}", f"ann{number}", process="p1"))
    scripts.run(join("d", "bob", process="p2"))
    told.read()
    assert not scripts.run(end("p1"))
    assert scripts.run(end("p1"))
    assert len(listed(scripts)) == 251
    assert listed(scripts, now=START + 5000) == [(b"bob", 1)]
    scripts.run(people(now=START + 5000))
    assert len(told.read()) == 250
    assert scripts.run(end("p2"))
    assert scripts.all_keys() == []


def test_the_last_process_that_ends_tells_of_all_who_are_absent(
    scripts: Scripts, told: Told
) -> None:
    for number in range(250):
        scripts.run(join(f"c{number}", f"ann{number}"))
        scripts.run(leave(f"c{number}"))
    told.read()
    assert [scripts.run(end()), scripts.run(end())] == [False, True]
    assert len(set(told.read())) == 250
    assert scripts.all_keys() == []


def test_what_the_last_process_leaves_when_it_is_killed_expires(scripts: Scripts) -> None:
    def lives() -> list[bool]:
        return [0 < scripts.ask("PTTL", key) <= 85_000 for key in scripts.all_keys()]

    scripts.run(join("c1", "ann"))
    assert lives() == [True] * 7
    scripts.run(leave("c1"))
    assert all(lives())
    scripts.run(leave("c1", notices=AT_ONCE))
    scripts.run(people(now=START + 5000))
    scripts.run(join("c1", "ann", now=START + 5000))
    assert all(lives())
    for key in scripts.all_keys():
        scripts.ask("PEXPIRE", key, 100_000_000)
    scripts.run(renew(now=START + 5000))
    assert lives() == [True] * 7


def test_connections_whose_records_are_lost_in_part_do_not_stop_the_rest(scripts: Scripts) -> None:
    leases, connections, of_process, of_person, people_key, listing, *_ = KEYS.members
    del leases, listing
    scripts.run(join("c1", "ann"))
    scripts.run(join("c2", "ann"))
    scripts.ask("DEL", of_person)
    assert scripts.run(leave("c2")) == Left(True, False)
    scripts.ask("DEL", connections)
    assert scripts.run(end())
    scripts.run(join("c1", "ann"))
    scripts.ask("DEL", people_key)
    assert scripts.run(leave("c1")).known
    assert scripts.ask("EXISTS", of_process) == 0
    assert listed(scripts, now=START + 5000) == []


def test_many_people_are_listed(scripts: Scripts) -> None:
    for number in range(2500):
        scripts.run(join(f"c{number}", f"ann{number}"))
    assert [one.data for one in scripts.run(people())] == [b"ann%d" % n for n in range(2500)]


def test_one_first_and_one_last_of_many_threads_are_told(scripts: Scripts, told: Told) -> None:
    def work(name: str) -> None:
        for _ in range(30):
            scripts.run(join(name, "ann"))
            scripts.run(leave(name))

    threads = [threading.Thread(target=work, args=(f"c{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scripts.run(renew(now=START + 5000))
    assert told.read() == [b"J room ann", b"L room ann"]


def test_plain_members_are_found_until_they_expire(scripts: Scripts) -> None:
    def add(channel: str, now: int) -> None:
        call = plain_members.add(KEYS, "room", channel, group_expiry=100, now=now)
        assert scripts.run(call)

    add("jobs", START)
    add("others", START + 50_000)
    found = scripts.run(plain_members.find(KEYS, "room", now=START))
    assert sorted(found) == ["jobs", "others"]
    assert scripts.run(plain_members.find(KEYS, "room", now=START + 100_000)) == ["others"]
    add("third", START + 100_000)
    assert scripts.ask("ZCARD", KEYS.plain_members("room")) == 2
    assert scripts.run(plain_members.discard(KEYS, "room", "third"))
    assert not scripts.run(plain_members.discard(KEYS, "room", "third"))
    assert 99_000 < scripts.ask("PTTL", KEYS.plain_members("room")) <= 100_000


def test_the_groups_with_plain_members_are_known_as_long_as_the_last_one(scripts: Scripts) -> None:
    def record(group: str, seconds: float, now: int | None = None) -> set[bytes]:
        assert scripts.run(plain_members.record(KEYS, group, group_expiry=seconds, now=now))
        return set(scripts.ask("ZRANGE", key, 0, -1))

    def seconds_left() -> float:
        left: int = scripts.ask("PTTL", key)
        return left / 1000 - plain_members.SKEW

    key = KEYS.plain_groups
    assert record("room", 100) == {b"room"}
    assert 90 < seconds_left() <= 100
    # Another process, with a shorter and a longer `group_expiry`.
    assert record("hall", 5) == {b"room", b"hall"}
    assert 90 < seconds_left() <= 100
    record("room", 5)
    record("hall", 500.5)
    assert 490 < seconds_left() <= 500.5
    # A key of an older version has no expiry.
    scripts.ask("PERSIST", key)
    record("lobby", 5)
    assert 490 < seconds_left() <= 500.5
    later = (int(time.time()) + 150 + plain_members.SKEW) * 1000
    assert record("lobby", 5, now=later) == {b"hall", b"lobby"}


@dataclass
class Model:
    """One person of the model: the newest connection comes last."""

    data: str = ""
    channels: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: int | None = None


class Presence(RuleBasedStateMachine):
    """Members beside dicts."""

    scripts: Scripts
    told: Told

    def __init__(self) -> None:
        super().__init__()
        self.scripts.ask("FLUSHALL")
        self.now = START
        self.number = 0
        self.groups: dict[str, dict[str, Model]] = {"room": {}, "hall": {}}
        self.leases: dict[str, int] = {}
        self.expected: Counter[bytes] = Counter()
        self.seen: Counter[bytes] = Counter()
        self.told.read()

    def renewed(self, process: str) -> bool:
        if self.leases and max(self.leases.values()) <= self.now:
            self.leases = dict.fromkeys(self.leases, self.now + 20_000)
        fresh = process not in self.leases
        self.leases[process] = self.now + 20_000
        return fresh

    def remove(self, group: str, name: str, channel: str, linger: int) -> None:
        model = self.groups[group][name]
        del model.channels[channel]
        if model.channels:
            model.data = list(model.channels.values())[-1][1]
        elif linger:
            model.gone = self.now + linger
        else:
            self.expected[f"L {group} {model.data}".encode()] += 1
            del self.groups[group][name]

    def in_order_of_removal(self, model: Model) -> list[tuple[str, str]]:
        """Return each channel with its process: those of one process go by their names."""
        pairs = [(channel, process) for channel, (process, _) in model.channels.items()]
        return sorted(pairs, key=lambda pair: (self.leases.get(pair[1], 0), pair[0]))

    def swept(self) -> None:
        for group, people in self.groups.items():
            for name, model in list(people.items()):
                for channel, process in self.in_order_of_removal(model):
                    if self.leases.get(process, 0) <= self.now:
                        self.remove(group, name, channel, 0)
                if model.gone is not None and model.gone <= self.now:
                    self.expected[f"L {group} {model.data}".encode()] += 1
                    del people[name]
        self.leases = {name: end for name, end in self.leases.items() if end > self.now}

    @rule(
        group=st.sampled_from(["room", "hall"]),
        channel=st.sampled_from(["p1!a", "p1!b", "p2!a", "p2!b"]),
        person=st.sampled_from(["ann", "bob"]),
    )
    def join(self, group: str, channel: str, person: str) -> None:
        self.number += 1
        process, data = channel[:2], f"{person}{self.number}"
        joined = self.scripts.run(
            join(channel, person, data.encode(), process=process, group=group, now=self.now)
        )
        assert joined.fresh == (process not in self.leases)
        if joined.fresh:
            self.renewed(process)
        for name, model in list(self.groups[group].items()):
            if channel in model.channels and name != person:
                self.remove(group, name, channel, 5000)
        first = person not in self.groups[group]
        assert joined.first == first
        if first:
            self.expected[f"J {group} {data}".encode()] += 1
        model = self.groups[group].setdefault(person, Model())
        model.channels[channel] = process, data
        model.data, model.gone = list(model.channels.values())[-1][1], None

    @rule(
        group=st.sampled_from(["room", "hall"]),
        channel=st.sampled_from(["p1!a", "p1!b", "p2!a", "p2!b"]),
    )
    def leave(self, group: str, channel: str) -> None:
        left = self.scripts.run(leave(channel, group=group, now=self.now))
        for name, model in list(self.groups[group].items()):
            if channel in model.channels:
                self.remove(group, name, channel, 5000)
                assert left == Left(True, not model.channels)
                return
        assert not left.known

    @rule(process=st.sampled_from(["p1", "p2", "p3"]))
    def renew(self, process: str) -> None:
        self.scripts.run(renew(process, now=self.now))
        # The others that are overdue go one by one.
        renewed = self.scripts.run(renew(process, now=self.now))
        assert not renewed.more
        self.renewed(process)
        self.swept()

    @rule(process=st.sampled_from(["p1", "p2"]))
    def end(self, process: str) -> None:
        assert self.scripts.run(end(process, now=self.now))
        for group, people in self.groups.items():
            for name, model in list(people.items()):
                for channel, owner in self.in_order_of_removal(model):
                    if owner == process:
                        self.remove(group, name, channel, 5000)
        self.leases.pop(process, None)
        if not self.leases:
            for group, people in self.groups.items():
                for model in people.values():
                    self.expected[f"L {group} {model.data}".encode()] += 1
            self.groups = {"room": {}, "hall": {}}
            assert self.scripts.all_keys() == []

    @rule(seconds=st.sampled_from([1, 4, 11]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @invariant()
    def the_same_is_told(self) -> None:
        self.seen.update(self.told.read())
        assert self.seen == self.expected

    @rule(group=st.sampled_from(["room", "hall"]))
    def read(self, group: str) -> None:
        self.scripts.run(people(group, now=self.now))
        found = listed(self.scripts, group, now=self.now)
        self.swept()
        models = self.groups[group].values()
        assert found == [(model.data.encode(), len(model.channels)) for model in models]


def test_members_behave_as_dicts(scripts: Scripts, told: Told) -> None:
    kind = type("Run", (Presence,), {"scripts": scripts, "told": told})
    run_state_machine_as_test(kind, settings=UNHURRIED)
