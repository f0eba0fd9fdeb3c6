"""A Django site: its middleware, its views and its URLs."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from threading import Event, current_thread
from typing import Any, ClassVar

from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse

from channels_core.routing import ProtocolTypeRouter

__all__ = ["Counting", "Held", "application", "ended", "urlpatterns"]


class Counting:
    """Middleware that counts how often it is loaded and called."""

    loaded: ClassVar[int] = 0

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        type(self).loaded += 1
        self.calls = 0
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        self.calls += 1
        response = self.get_response(request)
        response["X-Calls"] = str(self.calls)
        return response


class Held:
    """What an async view that answers never has seen."""

    entered = asyncio.Event()
    cancelled = asyncio.Event()


#: Whether a stream without an end was closed.
ended = Event()


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} {request.path_info} {reverse('plain')}")


async def in_loop(request: HttpRequest) -> HttpResponse:
    asyncio.get_running_loop()
    return HttpResponse(f"in {current_thread().name}")


async def held(request: HttpRequest) -> HttpResponse:
    Held.entered.set()
    try:
        return await asyncio.Future()
    finally:
        Held.cancelled.set()


def visits(request: HttpRequest) -> JsonResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def upload(request: HttpRequest) -> JsonResponse:
    files = {name: len(file.read()) for name, file in request.FILES.items()}  # type: ignore[union-attr] # one of each name
    return JsonResponse({"files": files, "fields": request.POST.dict()})


def file(request: HttpRequest) -> FileResponse:
    with tempfile.NamedTemporaryFile("wb", suffix=".txt", delete=False) as made:
        made.write(b"of a file " * 100)
    opened = Path(made.name).open("rb")  # noqa: SIM115 - the response closes it
    Path(made.name).unlink()
    return FileResponse(opened, filename="of_a_file.txt")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            yield f"part {number}\n"

    return StreamingHttpResponse(parts())


def endless(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        try:
            yield from (f"{number}\n" for number in itertools.count())
        finally:
            ended.set()

    return StreamingHttpResponse(parts())


def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"x" * 1024 * 1024)


def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("this view fails")


_views: list[Any] = [plain, in_loop, held, visits, upload, file, stream, endless, large, fails]

urlpatterns = [path(f"{view.__name__}/", view, name=view.__name__) for view in _views]

application = ProtocolTypeRouter({})
