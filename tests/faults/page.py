"""A visitor's page: it opens a WebSocket, notes what it sees, and comes back with back-off."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

__all__ = ["Page"]

# A net, for a machine under load.
SECONDS = 60
_FIRST, _LONGEST = 0.05, 1.0


class Page:
    """One visitor, who tries the addresses in turn."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        #: What it saw of the ends of its connections, and of handshakes that failed.
        self.ends: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.heard: list[Any] = []
        self.done: list[Any] = []
        self.channel = ""
        self.times_open = 0
        self._client: ClientConnection | None = None
        self._changed = asyncio.Condition()

    @property
    def is_open(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connect(self.addresses[failures % len(self.addresses)]) as client:
                    failures = 0
                    await self._stay(client)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else 1006
                self.ends[str(code)] += 1
            except InvalidHandshake as error:
                response = getattr(error, "response", None)
                self.refusals[str(response.status_code) if response else repr(error)] += 1
            except (OSError, EOFError) as error:
                self.refusals[type(error).__name__] += 1
            finally:
                async with self._changed:
                    self._client = None
                    self._changed.notify_all()
            failures += 1
            await asyncio.sleep(min(_FIRST * 2**failures, _LONGEST) * random.uniform(0.5, 1))

    def _connect(self, address: str) -> connect:
        return connect(
            address, proxy=None, open_timeout=SECONDS, close_timeout=1, max_size=None
        )

    async def _stay(self, client: ClientConnection) -> None:
        async for frame in client:
            told = json.loads(frame)
            async with self._changed:
                if "channel" in told:
                    self.channel = told["channel"]
                    self._client = client
                    self.times_open += 1
                elif "said" in told:
                    self.heard.append(told["said"])
                else:
                    self.done.append(told["done"])
                self._changed.notify_all()
        raise ConnectionClosed(None, None) if client.close_code is None else _closed(client)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of this page."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(true), SECONDS)

    async def ask(self, **asked: Any) -> bool:
        """Send, and tell whether it was answered before the connection ended."""
        client = self._client
        if client is None:
            return False
        try:
            await client.send(json.dumps(asked))
            await self.until(lambda: asked in self.done or self._client is not client)
        except ConnectionClosed:
            pass
        return asked in self.done


def _closed(client: ClientConnection) -> Exception:
    from websockets.frames import Close

    assert client.close_code is not None
    return ConnectionClosed(Close(client.close_code, client.close_reason or ""), None)


@asynccontextmanager
async def opened(*pages: Page) -> AsyncIterator[None]:
    """Keep pages running."""
    tasks = [asyncio.create_task(page.run()) for page in pages]
    try:
        for page in pages:
            await page.until(lambda page=page: page.is_open)
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
