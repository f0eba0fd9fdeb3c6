"""The trials: each causes a fault while pages are connected and messages are sent."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any, Final

from faults.facts import Facts, Seen
from faults.visitors import Page, never_reads, opened
from faults.world import World, all_heard

__all__ = ["ENVIRONMENT", "TOLD", "TRIALS"]

#: Seconds between two messages while a fault lasts.
_BEAT: Final = 0.05
#: Bytes of a large message.
_LARGE: Final = 64 * 1024

Fault = Callable[[World, float], Awaitable[None]]


async def stopped(world: World, seconds: float) -> None:
    world.store.stop()
    await asyncio.sleep(seconds)
    world.store.start()


async def restarted(world: World, seconds: float) -> None:
    world.store.stop(signal.SIGKILL)
    world.store.empty()
    world.store.start()


async def emptied(world: World, seconds: float) -> None:
    world.store.ask("flushall")


async def frozen(world: World, seconds: float) -> None:
    world.store.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    world.store.process.send_signal(signal.SIGCONT)


async def killed(world: World, seconds: float) -> None:
    world.servers[0].kill()


@asynccontextmanager
async def watched(world: World, fault: str, pages: dict[str, list[Page]]) -> AsyncIterator[Facts]:
    """Connect pages during the block, and record the state before and after it."""
    facts = Facts(fault, world.layer, {server.name: Seen() for server in world.servers})
    before = await world.settled()
    stored = world.store.count()
    positions = [len(server.log()) for server in world.servers]
    everybody = [page for each in pages.values() for page in each]
    async with opened(*everybody):
        await world.everyone_hears(everybody)
        yield facts
    after = await world.settled({name: state["tasks"] for name, state in before.items()})
    facts.stored = stored, world.store.count()
    for server, position in zip(world.servers, positions, strict=True):
        seen = facts.servers[server.name]
        seen.before, seen.after = before[server.name], after[server.name]
        seen.lines, seen.tracebacks = server.told(position)
        for page in pages[server.name]:
            seen.ends += page.ends
            seen.refusals += page.refusals


async def broken(world: World, name: str, fault: Fault, seconds: float) -> Facts:
    """Cause a fault while the pages send in turn; wait until all receive from all again."""
    pages = world.pages(anywhere=fault is killed)
    everybody = [page for each in pages.values() for page in each]
    accepted: set[int] = set()

    over = asyncio.Event()

    async def speak() -> None:
        number = 0
        while not over.is_set():
            number += 1
            if await everybody[number % len(everybody)].ask(say=number):
                accepted.add(number)
            await asyncio.sleep(_BEAT)

    async with watched(world, name, pages) as facts:
        speaking = asyncio.create_task(speak())
        await fault(world, seconds)
        started = monotonic()
        await world.everyone_hears(everybody)
        facts.seconds = monotonic() - started
        over.set()
        await speaking
        # After this, an earlier message has either arrived or is lost.
        await world.everyone_hears(everybody)
        facts.accepted = len(accepted)
        for server, each in pages.items():
            missed = (len(accepted.difference(page.heard)) for page in each)
            facts.servers[server].missed = max(missed)
        if fault is killed:
            facts.servers[world.servers[0].name].notes += await dead_members(world)
            await world.restart(world.servers[0])
    return facts


async def dead_members(world: World) -> list[str]:
    """Describe what a killed process leaves in Redis."""
    members = int(world.store.ask("zcard", "asgi:group:room"))
    living = sum([(await server.state())["connected"] for server in world.servers[1:]])
    return [f"{members - living} dead members stay in the group"] if members else []


async def slow(world: World, name: str, seconds: float) -> Facts:
    """Send large messages to a group with one client that never reads."""
    pages = world.pages()
    everybody = [page for each in pages.values() for page in each]
    async with watched(world, name, pages) as facts:
        before = {server.name: await server.state() for server in world.servers}
        clients = [
            await asyncio.to_thread(never_reads, "127.0.0.1", server.port)
            for server in world.servers
        ]
        numbers = list(range(400))
        for first in range(0, len(numbers), 20):
            batch = numbers[first : first + 20]
            server = world.servers[first // 20 % len(world.servers)]
            await server.send(type="room.said", said=batch, more=_LARGE)
            for page in everybody:
                await page.until(partial(all_heard, [page], batch[-1]))
        facts.accepted = len(numbers)
        for server in world.servers:
            seen = facts.servers[server.name]
            seen.missed = max(
                len(set(numbers).difference(page.heard)) for page in pages[server.name]
            )
            seen.notes.append(await held_up(before[server.name], await server.state()))
            await asyncio.sleep(0)
        for client in clients:
            client.close()
        await world.everyone_hears(everybody)
    return facts


async def held_up(before: dict[str, Any], after: dict[str, Any]) -> str:
    waiting = after["layer"]["waiting"]
    megabytes = (after["resident"] - before["resident"]) / 1024
    return f"{waiting} messages wait in the layer, and the process takes {megabytes:.0f} MB more"


async def full(world: World, name: str, seconds: float) -> Facts:
    """Exceed the capacity of a busy consumer's channel, and of a channel that nobody reads."""
    pages = world.pages()
    everybody = [page for each in pages.values() for page in each]
    async with watched(world, name, pages) as facts:
        for place, server in enumerate(world.servers):
            # While the first server sent, nobody waited for the pages of the second one. So each
            # server sends other numbers, and starts when everybody has the earlier ones.
            numbers = list(range(1000 * place, 1000 * place + 250))
            await world.everyone_hears(everybody)
            busy, *others = pages[server.name]
            await server.send(type="room.hold", said=[seconds], channel=busy.channel)
            # The channels of a process share one list of 100 messages in Redis. A small batch
            # leaves room in it even on a slow machine.
            for first in range(0, len(numbers), 10):
                batch = numbers[first : first + 10]
                await server.send(type="room.said", said=batch)
                for page in others:
                    await page.until(partial(all_heard, [page], batch[-1]))
            await busy.until(partial(any_heard, busy, numbers))
            await world.everyone_hears(everybody)
            heard = [number for number in busy.heard if number in numbers]
            lost = sorted(set(numbers).difference(heard))
            seen = facts.servers[server.name]
            seen.missed = max(len(set(numbers).difference(page.heard)) for page in others)
            seen.notes.append(
                f"the busy consumer loses the {'newest' if numbers[-1] in lost else 'oldest'} "
                f"{len(lost)} of {len(numbers)}"
                if lost
                else "the busy consumer loses nothing"
            )
            answer = await server.send(type="job.do", said=numbers, channel="jobs")
            seen.notes.append(
                f"`send` to the channel without a reader raises `ChannelFull` for "
                f"{answer['full']} of {len(numbers)}"
            )
            world.store.ask("del", "asgijobs", "asgi:channel:{jobs}")
        await world.everyone_hears(everybody)
    return facts


