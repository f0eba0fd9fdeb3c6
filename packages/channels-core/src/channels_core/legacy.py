"""The functions that programs import from `channels.utils`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from channels_core._cancellation import wait_despite_cancellation
from channels_core.applications import name_that_thing
from channels_core.typing import AnyMessage, Receive

__all__ = ["await_many_dispatch", "name_that_thing"]

#: Seconds to wait at the end for callables that do not react to being cancelled.
_END_WITHIN = 10


async def await_many_dispatch(
    consumer_callables: Iterable[Receive], dispatch: Callable[[AnyMessage], Awaitable[Any]]
) -> None:
    """Hand what each of several callables returns to `dispatch`, one at a time.

    Args:
        consumer_callables: Coroutine functions without parameters, each awaited again and again.
        dispatch: Coroutine function that takes what they return.

    Raises:
        BaseException: What one of them, or `dispatch`, raised; it never ends otherwise.
    """
    arrived: asyncio.Queue[tuple[AnyMessage, asyncio.Event]] = asyncio.Queue()
    failures: list[BaseException] = []

    async def read(receive: Receive) -> None:
        handled = asyncio.Event()
        try:
            while True:
                message = await receive()
                handled.clear()
                arrived.put_nowait((message, handled))
                # One message of each callable waits at most.
                await handled.wait()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised below
            failures.append(error)
            arrived.put_nowait(({}, handled))

    readers = [asyncio.create_task(read(receive)) for receive in consumer_callables]
    try:
        while True:
            message, handled = await arrived.get()
            if failures:
                raise failures[0]
            await dispatch(message)
            handled.set()
            # Between two messages, other tasks get their turn.
            await asyncio.sleep(0)
    finally:
        for task in readers:
            task.cancel()
        await wait_despite_cancellation(readers, _END_WITHIN, insist=True)
        failures.clear()
