"""What the page for those who come from other releases says, held against what happens."""

import asyncio
import json
import logging
import math
import re
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from channels.auth import get_user
from channels.consumer import AsyncConsumer, hook
from channels.db import database_sync_to_async
from channels.exceptions import ConnectionStateError, InvalidFrame
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.management.commands.runworker import Command
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from channels.worker import Worker
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.test import override_settings

from channels_auth.auth import LoginOnOpenConnectionError, login
from channels_core._shutdown.draining import draining
from docs.snippets import as_before, two_steps
from processes import SECONDS
from served import ROOT

PAGE = ROOT / "docs" / "topics" / "differences.md"
#: This module is the URLconf of Django's own part, which has no pages.
urlpatterns: list[Any] = []

Check = Callable[..., Awaitable[None]]

#: The checks by what the page says that restores the old behaviour.
RESTORED: dict[str, Check] = {}


def restores(cell: str) -> Callable[[Check], Check]:
    """Register a check that sees the new behaviour, and the old one with what the cell says."""

    def register(check: Check) -> Check:
        RESTORED[cell] = check
        return check

    return register


def told() -> list[str]:
    """Return what the right columns of the page's tables say, but for "nothing"."""
    cells = re.findall(r"(?m)^\| .* \| (.*) \|$", PAGE.read_text())
    headings = {"what restores it", "removed in"}
    return [
        cell
        for cell in cells
        if cell not in headings and cell != "nothing" and not re.fullmatch(r"\d\.\d", cell)
    ]


async def opened(application: Any, **options: Any) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(application, "/", **options)
    connected, _ = await communicator.connect(SECONDS)
    assert connected
    return communicator


async def message(communicator: ApplicationCommunicator) -> Any:
    return await communicator.receive_output(SECONDS)


# Consumers


class Meeting(WebsocketConsumer):
    """Counts how many of its handlers are under way at once."""

    both = threading.Barrier(2)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            # One that is alone waits in vain.
            self.both.wait(float(text_data or 0))
            self.send("met")
        except threading.BrokenBarrierError:
            self.both.reset()
            self.send("alone")


async def meet(seconds: str) -> list[str | bytes]:
    sockets = [await opened(Meeting) for _ in range(2)]
    for socket in sockets:
        await socket.send_to(seconds)
    met = [await socket.receive_from(SECONDS) for socket in sockets]
    for socket in sockets:
        await socket.disconnect(timeout=SECONDS)
    return met


@restores("`CHANNELS_SYNC_THREADS = 1` in the settings")
async def check_threads() -> None:
    with override_settings(CHANNELS_SYNC_THREADS=2):
        assert await meet(str(SECONDS)) == ["met", "met"]
    with override_settings(CHANNELS_SYNC_THREADS=1):
        assert await meet("0.1") == ["alone", "alone"]


@restores(
    "`CHANNELS_LOOKUP_THREADS = 0` in the settings. A program needs it if it sets the state of the "
    "database's thread for the lookups that follow, such as a tenant's schema"
)
async def check_lookups() -> None:
    threads: list[threading.Thread] = []

    def found(request: Any) -> AnonymousUser:
        threads.append(threading.current_thread())
        return AnonymousUser()

    of_program = await database_sync_to_async(threading.current_thread)()
    session = {SESSION_KEY: "1", BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0]}
    with (
        mock.patch("django.contrib.auth.get_user", found),
        # The tests have one, and so no threads for lookups.
        mock.patch("channels_core.db._has_database_in_memory", bool),
    ):
        for number in (4, 0):
            with override_settings(CHANNELS_LOOKUP_THREADS=number):
                await get_user({"type": "websocket", "session": session})
    assert [thread is of_program for thread in threads] == [False, True]


