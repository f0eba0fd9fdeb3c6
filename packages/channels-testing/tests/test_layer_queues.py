import asyncio
from typing import Any

import pytest

from channels_core.layer_extensions import Delivery, QueueLimits
from extended_layer import Attempt, ExtendedLayer, Job, extended_breach


class Patient(ExtendedLayer):
    """Takes queues whose dead letters have no valid name."""

    def refuse_long(self, channel: str) -> None:
        """Refuse nothing."""


class Generous(ExtendedLayer):
    """Gives a message to several workers."""

    def next_of(self, jobs: list[Job]) -> Job:
        job = jobs[0]
        if job.attempts:
            jobs.pop(0)
        return job


class Sleeping(ExtendedLayer):
    """Does not wake a worker."""

    def wake_worker(self, channel: str) -> None:
        pass


class Backwards(ExtendedLayer):
    """Gives the newest message first."""

    def next_of(self, jobs: list[Job]) -> Job:
        return jobs.pop()


class Deaf(ExtendedLayer):
    """Does not take an acknowledgement."""

    async def acknowledge(self, channel: str, token: str) -> bool:
        return self.current(channel, token) is not None


class Polite(ExtendedLayer):
    """Is always content."""

    async def acknowledge(self, channel: str, token: str) -> bool:
        await super().acknowledge(channel, token)
        return True


class Once(ExtendedLayer):
    """Gives nothing again."""

    def unanswered(self, channel: str, attempt: Attempt) -> None:
        pass


class Uncounted(ExtendedLayer):
    """Does not count attempts."""

    def give(self, channel: str, job: Job) -> Delivery:
        return super().give(channel, job)._replace(attempt=1)


class Shared(ExtendedLayer):
    """Copies nothing."""

    def unpack(self, message: Any) -> Any:
        return message


class Snoozing(ExtendedLayer):
    """Wakes nobody for what it gives again."""

    def again(self, channel: str, job: Job) -> None:
        self.store.jobs[channel].insert(0, job)


class Hasty(ExtendedLayer):
    """Gives a rejected message again at once."""

    async def reject(self, channel: str, token: str, error: str) -> bool:
        current = self.current(channel, token)
        if current is None or current.job.attempts > 1:
            return await super().reject(channel, token, error)
        del self.store.given[channel, token]
        self.again(channel, current.job)
        return True


class Final(ExtendedLayer):
    """Never gives a rejected message again."""

    async def reject(self, channel: str, token: str, error: str) -> bool:
        done = await super().reject(channel, token, error)
        self.store.given.pop((channel, token), None)
        return done


class Lenient(ExtendedLayer):
    """Lets a token live on."""

    async def reject(self, channel: str, token: str, error: str) -> bool:
        current = self.current(channel, token)
        done = await super().reject(channel, token, error)
        if current:
            current.rejected = False
        return done


class Burning(ExtendedLayer):
    """Keeps no dead letters."""

    def bury(self, channel: str, job: Job, error: str) -> None:
        pass


class Terse(ExtendedLayer):
    """Does not say why a letter is dead."""

    def bury(self, channel: str, job: Job, error: str) -> None:
        super().bury(channel, job, "")


class Undying(ExtendedLayer):
    """Tries for ever."""

    def unanswered(self, channel: str, attempt: Attempt) -> None:
        self.again(channel, attempt.job)

    async def reject(self, channel: str, token: str, error: str) -> bool:
        current = self.current(channel, token)
        if current is not None:
            self.bury(channel, current.job, error)
            current.rejected = True
        return current is not None


class Perishable(ExtendedLayer):
    """Lets dead letters expire."""

    def lasting(self) -> float:
        return self.clock()


class Behind(ExtendedLayer):
    """Puts what is given back to the end."""

    async def give_back(self, channel: str, token: str) -> bool:
        done = await super().give_back(channel, token)
        if done:
            self.store.jobs[channel].append(self.store.jobs[channel].pop(0))
        return done


class Counting(ExtendedLayer):
    """Counts an attempt that was given back."""

    async def give_back(self, channel: str, token: str) -> bool:
        if current := self.current(channel, token):
            current.job.attempts += 1
        return await super().give_back(channel, token)


class Anywhere(ExtendedLayer):
    """Does not look at the name of the queue."""

    def current(self, channel: str, token: str) -> Attempt | None:
        for name, known in list(self.store.given):
            if known == token:
                return super().current(name, token)
        return None

    async def acknowledge(self, channel: str, token: str) -> bool:
        return self.current(channel, token) is not None


class Failing(ExtendedLayer):
    """Raises for a token that it does not know."""

    def current(self, channel: str, token: str) -> Attempt | None:
        if not token.isdecimal():
            raise LookupError("no such token")
        return super().current(channel, token)


class Losing(ExtendedLayer):
    """Loses a message whose worker was cancelled."""

    async def receive_delivery(self, channel: str) -> Delivery:
        job = await self.next_job(channel)
        await asyncio.sleep(0)
        return self.give(channel, job)


class Careful(ExtendedLayer):
    """Wants an acknowledgement for a message that was received."""

    async def receive(self, channel: str) -> Any:
        if self.queue_limits(channel):
            return (await self.receive_delivery(channel)).message
        return await super().receive(channel)


class Unbounded(ExtendedLayer):
    """Has queues of any length."""

    def room_for_job(self, channel: str) -> None:
        pass


