"""Two server processes and one Redis, with pages open on both, and what can be told of them."""

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
#: Of each server: three of one colour and one of the other.
COLOURS: Final = ("async", "async", "async", "sync")
# A net, for a machine under load; memberships are renewed once a minute.
SECONDS: Final = 120
_PAUSE: Final = 0.05
_TRIES: Final = 200


class World:
    """Everything that runs, for one layer."""

    def __init__(self, layer: str, store: Store, servers: list[Server]) -> None:
        self.layer = layer
        self.store = store
        self.servers = servers
        self._marks = 0

    def pages(self, *, anywhere: bool = False) -> dict[str, list[Page]]:
        """Return pages that are not open yet, by their server.

        Args:
            anywhere: Whether they go to the other server when theirs is not there.
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
        """Say something until all pages hear the same of it, each of them in turn the speaker."""
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
        """Return how the servers are when nobody is connected and nothing is on its way.

        Args:
            tasks: How many tasks each had before: it is given a while to come back to that.
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
    """Tell whether something was heard on every page."""
    return all(said in page.heard for page in pages)


async def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Wait until something is true; tell whether it became so in time."""
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
        # What is made once for a process is there before anything is counted.
        pages = [page for each in world.pages().values() for page in each]
        async with opened(*pages):
            await world.everyone_hears(pages)
        yield world