@restores("`CHANNELS_DRAIN_TIMEOUT = None` in the settings")
async def check_draining() -> None:
    class Waiting(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            codes.append(code)

    codes: list[int] = []
    told_server: list[int] = []

    def servers_own(number: int, frame: object) -> None:
        told_server.append(number)

    for timeout, expected in ((SECONDS, [1012]), (None, [])):
        codes.clear()
        previous = signal.signal(signal.SIGTERM, servers_own)
        try:
            with override_settings(CHANNELS_DRAIN_TIMEOUT=timeout):
                socket = await opened(Waiting)
                signal.raise_signal(signal.SIGTERM)
                if timeout is None:
                    assert told_server.pop() == signal.SIGTERM
                else:
                    closed = await socket.receive_output(SECONDS)
                    assert (closed["type"], closed["code"]) == ("websocket.close", 1012)
                    await socket.wait(SECONDS)
                assert codes == expected
                await socket.disconnect(timeout=SECONDS)
        finally:
            signal.signal(signal.SIGTERM, previous)
            draining.begun = False
        told_server.clear()


@restores("`CHANNELS_GROUP_RENEWAL = None` in the settings")
async def check_renewal() -> None:
    class Member(AsyncWebsocketConsumer):
        groups = ["members"]

    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    for seconds, returns in ((0.01, True), (None, False)):
        with override_settings(CHANNELS_GROUP_RENEWAL=seconds):
            socket = await opened(Member)
            assert len(layer.groups["members"]) == 1
            # As another process does in a store that they share, or a store that starts anew.
            layer.groups.clear()
            assert "members" not in layer.groups
            deadline = time.monotonic() + (SECONDS if returns else 0.1)
            while "members" not in layer.groups and time.monotonic() < deadline:  # noqa: ASYNC110 - the layer tells nobody
                await asyncio.sleep(0.01)
            assert ("members" in layer.groups) is returns
            await socket.disconnect(timeout=SECONDS)


@restores("`Refreshing`, below")
async def check_refreshing() -> None:
    for kind, calls in ((AsyncWebsocketConsumer, 0), (as_before.Refreshing, 3)):
        with mock.patch("channels.db.close_old_connections") as close:
            socket = await opened(kind)
            await socket.send_to("anything")
            await socket.disconnect(timeout=SECONDS)
        assert close.call_count == calls


@restores('`cleanup_timeout=float("inf")` in the class statement')
async def check_cleanup_timeout() -> None:
    class Slow(AsyncWebsocketConsumer, cleanup_timeout=0.01):
        async def disconnect(self, code: int) -> None:
            await release.wait()
            ended.append(type(self))

    class Patient(Slow, cleanup_timeout=float("inf")):
        pass

    release, ended = asyncio.Event(), list[type]()
    impatient = await opened(Slow)
    with pytest.raises(TimeoutError):
        await impatient.disconnect(timeout=SECONDS)
    patient = await opened(Patient)
    await patient.send_input({"type": "websocket.disconnect", "code": 1000})
    await asyncio.sleep(0.02)  # twice as long as the other one was given
    assert not patient.future.done()
    release.set()
    await patient.wait(SECONDS)
    assert ended == [Patient]


@restores("`@hook def report_exception(self, error, message): pass` in the class")
async def check_report_exception(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            raise LookupError("this one")

    class Quiet(Failing):
        @hook
        def report_exception(self, error: Exception, message: Any) -> None:
            pass

    for kind, records in ((Failing, 1), (Quiet, 0)):
        caplog.clear()
        socket = await opened(kind)
        await socket.send_to("anything")
        with pytest.raises(LookupError, match="this one"):
            await socket.wait(SECONDS)
        assert [r.name for r in caplog.records] == ["django.channels.consumer"] * records


@restores("`Raising`, below")
async def check_raising() -> None:
    socket = await opened(AsyncJsonWebsocketConsumer)
    await socket.send_to("{")
    assert await message(socket) == {"type": "websocket.close", "code": 1007}
    with pytest.raises(InvalidFrame):
        await socket.wait(SECONDS)
    # Not the one that a router around it answers.
    socket = await opened(ProtocolTypeRouter({"websocket": as_before.Raising}))
    await socket.send_to("{")
    with pytest.raises(ValueError, match="Expecting property name") as caught:
        await socket.wait(SECONDS)
    assert type(caught.value) is ValueError
    assert socket.close_code is None


@restores("`Lenient`, below")
async def check_lenient() -> None:
    for text in ("NaN", "1e999"):
        socket = await opened(ProtocolTypeRouter({"websocket": AsyncJsonWebsocketConsumer}))
        await socket.send_to(text)
        assert await message(socket) == {"type": "websocket.close", "code": 1007}
        await socket.wait(SECONDS)
        socket = await opened(as_before.Lenient)
        await socket.send_to(text)
        assert not math.isfinite(float(str(await socket.receive_from(SECONDS))))
        await socket.disconnect(timeout=SECONDS)


async def send_by_layer(kind: type, sent: dict[str, Any]) -> WebsocketCommunicator:
    class Named(kind):  # type: ignore[misc] # which one, a check says
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            await self.send(text_data or self.channel_name)

    socket = await opened(Named)
    await socket.send_to(bytes_data=b"who")
    name = str(await socket.receive_from(SECONDS))
    layer: Any = get_channel_layer()
    await layer.send(name, sent)
    return socket


async def is_there(socket: WebsocketCommunicator) -> bool:
    await socket.send_to("still there")
    return bool(await socket.receive_from(SECONDS) == "still there")


@restores("`ClosedFromOutside`, below")
async def check_closed_from_outside() -> None:
    socket = await send_by_layer(as_before.ClosedFromOutside, {"type": "close", "code": 4000})
    assert await is_there(socket)
    await socket.disconnect(timeout=SECONDS)
    sent = {"type": "please.close", "code": 4000}
    socket = await send_by_layer(as_before.ClosedFromOutside, sent)
    assert await message(socket) == {"type": "websocket.close", "code": 4000}
    await socket.disconnect(timeout=SECONDS)


@restores("`Strict`, below")
async def check_strict() -> None:
    socket = await send_by_layer(AsyncWebsocketConsumer, {"type": "no.such"})
    assert await is_there(socket)
    await socket.disconnect(timeout=SECONDS)
    socket = await send_by_layer(as_before.Strict, {"type": "no.such"})
    with pytest.raises(ValueError, match=r"No handler for message type no\.such"):
        await socket.wait(SECONDS)


@restores('`await self.base_send({"type": "websocket.send", "text": text})`')
async def check_base_send() -> None:
    class Hasty(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            with pytest.raises(ConnectionStateError):
                await self.send("too early")
            await self.base_send({"type": "websocket.send", "text": "too early"})

    socket = WebsocketCommunicator(Hasty, "/")
    await socket.send_input({"type": "websocket.connect"})
    assert await message(socket) == {"type": "websocket.send", "text": "too early"}
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(SECONDS)


# HTTP consumers


@restores("`WorkThatGoesOn`, below")
async def check_work_that_goes_on() -> None:
    class Cancelled(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            started.set()
            try:
                await release.wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

    class GoesOn(as_before.WorkThatGoesOn):
        async def work(self, body: bytes) -> None:
            started.set()
            await release.wait()
            ends.append("done")

    started, release, ends = asyncio.Event(), asyncio.Event(), list[str]()
    for kind in (Cancelled, GoesOn):
        started.clear()
        request = HttpCommunicator(kind, "GET", "/")
        await request.send_request()
        await started.wait()
        await request.disconnect(timeout=SECONDS)
    assert ends == ["cancelled"]
    release.set()
    await asyncio.gather(*as_before.WorkThatGoesOn.tasks)
    assert ends == ["cancelled", "done"]
    assert (await HttpCommunicator(GoesOn, "GET", "/").get_response(SECONDS)).body == b"done"


@restores('`await self.send_body(b"")` at the end of `handle`')
async def check_send_body() -> None:
    class Held(AsyncHttpConsumer):
        ends = False

        async def handle(self, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"part", more_body=True)
            if self.ends:
                await self.send_body(b"")

    class Ended(Held):
        ends = True

    held = HttpCommunicator(Held, "GET", "/")
    await held.start_response(SECONDS)
    assert await held.receive_body(SECONDS) == b"part"
    assert not held.future.done()
    await held.disconnect(timeout=SECONDS)
    assert (await HttpCommunicator(Ended, "GET", "/").get_response(SECONDS)).body == b"part"


class Measure(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, str(len(body)).encode())


@restores("`max_body_size=None` in the class statement")
async def check_max_body_size() -> None:
    class Unbounded(Measure, max_body_size=None):
        pass

    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=2):
        for kind, status in ((Measure, 413), (Unbounded, 200)):
            request = HttpCommunicator(kind, "POST", "/", b"more")
            assert (await request.get_response(SECONDS)).status == status


@restores("`body_timeout=None` in the class statement")
async def check_body_timeout() -> None:
    class Patient(Measure, body_timeout=None):
        pass

    class Hasty(Measure, body_timeout=0.01):
        pass

    hasty = HttpCommunicator(Hasty, "POST", "/")
    await hasty.send_body(b"a part", more_body=True)
    assert (await hasty.start_response(SECONDS)).status == 408
    await hasty.wait(SECONDS)
    patient = HttpCommunicator(Patient, "POST", "/")
    await patient.send_body(b"a part", more_body=True)
    await asyncio.sleep(0.02)  # twice as long as the other one was given
    assert not patient.future.done()
    await patient.send_body(b" and the rest")
    assert (await patient.get_response(SECONDS)).body == b"19"


@restores("`groups = None` in the class")
async def check_groups() -> None:
    class Members(AsyncHttpConsumer):
        groups = ["members"]

        async def handle(self, body: bytes) -> None:
            await self.send_response(200, json.dumps(list(layer.groups)).encode())

    class Nobody(Members):
        groups = None  # type: ignore[assignment] # as the page says

    layer: Any = get_channel_layer()
    for kind, groups in ((Members, ["members"]), (Nobody, [])):
        assert (await HttpCommunicator(kind, "GET", "/").get_response(SECONDS)).json() == groups


# Routing and origins


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "of its own"})


@restores('an application of your own under `"http"`')
async def check_http() -> None:
    for mapping, kind in (({}, "http.response.start"), ({"http": answer}, "of its own")):
        request = HttpCommunicator(ProtocolTypeRouter(mapping), "GET", "/")
        await request.send_request()
        assert (await message(request))["type"] == kind
        await request.send_input({"type": "http.disconnect"})
        # Django closes the file of the request's body in the end.
        await request.wait(SECONDS)


@restores('an application of your own under `"lifespan"`')
async def check_lifespan() -> None:
    for mapping, kind in (({}, "lifespan.startup.complete"), ({"lifespan": answer}, "of its own")):
        server = ApplicationCommunicator(ProtocolTypeRouter(mapping), {"type": "lifespan"})
        await server.send_input({"type": "lifespan.startup"})
        assert (await message(server))["type"] == kind
        server.stop()


@restores("`.example.com`, which is the domain with its subdomains")
async def check_origins() -> None:
    assert OriginValidator(AsyncWebsocketConsumer, ["*.example.com"]).allowed_origins
    validator = OriginValidator(AsyncWebsocketConsumer, [".example.com"])
    for origin in ("https://example.com", "https://a.example.com"):
        socket = await opened(validator, headers={"origin": origin})
        await socket.disconnect(timeout=SECONDS)


# Sessions and logins


@restores("`CookiesOverHttpOnly`, below, in the place of `SessionMiddleware`")
async def check_cookies() -> None:
    class Visitor(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            self.scope["session"]["visits"] = 1
            await self.accept()

    class Page(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            self.scope["session"]["visits"] = 1
            await self.send_response(200, b"")

    for kind, count in ((SessionMiddleware, 1), (as_before.CookiesOverHttpOnly, 0)):
        socket = await opened(CookieMiddleware(kind(Visitor)))
        names = [name for name, _ in socket.accept_headers]
        assert names.count(b"Set-Cookie") == count
        await socket.disconnect(timeout=SECONDS)
        page = HttpCommunicator(CookieMiddleware(kind(Page)), "GET", "/")
        assert "set-cookie" in (await page.get_response(SECONDS)).headers


@restores('`self.scope["user"] = user`, which holds for this connection alone')
async def check_login() -> None:
    class Account(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            user = User(pk=1, username="anna")
            with pytest.raises(LoginOnOpenConnectionError):
                await login(self.scope, user, "django.contrib.auth.backends.ModelBackend")
            self.scope["user"] = user
            await self.send(str(self.scope["user"]))

    socket = await opened(CookieMiddleware(SessionMiddleware(Account)))
    await socket.send_to("log in")
    assert await socket.receive_from(SECONDS) == "anna"
    await socket.disconnect(timeout=SECONDS)


# Channel layers


@restores('`"isolation": "deepcopy"` in `CONFIG`')
async def check_isolation() -> None:
    sent = {"type": "x", "value": {1, 2}}
    with pytest.raises(TypeError, match=r'message\["value"\]'):
        await InMemoryChannelLayer().send("a", sent)
    layer = InMemoryChannelLayer(isolation="deepcopy")
    await layer.send("a", sent)
    assert await layer.receive("a") == sent


@restores('`logging.getLogger("django.channels.layers.memory").setLevel("ERROR")`')
async def check_drops(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("django.channels.layers.memory")
    for level, records in (("NOTSET", 1), ("ERROR", 0)):
        caplog.clear()
        layer = InMemoryChannelLayer(capacity=1)
        await layer.group_add("all", "one")
        logger.setLevel(level)
        try:
            for _ in range(2):
                await layer.group_send("all", {"type": "x"})
        finally:
            logger.setLevel("NOTSET")
        assert layer.dropped == 1
        assert len(caplog.records) == records


# Two steps


class Told(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(str(self.scope["user"]))


async def user_of(middleware: Any) -> str:
    socket = await opened(middleware)
    await socket.send_to("who")
    name = str(await socket.receive_from(SECONDS))
    await socket.disconnect(timeout=SECONDS)
    return name


# The worker


class Job(AsyncConsumer):
    """Says how many jobs are under way when it begins, and waits until there are so many."""

    under_way: set["Job"] = set()
    most = 0

    async def job_do(self, event: dict[str, Any]) -> None:
        self.under_way.add(self)
        Job.most = max(Job.most, len(self.under_way))
        try:
            for _ in range(100):  # turns of the event loop, in which another one would begin
                await asyncio.sleep(0)
        finally:
            self.under_way.discard(self)
        layer: Any = get_channel_layer()
        await layer.send("results", {"type": "done"})


def options_of(line: str) -> dict[str, Any]:
    """Return what the command understands of a line of the page."""
    words = line.strip("`").removeprefix("runworker").split()
    return vars(Command().create_parser("manage.py", "runworker").parse_args([*words, "jobs"]))


_ONE_BY_ONE = "`runworker --concurrency 1`"
_AT_ONCE = "`runworker --graceful-timeout 0`"


@restores(_ONE_BY_ONE)
async def check_concurrency() -> None:
    layer: Any = get_channel_layer()
    for line, most in (("`runworker`", 3), (_ONE_BY_ONE, 1)):
        Job.most = 0
        worker = Worker(Job, ["jobs"], layer, concurrency=options_of(line)["concurrency"])
        running = asyncio.create_task(worker.arun())
        for _ in range(3):
            await layer.send("jobs", {"type": "job.do"})
        for _ in range(3):
            await asyncio.wait_for(layer.receive("results"), SECONDS)
        worker.stop()
        await asyncio.wait_for(running, SECONDS)
        assert Job.most == most


@restores(_AT_ONCE)
async def check_graceful_timeout() -> None:
    class Long(AsyncConsumer):
        async def job_do(self, event: dict[str, Any]) -> None:
            started.set()
            try:
                await release.wait()
                ends.append("done")
            except asyncio.CancelledError:
                ends.append("cut off")
                raise

    layer: Any = get_channel_layer()
    ends: list[str] = []
    for line, end in (("`runworker`", "done"), (_AT_ONCE, "cut off")):
        started, release = asyncio.Event(), asyncio.Event()
        grace = options_of(line)["graceful_timeout"]
        worker = Worker(Long, ["jobs"], layer, graceful_timeout=grace)
        running = asyncio.create_task(worker.arun())
        await layer.send("jobs", {"type": "job.do"})
        await asyncio.wait_for(started.wait(), SECONDS)
        worker.stop()
        if grace:
            await asyncio.sleep(0)
            release.set()
        await asyncio.wait_for(running, SECONDS)
        assert ends.pop() == end


@pytest.fixture(autouse=True)
def sessions(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ROOT_URLCONF = __name__


class TestDifferences:
    def test_each_way_back_is_tried_here(self) -> None:
        assert sorted(told()) == sorted(RESTORED)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("cell", RESTORED)
    async def test_it_brings_the_old_behaviour_back(
        self, cell: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        check: Any = RESTORED[cell]
        takes = check.__code__.co_varnames[: check.__code__.co_argcount]
        await check(*[caplog] * len(takes))


@pytest.mark.django_db(transaction=True)
class TestTwoSteps:
    async def test_the_site_of_that_time(self) -> None:
        await sync_to_async(User.objects.create_user)("anna")
        headers = {"origin": "http://testserver"}
        one = WebsocketCommunicator(two_steps.application, "/ws/tea/?token=anna", headers=headers)
        other = WebsocketCommunicator(two_steps.application, "/ws/tea/", headers=headers)
        for socket in (one, other):
            assert (await socket.connect(SECONDS))[0]
        await one.send_to("hello")
        await other.send_to("who is there?")
        for socket in (one, other):
            assert sorted([await socket.receive_json_from(SECONDS) for _ in range(2)]) == [
                ["AnonymousUser", "who is there?"],
                ["anna", "hello"],
            ]
            await socket.disconnect(timeout=SECONDS)