class Expiring(ExtendedLayer):
    """Lets jobs expire."""

    sent = 0.0

    def put(self, channel: str, message: Any) -> None:
        super().put(channel, message)
        self.sent = self.clock()

    def settle(self) -> None:
        if self.clock() - self.sent >= self.expiry:
            self.store.jobs.clear()
        super().settle()


class Ungrouped(ExtendedLayer):
    """Sends groups nothing that is a job."""

    def members(self, group: str) -> list[str]:
        return [one for one in super().members(group) if not self.queue_limits(one)]


class Everywhere(ExtendedLayer):
    """Takes each channel for a queue."""

    def queue_limits(self, channel: str) -> QueueLimits | None:
        return self.queues[0][1] if self.queues else None


class Mixed(ExtendedLayer):
    """Has one queue."""

    async def next_job(self, channel: str) -> Job:
        return await super().next_job("contract.queue")


class Unflushed(ExtendedLayer):
    """Flushes what waits."""

    async def flush(self) -> None:
        given = dict(self.store.given)
        await super().flush()
        self.store.given.update(given)


class Local(ExtendedLayer):
    """Wakes only those in the same event loop."""

    def wake_worker(self, channel: str) -> None:
        if asyncio.get_running_loop() is self.loop:
            super().wake_worker(channel)

    async def next_job(self, channel: str) -> Job:
        self.loop = asyncio.get_running_loop()
        return await super().next_job(channel)


class Private(ExtendedLayer):
    """Knows the tokens that it has given."""

    def give(self, channel: str, job: Job) -> Delivery:
        delivery = super().give(channel, job)
        self.mine = [*getattr(self, "mine", []), delivery.token]
        return delivery

    def current(self, channel: str, token: str) -> Attempt | None:
        current = super().current(channel, token)
        return current if token in getattr(self, "mine", []) else None


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        (
            "test_a_delivery_has_one_worker",
            Generous,
            "what all workers got: expected [1, 2], got [",
        ),
        ("test_a_delivery_has_one_worker", Sleeping, "expected 2 deliveries, got 0 within 0.01 s"),
        ("test_deliveries_come_in_order", Backwards, "what the worker got: at [0] expected 1, got"),
        ("test_an_acknowledged_message_is_gone", Deaf, "acknowledge() again: expected False, got"),
        (
            "test_an_acknowledged_message_is_gone",
            Polite,
            "acknowledge() again: expected False, got",
        ),
        ("test_a_message_is_given_again", Once, "got none within 0.01 s"),
        ("test_a_message_is_given_again", Uncounted, "the attempt: expected 2, got 1"),
        ("test_a_message_is_given_again", Shared, "at ['values'] expected [1], got [1, 2]"),
        ("test_a_message_is_given_again", Polite, "acknowledge() of the first attempt: expected F"),
        ("test_who_waits_is_given_it_again", Snoozing, "got none within 0.01 s"),
        ("test_a_rejected_message_waits_for_its_time", Hasty, "the queue just after it was reject"),
        ("test_a_rejected_message_waits_for_its_time", Final, "got none within 0.01 s"),
        ("test_a_rejected_message_waits_for_its_time", Lenient, "of a message that was rejected: "),
        (
            "test_a_queue_has_room_for_the_name_of_its_dead_letters",
            Patient,
            "expected a TypeError",
        ),
        ("test_a_message_that_fails_is_a_dead_letter", Burning, "got none within 0.01 s"),
        ("test_a_message_that_fails_is_a_dead_letter", Terse, "expected 'ValueError: 1', got ''"),
        ("test_a_message_that_fails_is_a_dead_letter", Undying, "the queue after the last attempt"),
        ("test_a_message_without_an_answer_is_a_dead_letter", Undying, "got none within 0.01 s"),
        ("test_a_message_without_an_answer_is_a_dead_letter", Perishable, "none within 0.01 s"),
        ("test_a_message_without_an_answer_is_a_dead_letter", Terse, "expected 'was not acknowled"),
        ("test_a_message_given_back_comes_first", Behind, "expected (1, 1), got (2, 1)"),
        ("test_a_message_given_back_comes_first", Counting, "expected (1, 1), got (1, 2)"),
        ("test_a_token_belongs_to_its_queue", Anywhere, "expected False, got True"),
        ("test_a_token_belongs_to_its_queue", Failing, "LookupError: no such token"),
        ("test_a_cancelled_delivery_loses_nothing", Losing, "got none within 0.01 s"),
        ("test_receive_takes_a_job_once", Careful, "the queue after receive(): expected"),
        ("test_a_full_queue_refuses", Unbounded, "expected a ChannelFull, got no error"),
        ("test_a_job_does_not_expire", Expiring, "got none within 0.01 s"),
        ("test_a_queue_may_be_in_a_group", Ungrouped, "got none within 0.01 s"),
        ("test_only_some_channels_are_queues", Everywhere, "expected None, got QueueLimits("),
        ("test_queues_do_not_mix", Mixed, "what the other queue got: expected 2, got 1"),
        ("test_flush_drops_jobs", Unflushed, "acknowledge() of before the flush: expected False"),
        ("test_a_sender_in_a_thread_wakes_a_worker", Local, "got none within 0.01 s"),
        ("test_instances_share_queues", Private, "acknowledge() by another one: expected True"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[ExtendedLayer], said: str) -> None:
    assert said in extended_breach(broken, clause, hangs="within" in said)