def any_heard(page: Page, said: Collection[object]) -> bool:
    """Return whether a page has received at least one of several messages."""
    return any(one in said for one in page.heard)


def _broken(fault: Fault) -> Callable[[World, str, float], Awaitable[Facts]]:
    return lambda world, name, seconds: broken(world, name, fault, seconds)


#: The trials by their names in the table.
TRIALS: Final[dict[str, Callable[[World, str, float], Awaitable[Facts]]]] = {
    "Redis stopped and started again": _broken(stopped),
    "Redis restarted empty, at once": _broken(restarted),
    "Redis emptied while it runs": _broken(emptied),
    "Redis frozen": _broken(frozen),
    "Uvicorn killed with SIGKILL": _broken(killed),
    "A client that never reads": slow,
    "A client that never reads, with max_pending": slow,
    "A channel over capacity": full,
}

#: The variables of the environment with which the servers of a trial run.
ENVIRONMENT: Final = {"A client that never reads, with max_pending": {"MAX_PENDING": "4000000"}}

#: What happens in each trial.
TOLD: Final = {
    "Redis stopped and started again": "Redis ends in order, and starts after ten seconds with the "
    "data that it has saved.",
    "Redis restarted empty, at once": "Redis is killed, and starts at once without its data.",
    "Redis emptied while it runs": "`FLUSHALL`: all keys are gone, and all connections stay.",
    "Redis frozen": "For ten seconds, Redis neither answers nor closes its connections.",
    "Uvicorn killed with SIGKILL": "Its pages connect to the other server.",
    "A client that never reads": "One more client on each server reads nothing. 400 messages of 64 "
    "KiB are sent to the group.",
    "A client that never reads, with max_pending": "The same, and the consumers have the option "
    "`max_pending` of {doc}`consumers`, with 4 MB.",
    "A channel over capacity": "One consumer is busy for ten seconds, while 250 messages are sent "
    "to its group. As many are sent to a channel that nobody reads. The capacity is 100.",
}
