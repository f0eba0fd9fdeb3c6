"""Numbers for a monitoring system, and answers for a load balancer."""

import asyncio
import time
from collections import Counter
from typing import Any

from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path


class Counted:
    """Count the connections that pass through it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.open = 0
        self.accepted = 0
        self.ended: Counter[str] = Counter()  # by "refused", "failed" or "closed"
        self.lag = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        accepted = False

        async def counting_send(message: Any) -> None:
            nonlocal accepted
            if message["type"] == "websocket.accept" and not accepted:
                accepted = True
                self.accepted += 1
            await send(message)

        self.open += 1
        end = "failed"
        try:
            result = await self.inner(scope, receive, counting_send)
            end = "closed" if accepted else "refused"
            return result
        finally:
            self.open -= 1
            self.ended[end] += 1

    async def measure_lag(self) -> None:
        """Measure how late the event loop wakes a task, once in a while."""
        loop = asyncio.get_running_loop()
        due = loop.time() + 0.01
        await asyncio.sleep(0.01)
        self.lag = loop.time() - due

    def lines(self) -> str:
        """Return the numbers in the text format of Prometheus."""
        ends = "".join(
            f'channels_connections_total{{end="{end}"}} {number}\n'
            for end, number in sorted(self.ended.items())
        )
        return (
            f"channels_connections_open {self.open}\n"
            f"channels_handshakes_accepted_total {self.accepted}\n"
            f"{ends}"
            f"channels_event_loop_lag_seconds {self.lag:.6f}\n"
            f"process_cpu_seconds_total {time.process_time():.2f}\n"
        )


async def respond(send: Any, status: int, text: str) -> None:
    """Send a small response."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def alive(scope: Any, receive: Any, send: Any) -> Any:
    """Answer as long as the event loop turns."""
    await respond(send, 200, "alive")


async def ready(scope: Any, receive: Any, send: Any) -> Any:
    """Answer 200 if the channel layer answers within two seconds."""
    layer: Any = get_channel_layer()
    ping = asyncio.ensure_future(layer.ping())
    await asyncio.wait([ping], timeout=2)
    if ping.done() and ping.exception() is None:
        await respond(send, 200, "ready")
    else:
        ping.cancel()
        await respond(send, 503, "the channel layer does not answer")


def monitored(views: Any, sockets: Any) -> ProtocolTypeRouter:
    """Return the site's application, with addresses for the monitoring."""
    counted = Counted(sockets)

    async def metrics(scope: Any, receive: Any, send: Any) -> Any:
        await counted.measure_lag()
        await respond(send, 200, counted.lines())

    return ProtocolTypeRouter(
        {
            "http": URLRouter(
                [
                    path("health/alive/", alive),
                    path("health/ready/", ready),
                    path("health/metrics/", metrics),
                    re_path("", views),
                ]
            ),
            "websocket": counted,
        }
    )
