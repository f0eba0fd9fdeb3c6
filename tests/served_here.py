"""A small site that a test serves from its own process, for a real browser."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import uvicorn

from processes import SECONDS, free_port

__all__ = ["Here", "files"]

KINDS: Final = {".html": b"text/html; charset=utf-8", ".js": b"text/javascript; charset=utf-8"}


def files(pages: dict[str, Path | str]) -> Any:
    """Return an ASGI application that has these files; a string is the HTML of a page."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        page = pages.get(scope["path"])
        content = b"" if page is None else page.encode() if isinstance(page, str) else read(page)
        kind = KINDS[page.suffix] if isinstance(page, Path) else KINDS[".html"]
        headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
        status = 404 if page is None else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return application


def read(path: Path) -> bytes:
    return path.read_bytes()


class Here:
    """A context in which Uvicorn serves an application in a thread, always at one address."""

    def __init__(self, application: Any) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._application = application

    def start(self) -> None:
        """Return when it listens."""
        config = uvicorn.Config(
            self._application,
            port=self.port,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        assert self._server.ready.wait(SECONDS)

    def stop(self) -> None:
        """End all connections and the server."""
        self._server.should_exit = True
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self.stop()


class Server(uvicorn.Server):
    """A server that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        self.ready.set()
