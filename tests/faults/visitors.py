"""Pages of visitors, which reconnect with back-off, and a client that never reads."""

import asyncio
import base64
import json
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from processes import SECONDS

__all__ = ["Page", "never_reads", "opened"]

# The first and the longest delay of the back-off, in seconds.
_FIRST: Final = 0.05
_LONGEST: Final = 1.0


class Page:
    """The page of a visitor, which tries its addresses in turn until one accepts."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        #: Close codes of its connections (1006 if there was none), with their number.
        self.ends: Counter[str] = Counter()
        #: Statuses of refused handshakes, or the errors if there was no response.
        self.refusals: Counter[str] = Counter()
        self.heard: list[Any] = []
        #: The position of the last message, if the layer keeps them.
        self.position = ""
        self.channel = ""
        self._answered: list[Any] = []
        self._client: ClientConnection | None = None
        self._changed = asyncio.Condition()

    @property
    def is_open(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            address = self.addresses[failures % len(self.addresses)]
            try:
                async with connect(
                    f"{address}?{self.position}", proxy=None, open_timeout=SECONDS, close_timeout=1
                ) as client:
                    await self._stay(client)
                    failures = 0
                    self.ends[str(client.close_code)] += 1
            except InvalidStatus as refusal:
                self.refusals[str(refusal.response.status_code)] += 1
            except (OSError, EOFError, ConnectionClosed, InvalidMessage) as error:
                self.refusals[type(error).__name__] += 1
            finally:
                await self._note(client=None)
            failures += 1
            longest = min(_FIRST * 2**failures, _LONGEST)
            await asyncio.sleep(random.uniform(longest / 2, longest))

    async def _stay(self, client: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                told = json.loads(await client.recv())
                if "channel" in told:
                    self.channel = told["channel"]
                    await self._note(client=client)
                elif "said" in told:
                    self.position = told.get("position", "")
                    await self._note(heard=told["said"])
                else:
                    await self._note(answered=told["done"])

    async def _note(self, heard: Any = None, answered: Any = None, **client: Any) -> None:
        async with self._changed:
            if client:
                self._client = client["client"]
            elif answered is not None:
                self._answered.append(answered)
            else:
                self.heard.append(heard)
            self._changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition about this page is true."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(true), SECONDS)

    async def ask(self, **asked: Any) -> bool:
        """Send a request to the consumer, and return whether it answered."""
        client = self._client
        if client is None:
            return False
        with suppress(ConnectionClosed):
            await client.send(json.dumps(asked))
            await self.until(lambda: asked in self._answered or self._client is not client)
        return asked in self._answered


@asynccontextmanager
async def opened(*pages: Page) -> AsyncIterator[None]:
    """Keep pages running during the block, which begins when all are connected."""
    tasks = [asyncio.create_task(page.run()) for page in pages]
    try:
        await asyncio.gather(*(page.until(partial(getattr, page, "is_open")) for page in pages))
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def never_reads(host: str, port: int) -> socket.socket:
    """Open a WebSocket, and read nothing after the handshake."""
    client = socket.socket()
    client.settimeout(SECONDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /async/ HTTP/1.1",
        f"Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    client.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    assert client.recv(12).endswith(b" 101")
    return client
