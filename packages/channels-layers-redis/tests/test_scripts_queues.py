import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from channels_layers_redis._scripts import queues, waiting
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.queues import Delivered
from channels_layers_redis._scripts.waiting import DeadLetter
from scripts_server import KEYS, START, UNHURRIED, Scripts, running_scripts


@pytest.fixture(scope="module")
def server() -> Iterator[Scripts]:
    with running_scripts() as scripts:
        yield scripts


@pytest.fixture
def scripts(server: Scripts) -> Scripts:
    server.ask("FLUSHALL")
    return server


def append(message: bytes, *, queue: str = "jobs") -> Call[bool]:
    return waiting.append(KEYS, queue, message, capacity=100_000, expiry=None)


def deliver(
    token: str, *, now: int = START, tries: int = 3, queue: str = "jobs", after: float = 60
) -> Call[Delivered]:
    return queues.deliver(KEYS, queue, [token], redeliver_after=after, tries=tries, now=now)


def reject(
    token: str, error: bytes = b"", *, tries: int = 3, now: int | None = START
) -> Call[queues.Ended]:
    return queues.reject(KEYS, "jobs", token, error, redeliver_after=60, tries=tries, now=now)


def acknowledge(token: str, *, now: int | None = START) -> Call[queues.Ended]:
    return queues.acknowledge(KEYS, "jobs", token, now=now)


def give_back(token: str, *, now: int | None = START) -> Call[queues.Ended]:
    return queues.give_back(KEYS, "jobs", token, now=now)


def given(delivered: Delivered) -> tuple[bytes, int]:
    [taken] = delivered.taken
    return taken.message, taken.attempt


def test_a_message_is_given_to_one_worker(scripts: Scripts) -> None:
    scripts.run(append(b"a b \x00"))
    assert given(scripts.run(deliver("1"))) == (b"a b \x00", 1)
    assert scripts.run(deliver("2")).taken == []
    assert scripts.run(acknowledge("1")).current
    assert not scripts.run(acknowledge("1")).current
    assert scripts.all_keys() == []
    assert scripts.run(deliver("3", now=START * 2)).taken == []


def test_one_that_is_not_acknowledged_is_given_again(scripts: Scripts) -> None:
    scripts.run(append(b"first"))
    scripts.run(append(b"second"))
    scripts.run(deliver("1"))
    assert given(scripts.run(deliver("2", now=START + 60_000))) == (b"first", 2)
    assert not scripts.run(acknowledge("1")).current
    assert given(scripts.run(deliver("3", now=START + 60_000))) == (b"second", 1)
    assert scripts.run(acknowledge("2")).current


