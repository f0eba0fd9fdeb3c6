"""Two servers and one Redis, and questions about their state."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from faults.server import Server
from faults.store import Store
from faults.visitors import Page, opened

__all__ = ["COLOURS", "SERVERS", "World", "all_heard", "running"]

SERVERS: Final = ("uvicorn", "daphne")
#: The pages of each server: three with an async consumer, one with a sync one.
COLOURS: Final = ("async", "async", "async", "sync")
# A safety net, for a machine under load; memberships are renewed once a minute.
SECONDS: Final = 120
_PAUSE: Final = 0.05
_TRIES: Final = 200


class World:
    """The processes of a trial, for one layer."""

    def __init__(self, layer: str, store: Store, servers: list[Server]) -> None:
        self.layer = layer
        self.store = store
        self.servers = servers
        self._marks = 0

    def pages(self, *, anywhere: bool = False) -> dict[str, list[Page]]:
        """Return new pages that are not connected yet, by their server.

        Args:
            anywhere: Whether they try the other server when theirs is unavailable.
        """
        found = {}
        for server in self.servers:
            others = [other for other in self.servers if other is not server]
            found[server.name] = [
                Page(*(each.address(colour) for each in [server, *others][: 1 + anywhere]))
                for colour in COLOURS
            ]
        return found

    async def everyone_hears(self, pages: list[Page]) -> None:
        """Send marks, from each page in turn, until all pages have received the same one."""
        async with asyncio.timeout(SECONDS):
            while True:
                self._marks += 1
                mark = f"mark {self._marks}"
                speaker = pages[self._marks % len(pages)]
                await speaker.ask(say=mark)
                if await within(1, partial(all_heard, pages, mark)):
                    return

    async def restart(self, server: Server) -> None:
        """Start a server that has ended."""
        server.start()
        await server.ready()

    async def settled(self, tasks: Mapping[str, int] = MappingProxyType({})) -> dict[str, Any]:
        """Return the state of the servers once nobody is connected any more.

        Args:
            tasks: How many tasks each had before; it gets a while to return to that number.
        """
        states = {}
        for server in self.servers:
            tries = 0
            async with asyncio.timeout(SECONDS):
                state = await server.state()
                while state["connected"] or (
                    state["tasks"] > tasks.get(server.name, state["tasks"]) and tries < _TRIES
                ):
                    tries += 1
                    await asyncio.sleep(_PAUSE)
                    state = await server.state()
            states[server.name] = state
        return states


def all_heard(pages: Sequence[Page], said: object) -> bool:
    """Return whether every page has received something."""
    return all(said in page.heard for page in pages)


async def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Wait for a condition; return whether it became true in time."""
    for _ in range(round(seconds / _PAUSE)):
        if true():
            return True
        await asyncio.sleep(_PAUSE)
    return true()


@asynccontextmanager
async def running(layer: str, **env: str) -> AsyncIterator[World]:
    """Run Redis and one process of each server."""
    with ExitStack() as stack:
        store = stack.enter_context(Store())
        env = {"CHANNEL_LAYER": layer, "REDIS_URL": store.url, **env}
        servers = [stack.enter_context(Server(name, **env)) for name in SERVERS]
        for server in servers:
            await server.ready()
        world = World(layer, store, servers)
        # Have everything created that exists once per process, before anything is counted.
        pages = [page for each in world.pages().values() for page in each]
        async with opened(*pages):
            await world.everyone_hears(pages)
        yield world
