"""The simple layer with all extensions, in steps that a test can break one by one."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar

from channels_core.exceptions import ChannelFull, MessagesMissed
from channels_core.layer_extensions import (
    Delivery,
    History,
    HistoryLimits,
    QueueLimits,
    checked_exclude,
    checked_member,
    compile_history,
    compile_queues,
    find_limits,
    format_position,
    group_tag,
    new_epoch,
    parse_position,
    require_queue_name,
)
from simple_layer import SimpleContract, SimpleLayer, Store, breach

__all__ = ["Attempt", "ExtendedContract", "ExtendedLayer", "Job", "Past", "extended_breach"]


@dataclass
class Past:
    """The history of one group."""

    epoch: str = field(default_factory=new_epoch)
    newest: int = 0
    kept: list[tuple[float, int, Any]] = field(default_factory=list)


@dataclass
class Job:
    """A message of a queue."""

    message: Any
    attempts: int = 0


@dataclass
class Attempt:
    """A job that a worker has."""

    job: Job
    ends: float
    rejected: bool = False


class ExtendedStore(Store):
    """What the instances share."""

    def __init__(self) -> None:
        super().__init__()
        self.histories: dict[str, Past] = defaultdict(Past)
        # By group and id: the data by channel, and when it has left.
        self.people: dict[str, dict[Any, dict[str, Any]]] = defaultdict(dict)
        self.leaving: dict[tuple[str, Any], tuple[float, Any]] = {}
        self.jobs: dict[str, list[Job]] = defaultdict(list)
        self.workers: dict[str, list[Future[None]]] = defaultdict(list)
        self.given: dict[tuple[str, str], Attempt] = {}
        self.numbers = iter(range(10**9))
        self.missed: set[str] = set()


class ExtendedLayer(SimpleLayer):
    """Everything in one store, under one lock."""

    extensions: ClassVar[list[str]] = [
        *("groups", "flush", "exclude", "history", "members", "acks", "gaps")
    ]
    store: ExtendedStore

    def __init__(
        self,
        store: ExtendedStore,
        clock: Callable[[], float],
        *,
        history: Any = None,
        queues: Any = None,
        member_linger: float = 5,
        **options: Any,
    ) -> None:
        super().__init__(store, clock, **options)
        self.history = compile_history(history)
        self.queues = compile_queues(queues)
        self.member_linger = member_linger

    async def ping(self) -> None:
        pass

    # Groups

    async def group_add(self, group: str, channel: str, member: Any = None) -> None:
        data = None if member is None else self.checked(member)
        await super().group_add(group, channel)
        if data is not None:
            self.tell(group, channel, data)

    async def group_discard(self, group: str, channel: str) -> None:
        await super().group_discard(group, channel)
        self.ended(group, channel)

    async def forget_channel(self, channel: str) -> None:
        await super().forget_channel(channel)
        for group in list(self.store.people):
            self.ended(group, channel)

    async def group_send(self, group: str, message: Any, exclude: Collection[str] = ()) -> None:
        self.check_group(group)
        excluded = self.excluded(exclude)
        message = self.pack(message)
        with self.store.lock:
            limits = self.history_limits(group)
            if limits is not None:
                message = self.keep(group, limits, message)
            for channel in self.members(group):
                copied = message
                if channel in excluded:
                    if limits is None:
                        continue
                    copied = self.instead(message)
                try:
                    self.put(channel, copied)
                except ChannelFull:
                    continue

    def excluded(self, exclude: Collection[str]) -> Collection[str]:
        return checked_exclude(exclude)

    def instead(self, message: Any) -> Any:
        return {"type": "group.position", "position": message["position"]}

    async def flush(self) -> None:
        await super().flush()
        self.store.histories.clear()
        self.store.people.clear()
        self.store.leaving.clear()
        self.store.jobs.clear()
        self.store.given.clear()

    # History

    def history_limits(self, group: str) -> HistoryLimits | None:
        return find_limits(self.history, group)

    def keep(self, group: str, limits: HistoryLimits, message: Any) -> Any:
        if "position" in message:
            raise ValueError("there is a position")
        past = self.past(group, limits)
        past.newest += 1
        message = {**message, "position": self.position(group, past)}
        past.kept.append((self.clock() + limits.age, past.newest, message))
        return message

    def past(self, group: str, limits: HistoryLimits) -> Past:
        past = self.store.histories[group]
        return self.trim(past, limits)

    def trim(self, past: Past, limits: HistoryLimits) -> Past:
        past.kept = [one for one in past.kept if one[0] > self.clock()][-limits.size :]
        return past

    def position(self, group: str, past: Past) -> str:
        return format_position(group_tag(group), past.epoch, past.newest)

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        limits = self.history_limits(group)
        if limits is None or (limit is not None and limit < 0):
            raise ValueError("no history")
        with self.store.lock:
            past = self.past(group, limits)
            kept, complete = list(past.kept), True
            if after is not None:
                seen = self.seen(group, past, after)
                if complete := seen is not None:
                    kept = [one for one in kept if one[1] > seen]
            chosen = self.limited([one[2] for one in kept], limit, newest=after is None)
            return History(
                [self.unpack(one) for one in chosen], self.position(group, past), complete
            )

    def limited(self, messages: list[Any], limit: int | None, *, newest: bool) -> list[Any]:
        if limit is None or limit >= len(messages):
            return messages
        return messages[len(messages) - limit :] if newest else messages[:limit]

    def seen(self, group: str, past: Past, after: Any) -> int | None:
        """Return the number of a position after which nothing is missing."""
        found = parse_position(after)
        if not found or (found.tag, found.epoch) != (group_tag(group), past.epoch):
            return None
        first = past.kept[0][1] if past.kept else past.newest + 1
        return found.number if first - 1 <= found.number <= past.newest else None

    # Members

    def checked(self, member: Any) -> Any:
        return checked_member(member)

    def tell(self, group: str, channel: str, data: Any) -> None:
        self.settle()
        people = self.store.people[group]
        self.ended(group, channel, but=data["id"])
        new = data["id"] not in people
        connections = people.setdefault(data["id"], {})
        connections[channel] = data
        self.store.leaving.pop((group, data["id"]), None)
        if new:
            self.notify("group.joined", group, data)

    def ended(self, group: str, channel: str, but: Any = None) -> None:
        for name, connections in self.store.people[group].items():
            if channel in connections and name != but:
                data = connections.pop(channel)
                if not connections:
                    self.leave(group, name, data)

    def leave(self, group: str, name: Any, data: Any) -> None:
        self.store.leaving[group, name] = (self.clock() + self.member_linger, data)

    def notify(self, kind: str, group: str, data: Any) -> None:
        for channel in self.members(group):
            self.put(channel, {"type": kind, "group": group, "member": data})

    def settle(self) -> None:
        """Do what is due."""
        for group, people in self.store.people.items():
            members = self.members(group)
            for connections in people.values():
                for channel in [one for one in connections if one not in members]:
                    self.ended(group, channel)
        for (group, name), (ends, data) in list(self.store.leaving.items()):
            if ends <= self.clock():
                del self.store.leaving[group, name]
                del self.store.people[group][name]
                self.notify("group.left", group, data)
        for (channel, token), attempt in list(self.store.given.items()):
            if attempt.ends <= self.clock():
                del self.store.given[channel, token]
                self.unanswered(channel, attempt)

    async def group_members(self, group: str) -> list[Any]:
        self.settle()
        listed = []
        for name, connections in self.store.people[group].items():
            data = list(connections.values())
            last = data[-1] if data else self.store.leaving[group, name][1]
            listed.append({**self.unpack(last), "connections": len(data)})
        return listed

    # Queues

    def queue_limits(self, channel: str) -> QueueLimits | None:
        return find_limits(self.queues, channel)

    def put(self, channel: str, message: Any) -> None:
        limits = self.queue_limits(channel)
        if limits is None:
            super().put(channel, message)
            return
        self.refuse_long(channel)
        with self.store.lock:
            self.room_for_job(channel)
            self.store.jobs[channel].append(Job(message))
            self.wake_worker(channel)

    def refuse_long(self, channel: str) -> None:
        require_queue_name(channel, 100)

    def room_for_job(self, channel: str) -> None:
        if len(self.store.jobs[channel]) >= self.get_capacity(channel):
            raise ChannelFull(channel)

    def wake_worker(self, channel: str) -> None:
        for future in self.store.workers.pop(channel, []):
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    async def receive(self, channel: str) -> Any:
        if self.queue_limits(channel) is not None:
            return self.unpack((await self.next_job(channel)).message)
        self.check(channel)
        while True:
            with self.store.lock:
                self.report_gap(channel)
                if self.queue(channel):
                    return self.unpack(self.take(channel))
                future: Future[None] = Future()
                self.store.waiting[channel].append(future)
            await asyncio.wrap_future(future)

    async def next_job(self, channel: str) -> Job:
        self.refuse_long(channel)
        while True:
            with self.store.lock:
                self.settle()
                if self.store.jobs[channel]:
                    return self.next_of(self.store.jobs[channel])
                future: Future[None] = Future()
                self.store.workers[channel].append(future)
            await asyncio.wrap_future(future)

    def next_of(self, jobs: list[Job]) -> Job:
        return jobs.pop(0)

    async def receive_delivery(self, channel: str) -> Delivery:
        job = await self.next_job(channel)
        return self.give(channel, job)

    def give(self, channel: str, job: Job) -> Delivery:
        job.attempts += 1
        token = str(next(self.store.numbers))
        limits = self.queue_limits(channel)
        assert limits
        attempt = Attempt(job, self.clock() + limits.redeliver_after)
        self.store.given[channel, token] = attempt
        return Delivery(self.unpack(job.message), token, job.attempts)

    def unanswered(self, channel: str, attempt: Attempt) -> None:
        """Give a job again, or bury it."""
        limits = self.queue_limits(channel)
        assert limits
        if attempt.job.attempts < limits.tries:
            self.again(channel, attempt.job)
        else:
            self.bury(channel, attempt.job, self.late(limits))

    def late(self, limits: QueueLimits) -> str:
        return f"was not acknowledged within {limits.redeliver_after:g} seconds"

    def again(self, channel: str, job: Job) -> None:
        self.store.jobs[channel].insert(0, job)
        self.wake_worker(channel)

    def bury(self, channel: str, job: Job, error: str) -> None:
        dead = {"channel": channel, "error": error, "attempts": job.attempts}
        letters = self.store.queues[f"{channel}.dead"]
        letters.append((self.lasting(), {**job.message, "dead": dead}))
        self.wake(f"{channel}.dead")

    def lasting(self) -> float:
        """Return the time at which what never expires is sent."""
        return inf

    def current(self, channel: str, token: str) -> Attempt | None:
        self.settle()
        attempt = self.store.given.get((channel, token))
        return None if attempt is None or attempt.rejected else attempt

    async def acknowledge(self, channel: str, token: str) -> bool:
        current = self.current(channel, token)
        if current:
            del self.store.given[channel, token]
        return current is not None

    async def reject(self, channel: str, token: str, error: str) -> bool:
        current = self.current(channel, token)
        limits = self.queue_limits(channel)
        if current is None or limits is None:
            return False
        if current.job.attempts < limits.tries:
            current.rejected = True
        else:
            del self.store.given[channel, token]
            self.bury(channel, current.job, error)
        return True

    async def give_back(self, channel: str, token: str) -> bool:
        current = self.current(channel, token)
        if current is None:
            return False
        del self.store.given[channel, token]
        current.job.attempts -= 1
        self.again(channel, current.job)
        return True

    # Gaps

    def take_now(self, channel: str) -> Any:
        self.report_gap(channel)
        return super().take_now(channel)

    def report_gap(self, channel: str) -> None:
        if channel in self.store.missed:
            self.store.missed.discard(channel)
            raise MessagesMissed

    def lose(self) -> None:
        """Let all members miss something."""
        for members in list(self.store.groups.values()):
            for channel in list(members):
                self.store.missed.add(channel)
                self.wake(channel)


class ExtendedContract(SimpleContract):
    """The contract on the extended layer, or on a subclass of it."""

    layer_class = ExtendedLayer
    store_class = ExtendedStore

    async def lose_messages(self, layer: Any) -> None:
        layer.lose()


def extended_breach(broken: type[ExtendedLayer], clause: str, *, hangs: bool = False) -> str:
    """Run a clause on a layer that breaks it, and return what the failure says."""
    return breach(broken, clause, hangs=hangs, contract_class=ExtendedContract)
