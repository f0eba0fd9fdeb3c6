"""The clauses of the contract on the extension `acks`."""

import asyncio
from typing import Any

from channels_core.exceptions import ChannelFull
from channels_core.layer_extensions import Delivery
from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["Queues"]

QUEUE, OTHER, DEAD = "contract.queue", "contract.queue2", "contract.queue.dead"
LONGEST, TOO_LONG = "q" * 94, "q" * 95
TRIES = 2

# As in the clauses on a `receive` that is cancelled: how many turns of the event loop later the
# next cancellation comes.
_CLIMB, _BACK = 4, 3


class Queues(Contract):
    """Queues: messages that a worker acknowledges, and that are given again if it does not."""

    @clause
    async def test_a_delivery_has_one_worker(self) -> None:
        """`receive_delivery` gives each message to one call, as attempt 1."""
        layer = await self.with_queues()
        waiting = [self.started(layer.receive_delivery(QUEUE)) for _ in range(3)]
        await self.until_waiting()
        await self.add(layer, 1, 2)
        got = [await self.result(one, QUEUE) for one in await self.first_done(waiting, 2)]
        expect(sorted(one.message["number"] for one in got), [1, 2], "what all workers got")
        expect([one.attempt for one in got], [1, 1], "the attempts")
        await self.until_waiting()
        expect(sum(task.done() for task in waiting), 2, "the workers that got a message")

    @clause
    async def test_a_queue_has_room_for_the_name_of_its_dead_letters(self) -> None:
        """The name of a queue that is too long for that of its dead letters is a TypeError."""
        layer = await self.layer("acks", queues={"q*": {"redeliver_after": 60, "tries": 1}})
        await self.add(layer, 1, channel=LONGEST)
        delivery = await self.given(layer, LONGEST)
        expect(await layer.reject(LONGEST, delivery.token, "failed"), True, "reject()")
        dead = await self.received(layer, f"{LONGEST}.dead")
        expect(dead["dead"]["channel"], LONGEST, "the queue of the dead letter")
        for call in (layer.send(TOO_LONG, MARK), layer.receive_delivery(TOO_LONG)):
            await self.expect_error(call, TypeError, "a queue with a name of 95 characters")

    @clause
    async def test_deliveries_come_in_order(self) -> None:
        """A queue is first in, first out, whether or not the earlier ones are acknowledged."""
        layer = await self.with_queues()
        await self.add(layer, 1, 2, 3)
        got = [await self.given(layer) for _ in range(3)]
        expect([one.message["number"] for one in got], [1, 2, 3], "what the worker got")
        expect(got[0].message, {"type": "job", "number": 1}, "the first message")

    @clause
    async def test_an_acknowledged_message_is_gone(self) -> None:
        """`acknowledge` returns True, once, and the message is not given again."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        delivery = await self.given(layer)
        expect(await layer.acknowledge(QUEUE, delivery.token), True, "acknowledge()")
        expect(await layer.acknowledge(QUEUE, delivery.token), False, "acknowledge() again")
        await self.pass_redelivery()
        await self.expect_no_job(layer, "after it was acknowledged")

    @clause
    async def test_a_message_is_given_again(self) -> None:
        """Without an answer in time, the message is given again as it was, as attempt 2."""
        layer = await self.with_queues()
        await layer.send(QUEUE, {"type": "job", "values": [1]})
        first = await self.given(layer)
        first.message["values"].append(2)
        await self.pass_redelivery()
        again = await self.given(layer)
        expect(again.message, {"type": "job", "values": [1]}, "what was given again")
        expect(again.attempt, 2, "the attempt")
        await self.expect_stale(layer, first, "of the first attempt")
        expect(await layer.acknowledge(QUEUE, again.token), True, "acknowledge() of the second")

    @clause
    async def test_who_waits_is_given_it_again(self) -> None:
        """A `receive_delivery` that waits gets a message whose time is over."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        first = await self.given(layer)
        waiting = self.started(layer.receive_delivery(QUEUE))
        await self.until_waiting()
        await self.pass_redelivery()
        await self.expect_stale(layer, first, "of the first attempt")
        expect((await self.result(waiting, QUEUE)).attempt, 2, "the attempt")

    @clause
    async def test_a_rejected_message_waits_for_its_time(self) -> None:
        """After `reject` a message is given again when the time of its attempt is over."""
        layer = await self.with_queues(redeliver_after=4 * self.expiry)
        await self.add(layer, 1)
        first = await self.given(layer)
        expect(await layer.reject(QUEUE, first.token, "it broke"), True, "reject()")
        await self.expect_stale(layer, first, "of a message that was rejected")
        await self.expect_no_job(layer, "just after it was rejected")
        await self.pass_redelivery(4)
        again = await self.given(layer)
        expect((again.message["number"], again.attempt), (1, 2), "the message and its attempt")

    @clause
    async def test_a_message_that_fails_is_a_dead_letter(self) -> None:
        """After `reject` of the last attempt the message is in `{channel}.dead`, with its error."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        await self.given(layer)
        await self.pass_redelivery()
        last = await self.given(layer)
        expect(await layer.reject(QUEUE, last.token, "ValueError: 1"), True, "reject()")
        await self.expect_stale(layer, last, "of the last attempt")
        await self.expect_dead(layer, 1, "ValueError: 1")
        await self.pass_redelivery()
        await self.expect_no_job(layer, "after the last attempt")

    @clause
    async def test_a_message_without_an_answer_is_a_dead_letter(self) -> None:
        """After the last attempt without an answer it is in `{channel}.dead`, and stays there."""
        layer = await self.with_queues(expiry=self.expiry)
        await self.add(layer, 1)
        given = []
        for _ in range(TRIES):
            given.append(await self.given(layer))
            await self.pass_redelivery()
        await self.expect_stale(layer, given[-1], "of the last attempt")
        await self.pass_time(self.setting(layer, "expiry", self.expiry) + self.lateness)
        limits = layer.queue_limits(QUEUE)
        error = f"was not acknowledged within {limits.redeliver_after:g} seconds"
        await self.expect_dead(layer, 1, error)

    @clause
    async def test_a_message_given_back_comes_first(self) -> None:
        """After `give_back` a message is the next one, and that attempt does not count."""
        layer = await self.with_queues()
        await self.add(layer, 1, 2)
        first = await self.given(layer)
        expect(await layer.give_back(QUEUE, first.token), True, "give_back()")
        await self.expect_stale(layer, first, "of a message that was given back")
        again = await self.given(layer)
        expect((again.message["number"], again.attempt), (1, 1), "the message and its attempt")
        expect(await layer.acknowledge(QUEUE, again.token), True, "acknowledge()")

    @clause
    async def test_a_token_belongs_to_its_queue(self) -> None:
        """An unknown token, or one of another queue, is answered with False."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        delivery = await self.given(layer)
        for channel, token in ((OTHER, delivery.token), (QUEUE, "unknown"), (QUEUE, "")):
            await self.expect_stale(layer, Delivery({}, token, 1), f"{token!r:.20}", channel)
        expect(await layer.acknowledge(QUEUE, delivery.token), True, "acknowledge()")

    @clause
    async def test_a_cancelled_delivery_loses_nothing(self) -> None:
        """A message that arrives as `receive_delivery` is cancelled is given to the next call."""
        layer = await self.with_queues(tries=self.races + 1)
        turns, step = 0, _CLIMB
        for number in range(self.races):
            waiting = self.started(layer.receive_delivery(QUEUE))
            await self.until_waiting()
            sending = self.started(self.add(layer, number))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting, sending])
            await sending
            if waiting.cancelled():
                turns += step
                delivery = await self.given(layer)
            else:
                # The cancellation came too late: from here on stay close to that turn.
                turns, step = max(0, turns - _BACK), 1
                delivery = await waiting
            expect(delivery.message["number"], number, "what was given after a cancellation")
            expect(await layer.acknowledge(QUEUE, delivery.token), True, "acknowledge()")
        await self.expect_no_job(layer, "after all jobs")

    @clause
    async def test_receive_takes_a_job_once(self) -> None:
        """`receive` on a queue takes a message for good."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        await self.expect_next(layer, QUEUE, {"type": "job", "number": 1}, "what receive() got")
        await self.pass_redelivery()
        await self.expect_no_job(layer, "after receive()")

    @clause
    async def test_a_full_queue_refuses(self) -> None:
        """`send` to a queue that is full raises ChannelFull."""
        layer = await self.with_queues(capacity=3)
        capacity = self.setting(layer, "capacity", 3)
        await self.add(layer, *range(capacity))
        call = self.add(layer, capacity)
        await self.expect_error(call, ChannelFull, "send() to a queue that is full")
        got = [(await self.given(layer)).message["number"] for _ in range(capacity)]
        expect(got, list(range(capacity)), "what waited in the full queue")

    @clause
    async def test_a_job_does_not_expire(self) -> None:
        """A message in a queue has no `expiry`."""
        layer = await self.with_queues(expiry=self.expiry)
        await self.add(layer, 1)
        await self.pass_time(self.setting(layer, "expiry", self.expiry) + self.lateness)
        expect((await self.given(layer)).message["number"], 1, "what waited for long")

    @clause
    async def test_a_queue_may_be_in_a_group(self) -> None:
        """A message to a group is a job for each queue in the group."""
        layer = await self.with_queues("groups")
        for channel in (QUEUE, OTHER):
            await layer.group_add("contract.room", channel)
        await layer.group_send("contract.room", {"type": "job", "number": 1})
        for channel in (QUEUE, OTHER):
            first = await self.given(layer, channel)
            expect(first.message["number"], 1, f"what {channel} got")
        await self.pass_redelivery()
        expect((await self.given(layer)).attempt, 2, "the attempt")

    @clause
    async def test_only_some_channels_are_queues(self) -> None:
        """`queue_limits` tells which."""
        layer = await self.with_queues()
        limits = layer.queue_limits(QUEUE)
        expect(limits and tuple(limits), (self.expiry, TRIES), "queue_limits() of a queue")
        expect(layer.queue_limits("other.channel"), None, "queue_limits() of another channel")

    @clause
    async def test_queues_do_not_mix(self) -> None:
        """Each queue has its own messages."""
        layer = await self.with_queues()
        await self.add(layer, 1)
        await self.add(layer, 2, channel=OTHER)
        expect((await self.given(layer, OTHER)).message["number"], 2, "what the other queue got")
        expect((await self.given(layer)).message["number"], 1, "what the queue got")

    @clause
    async def test_flush_drops_jobs(self) -> None:
        """After `flush` no message waits, and none that a worker has is given again."""
        layer = await self.with_queues("flush")
        await self.add(layer, 1, 2)
        delivery = await self.given(layer)
        await layer.flush()
        await self.expect_stale(layer, delivery, "of before the flush")
        await self.pass_redelivery()
        await self.expect_no_job(layer, "after a flush")

    @clause
    async def test_a_sender_in_a_thread_wakes_a_worker(self) -> None:
        """`async_to_sync(layer.send)` in a thread reaches a `receive_delivery` that waits."""
        layer = await self.with_queues()
        waiting = self.started(layer.receive_delivery(QUEUE))
        await self.until_waiting()
        await self.elsewhere(layer.send, QUEUE, {"type": "job", "number": 1})
        expect((await self.result(waiting, QUEUE)).message["number"], 1, "what the worker got")

    @clause
    async def test_instances_share_queues(self) -> None:
        """A message goes to one instance; without an answer another one gets it."""
        self.require_shared()
        one, other = await self.with_queues(), await self.with_queues()
        await self.add(other, 1, 2)
        first, second = await self.given(one), await self.given(other)
        got = [first.message["number"], second.message["number"]]
        expect(got, [1, 2], "what each of both got")
        expect(await one.acknowledge(QUEUE, second.token), True, "acknowledge() by another one")
        await self.pass_redelivery()
        again = await self.given(other)
        expect((again.message["number"], again.attempt), (1, 2), "the message and its attempt")
        await self.expect_stale(one, first, "of the first attempt")

    # Steps of these clauses

    async def with_queues(
        self,
        *extensions: str,
        redeliver_after: float | None = None,
        tries: int = TRIES,
        **options: Any,
    ) -> Layer:
        """Make a layer with two queues."""
        seconds = self.expiry if redeliver_after is None else redeliver_after
        limits = {"redeliver_after": seconds, "tries": tries}
        queues = {QUEUE: limits, OTHER: limits}
        return await self.layer("acks", *extensions, queues=queues, **options)

    async def add(self, layer: Layer, *numbers: int, channel: str = QUEUE) -> None:
        """Send a message to a queue for each number."""
        for number in numbers:
            await layer.send(channel, {"type": "job", "number": number})

    async def given(self, layer: Layer, channel: str = QUEUE) -> Any:
        """Receive a delivery, or fail after the time-out."""
        return await self.result(self.started(layer.receive_delivery(channel)), channel)

    async def first_done(
        self, tasks: list[asyncio.Task[Any]], number: int
    ) -> list[asyncio.Task[Any]]:
        """Wait until a number of calls have ended, or fail after the time-out."""
        pending = set(tasks)
        while pending and len(tasks) - len(pending) < number:
            done, pending = await asyncio.wait(
                pending, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise AssertionError(
                    f"receive_delivery({QUEUE!r}): expected {number} deliveries, got "
                    f"{len(tasks) - len(pending)} within {self.timeout} s"
                )
        return [task for task in tasks if task not in pending]

    async def pass_redelivery(self, times: float = 1) -> None:
        """Let the time of an attempt pass."""
        await self.pass_time(times * self.expiry + self.lateness)

    async def expect_stale(
        self, layer: Layer, delivery: Any, what: str, channel: str = QUEUE
    ) -> None:
        """Fail unless a token is not current any more."""
        __tracebackhide__ = True
        token = delivery.token
        expect(await layer.acknowledge(channel, token), False, f"acknowledge() {what}")
        expect(await layer.reject(channel, token, "late"), False, f"reject() {what}")
        expect(await layer.give_back(channel, token), False, f"give_back() {what}")

    async def expect_no_job(self, layer: Layer, what: str) -> None:
        """Fail if a message waits in the queue: it would come before one that is sent now."""
        __tracebackhide__ = True
        await layer.send(QUEUE, MARK)
        delivery = await self.given(layer)
        expect(delivery.message, MARK, f"the queue {what}")
        await layer.acknowledge(QUEUE, delivery.token)

    async def expect_dead(self, layer: Layer, number: int, error: str) -> None:
        """Fail unless the message is the next dead letter."""
        __tracebackhide__ = True
        dead = {"channel": QUEUE, "error": error, "attempts": TRIES}
        letter = {"type": "job", "number": number, "dead": dead}
        await self.expect_next(layer, DEAD, letter, f"what {DEAD} got")