def test_an_attempt_whose_time_is_over_cannot_be_ended(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(deliver("1"))
    late = START + 60_000
    for call in (reject("1", now=late), acknowledge("1", now=late), give_back("1", now=late)):
        assert not scripts.run(call).current
    assert given(scripts.run(deliver("2", now=late))) == (b"job", 2)
    assert scripts.run(acknowledge("2", now=late)).current


def test_the_oldest_of_them_comes_first(scripts: Scripts) -> None:
    for name in (b"a", b"b", b"c"):
        scripts.run(append(name))
    for number in range(3):
        scripts.run(deliver(f"{number}", now=START + number))
    later = [given(scripts.run(deliver(f"later{n}", now=START + 70_000))) for n in range(3)]
    assert later == [(b"a", 2), (b"b", 2), (b"c", 2)]


def test_after_the_last_try_it_is_a_dead_letter(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    for attempt in (1, 2):
        assert given(scripts.run(deliver(f"{attempt}", now=START + attempt * 60_000, tries=2)))
    assert scripts.run(deliver("3", now=START + 180_000, tries=2)).taken == []
    [letter] = scripts.run(waiting.pop(KEYS, "jobs.dead", now=START * 2))
    assert (letter.message, letter.dead) == (b"job", DeadLetter(2, 60.0, b""))
    assert scripts.all_keys() == []


def test_what_is_rejected_waits_for_its_time(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(deliver("1"))
    assert scripts.run(reject("1", b"error")).current
    for call in (reject("1"), acknowledge("1"), give_back("1")):
        assert not scripts.run(call).current
    assert scripts.run(deliver("2", now=START + 59_999)).taken == []
    assert given(scripts.run(deliver("3", now=START + 60_000))) == (b"job", 2)


def test_a_last_reject_makes_a_dead_letter_at_once(scripts: Scripts) -> None:
    listener = scripts.listen(KEYS.channel("jobs.dead"))
    scripts.run(append(b"job, with \x00"))
    scripts.run(deliver("1", tries=1))
    assert scripts.run(reject("1", b"Error: 1 2,3 \xff", tries=1)).current
    assert listener.get_message(timeout=60)
    listener.close()
    [letter] = scripts.run(waiting.pop(KEYS, "jobs.dead"))
    assert letter.message == b"job, with \x00"
    assert letter.dead == DeadLetter(1, 60.0, b"Error: 1 2,3 \xff")
    assert scripts.all_keys() == []


def test_a_dead_letter_can_be_put_back(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(deliver("1", tries=1))
    scripts.run(reject("1", b"E", tries=1))
    [letter] = scripts.run(waiting.pop(KEYS, "jobs.dead"))
    scripts.run(waiting.put_back(KEYS, "jobs.dead", letter))
    assert scripts.run(waiting.pop(KEYS, "jobs.dead")) == [letter]


def test_dead_letters_may_be_a_queue_themselves(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(deliver("1", tries=1))
    scripts.run(reject("1", b"first", tries=1))
    again = scripts.run(deliver("2", queue="jobs.dead"))
    assert given(again) == (b"job", 1)
    assert again.taken[0].dead == DeadLetter(1, 60.0, b"first")
    scripts.run(queues.reject(KEYS, "jobs.dead", "2", b"second", redeliver_after=60.5, tries=1))
    [letter] = scripts.run(waiting.pop(KEYS, "jobs.dead.dead"))
    assert (letter.message, letter.dead) == (b"job", DeadLetter(1, 60.5, b"second"))


def test_the_oldest_dead_letters_are_dropped(scripts: Scripts) -> None:
    key = KEYS.channel("jobs.dead")
    pipeline = scripts.client.pipeline(transaction=False)
    for number in range(queues.DEAD_LETTERS):
        pipeline.rpush(key, b"0 0 1,60,0 %d" % number)
    pipeline.execute()
    for name in (b"a", b"b", b"c"):
        scripts.run(append(name))
        scripts.run(deliver(name.decode(), tries=1))
    assert scripts.run(reject("a", tries=1)).dropped == 1
    assert scripts.run(deliver("d", now=START + 60_000, tries=1)).dropped == 2
    assert scripts.ask("LLEN", key) == queues.DEAD_LETTERS
    assert scripts.run(waiting.pop(KEYS, "jobs.dead"))[0].message == b"3"


def test_what_is_given_back_is_the_next_one_and_was_not_tried(scripts: Scripts) -> None:
    scripts.run(append(b"first"))
    scripts.run(append(b"second"))
    listener = scripts.listen(KEYS.channel("jobs"))
    scripts.run(deliver("1", tries=1))
    assert scripts.run(give_back("1")).current
    assert listener.get_message(timeout=60)
    listener.close()
    for call in (reject("1"), acknowledge("1"), give_back("1")):
        assert not scripts.run(call).current
    assert given(scripts.run(deliver("2", tries=1))) == (b"first", 1)
    assert given(scripts.run(deliver("3", tries=1))) == (b"second", 1)


def test_a_worker_that_waits_is_told_when_to_look_again(scripts: Scripts) -> None:
    assert scripts.run(deliver("0")).look_again == 60
    scripts.run(append(b"job"))
    assert given(scripts.run(deliver("1", now=START + 10_000)))
    # One that has waited since before looks in time for what it could not know of then.
    assert scripts.run(deliver("2", now=START + 60_000)).look_again == 10
    assert scripts.run(deliver("3", now=START + 69_999)).look_again == 0.001
    assert given(scripts.run(deliver("4", now=START + 70_000))) == (b"job", 2)
    assert scripts.run(deliver("5", now=START + 70_000, after=0.5)).look_again == 0.5


def test_more_overdue_ones_than_one_call_moves(scripts: Scripts) -> None:
    for number in range(250):
        scripts.run(append(b"%d" % number))
        scripts.run(deliver(f"{number}"))
    now = START + 60_000
    found = sorted(given(scripts.run(deliver(f"again{n}", now=now))) for n in range(250))
    assert found == sorted((b"%d" % number, 2) for number in range(250))
    assert scripts.run(deliver("none", now=now)).taken == []


def test_all_overdue_ones_may_be_dead_while_more_wait_for_the_next_call(scripts: Scripts) -> None:
    for number in range(150):
        scripts.run(append(b"%d" % number))
        scripts.run(deliver(f"{number}", tries=1))
    first = scripts.run(deliver("a", tries=1, now=START + 60_000))
    assert (first.taken, first.look_again) == ([], 0)
    assert scripts.run(deliver("b", tries=1, now=START + 60_000)).look_again == 60
    assert scripts.ask("LLEN", KEYS.channel("jobs.dead")) == 150


def test_without_a_token_it_only_looks_for_what_is_overdue(scripts: Scripts) -> None:
    def look(now: int, tries: int = 3) -> Delivered:
        call = queues.deliver(KEYS, "jobs", [], redeliver_after=60, tries=tries, now=now)
        return scripts.run(call)

    listener = scripts.listen(KEYS.channel("jobs"))
    assert not look(START).attempted
    scripts.run(append(b"a"))
    assert listener.get_message(timeout=60)
    scripts.run(deliver("1"))
    assert look(START + 20_000) == Delivered([], 40, 0, attempted=True)
    assert look(START + 60_000) == Delivered([], 60, 0, attempted=False)
    assert listener.get_message(timeout=60)
    listener.close()
    assert given(scripts.run(deliver("2", now=START + 60_000))) == (b"a", 2)
    look(START + 120_000, tries=2)
    assert len(scripts.run(waiting.pop(KEYS, "jobs.dead"))) == 1


def test_several_are_given_at_once(scripts: Scripts) -> None:
    for name in (b"a", b"b", b"c"):
        scripts.run(append(name))
    call = queues.deliver(KEYS, "jobs", ["1", "2"], redeliver_after=60, tries=3)
    assert [one.message for one in scripts.run(call).taken] == [b"a", b"b"]
    call = queues.deliver(KEYS, "jobs", ["3", "4"], redeliver_after=60, tries=3)
    assert [one.message for one in scripts.run(call).taken] == [b"c"]
    ended = [scripts.run(acknowledge(token, now=None)).current for token in "1234"]
    assert ended == [True] * 3 + [False]


def test_an_attempt_whose_message_is_lost_is_forgotten(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(deliver("1"))
    scripts.ask("DEL", KEYS.queue("jobs")[2])
    assert scripts.run(deliver("2", now=START + 60_000)).taken == []
    assert scripts.all_keys() == []


def test_messages_of_before_it_was_a_queue_expire(scripts: Scripts) -> None:
    for name, now in ((b"old", START), (b"new", START + 1)):
        scripts.run(waiting.append(KEYS, "jobs", name, capacity=9, expiry=60, now=now))
    assert given(scripts.run(deliver("1", now=START + 60_000))) == (b"new", 1)


def test_queues_expire_never(scripts: Scripts) -> None:
    scripts.run(append(b"job"))
    scripts.run(append(b"job"))
    scripts.run(deliver("1"))
    assert [scripts.ask("PTTL", key) for key in scripts.all_keys()] == [-1, -1, -1]


def test_workers_that_die_lose_no_job_and_do_none_twice_that_is_acknowledged(
    scripts: Scripts,
) -> None:
    done: deque[bytes] = deque()
    stop = threading.Event()
    sent = [b"%d" % number for number in range(300)]

    def work(name: str, forgets: bool) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            token = f"{name}-{count}"
            call = queues.deliver(KEYS, "jobs", [token], redeliver_after=0.02, tries=1000)
            delivered = scripts.run(call)
            if not delivered.taken or (forgets and count % 3 == 0):
                continue
            if scripts.run(acknowledge(token, now=None)).current:
                done.append(delivered.taken[0].message)
                if len(done) == len(sent):
                    stop.set()

    workers = [threading.Thread(target=work, args=(f"{n}", n > 1)) for n in range(4)]
    for worker in workers:
        worker.start()
    for one in sent:
        scripts.run(append(one))
    for worker in workers:
        worker.join()
    assert sorted(done) == sorted(sent)


@dataclass(eq=False)
class Job:
    name: bytes
    attempts: int = 0
    ends: int = 0
    token: str | None = None


class Queue(RuleBasedStateMachine):
    """A queue beside lists of jobs."""

    scripts: Scripts
    tries = 2

    def __init__(self) -> None:
        super().__init__()
        self.scripts.ask("FLUSHALL")
        self.now = START
        self.number = 0
        self.waiting: list[Job] = []
        self.given: list[Job] = []
        self.dead: list[bytes] = []
        self.used: list[str] = ["never"]

    def settle(self) -> None:
        overdue = sorted(
            (job for job in self.given if job.ends <= self.now), key=lambda job: job.ends
        )
        self.given = [job for job in self.given if job.ends > self.now]
        for job in overdue:
            if job.attempts >= self.tries:
                self.dead.append(job.name)
        self.waiting[:0] = [job for job in overdue if job.attempts < self.tries]

    @rule()
    def send(self) -> None:
        self.number += 1
        name = b"%d" % self.number
        self.scripts.run(append(name))
        self.waiting.append(Job(name))

    @rule()
    def give(self) -> None:
        # Each attempt at its own time, so that the order of two overdue ones is known.
        self.now += 1
        token = f"t{len(self.used)}"
        delivered = self.scripts.run(deliver(token, now=self.now, tries=self.tries))
        self.settle()
        if not self.waiting:
            assert not delivered.taken
            ends = min([self.now + 60_000, *(job.ends for job in self.given)])
            assert delivered.look_again == (ends - self.now) / 1000
            return
        job = self.waiting.pop(0)
        job.attempts += 1
        job.ends = self.now + 60_000
        job.token = token
        self.given.append(job)
        self.used.append(token)
        assert given(delivered) == (job.name, job.attempts)

    def current(self, token: str) -> Job | None:
        current = (job for job in self.given if job.token == token and job.ends > self.now)
        return next(current, None)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.used))
        job = self.current(token)
        assert self.scripts.run(acknowledge(token, now=self.now)).current == (job is not None)
        if job:
            self.given.remove(job)

    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.used))
        job = self.current(token)
        assert self.scripts.run(reject(token, tries=self.tries, now=self.now)).current == (
            job is not None
        )
        if job and job.attempts >= self.tries:
            self.given.remove(job)
            self.dead.append(job.name)
        elif job:
            job.token = None

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.used))
        job = self.current(token)
        assert self.scripts.run(give_back(token, now=self.now)).current == (job is not None)
        if job:
            self.given.remove(job)
            job.attempts -= 1
            self.waiting.insert(0, job)

    @precondition(lambda self: self.given)
    @rule(seconds=st.sampled_from([1, 30, 60]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule()
    def read_dead_letters(self) -> None:
        letters = self.scripts.run(waiting.pop(KEYS, "jobs.dead", count=99))
        # Those of one call are in no particular order.
        assert sorted(letter.message for letter in letters) == sorted(self.dead)
        self.dead.clear()


def test_a_queue_behaves_as_lists(scripts: Scripts) -> None:
    kind = type("Run", (Queue,), {"scripts": scripts})
    run_state_machine_as_test(kind, settings=UNHURRIED)
