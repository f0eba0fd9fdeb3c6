"""A site of 2018 on two servers, on `runserver`, and with a worker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from websockets import Origin
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from redis_server import require_redis
from served import ROOT, Served, environment

SITE = ROOT / "tests" / "programs" / "parlour"
# A safety net, for a machine under load.
SECONDS = 120

#: What starts a server, up to the port, and the words by which it says that it serves.
SERVERS = {
    "uvicorn": (["-m", "uvicorn", "--port"], "Uvicorn running on "),
    "daphne": (["-m", "daphne", "-b", "127.0.0.1", "-p"], "Listening on TCP address "),
}


class Answer(NamedTuple):
    status: int
    body: str
    headers: Any

    def cookie(self, name: str) -> str:
        """Return a cookie from a response, as a browser sends it back."""
        found = [line.partition(";")[0] for line in self.headers.get_all("Set-Cookie")]
        [cookie] = [line for line in found if line.startswith(f"{name}=")]
        return str(cookie)


class Parlour:
    """The site, as visitors see it."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        request = Request(self.served.origin + path, data=body, headers=headers)
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as answer:
                return Answer(answer.status, answer.read().decode(), answer.headers)
        except HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read().decode(), refusal.headers)

    def open(self, path: str, origin: str | None = None, **headers: str) -> ClientConnection:
        return connect(
            f"ws://{self.served.host}{path}",
            origin=Origin(origin or self.served.origin),
            additional_headers=headers,
            open_timeout=SECONDS,
            close_timeout=SECONDS,
            proxy=None,
        )


def say(socket: ClientConnection, **content: str) -> None:
    socket.send(json.dumps(content))


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(SECONDS))


def prepared(folder: Path) -> dict[str, str]:
    """Create the site's database, and return the environment for it."""
    database = folder / "db.sqlite3"
    env = environment(database) | {"PARLOUR_DATABASE": str(database)}
    manage = [sys.executable, "manage.py", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(manage, cwd=SITE, env=env, check=True)
    return env


def serve(server: str, env: dict[str, str], application: str = "parlour.asgi") -> Served:
    if server == "runserver":
        command, announces = ["manage.py", "runserver", "--noreload"], "Starting ASGI/Channels"
        rest: Sequence[str] = ()
    else:
        command, announces = SERVERS[server]
        rest = [f"{application}:application"]
    return Served(
        server, lambda port: [sys.executable, *command, str(port), *rest], env, announces, SITE
    )


@pytest.fixture(scope="module", params=[*SERVERS, "runserver"])
def parlour(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parlour]:
    with serve(request.param, prepared(tmp_path_factory.mktemp("parlour"))) as served:
        yield Parlour(served)


class TestOneProcess:
    def test_a_chat_in_both_colours(self, parlour: Parlour) -> None:
        with (
            parlour.open("/ws/chat/tea/") as one,
            parlour.open("/ws/async-chat/tea/") as two,
            parlour.open("/ws/chat/coffee/") as elsewhere,
        ):
            say(one, message="hello")
            assert [hear(one), hear(two)] == [{"message": "stranger: hello"}] * 2
            say(two, message="good evening")
            assert [hear(one), hear(two)] == [{"message": "stranger: good evening"}] * 2
            assert parlour.ask("/announce/tea/").body == "announced"
            assert [hear(one), hear(two)] == [{"message": "dinner is served"}] * 2
            say(elsewhere, message="anybody?")
            assert hear(elsewhere) == {"message": "stranger: anybody?"}

    def test_the_name_of_a_visitor(self, parlour: Parlour) -> None:
        seat = parlour.ask("/seat/ann/")
        token = json.loads(seat.body)["token"]
        for path, headers, name in (
            (f"/ws/chat/who/?token={token}", {}, "ann"),
            ("/ws/async-chat/who/?token=made-up", {}, "stranger"),
            ("/ws/async-chat/who/", {"Cookie": seat.cookie("sessionid")}, "ann"),
            ("/ws/claim/who/?zoe", {}, "zoe"),
            ("/ws/own/who/?zoe", {}, "zoe"),
            ("/ws/own/who/corner/?zoe", {}, "zoe"),
            ("/ws/quiet/who/", {}, "stranger"),
        ):
            with parlour.open(path, **headers) as socket:
                say(socket, message="here")
                assert hear(socket) == {"message": f"{name}: here"}, path
        for path, name in (("/ws/claim/?zoe", "zoe"), ("/ws/member/?ann", "ann")):
            with parlour.open(path) as socket:
                assert socket.recv(SECONDS) == name

    def test_a_guest_and_the_session(self, parlour: Parlour) -> None:
        with pytest.raises(InvalidStatus) as refused:
            parlour.open("/ws/guest/")
        assert refused.value.response.status_code == 403
        cookie = parlour.ask("/seat/bob/").cookie("sessionid")
        with parlour.open("/ws/guest/", Cookie=cookie) as guest:
            say(guest, do="tell")
            greeting = "good evening, bob of the parlour"
            assert hear(guest) == {"user": "bob", "greeting": greeting}
            say(guest, do="remember", drink="tea")
            assert hear(guest) == {"remembered": "tea"}
            assert parlour.ask("/", Cookie=cookie).body == "parlour, bob"
            say(guest, do="leave")
            assert hear(guest) == {"user": ""}
        assert parlour.ask("/", Cookie=cookie).body == "parlour, stranger"

    def test_a_login_by_an_http_consumer(self, parlour: Parlour) -> None:
        parlour.ask("/seat/ann/")
        answer = parlour.ask("/door/", b"word=sesame")
        assert (answer.status, answer.body) == (200, "ann")
        assert answer.cookie("visited") == "visited=yes"
        assert parlour.ask("/", Cookie=answer.cookie("sessionid")).body == "parlour, ann"
        assert parlour.ask("/door/", b"word=please").status == 403

    def test_a_long_poll(self, parlour: Parlour) -> None:
        request = Request(f"{parlour.served.origin}/longpoll/poll/")
        with (
            build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as poll,
            parlour.open("/ws/chat/poll/") as socket,
        ):
            # The headers have arrived, so the request is held and in its group.
            say(socket, message="hello")
            assert json.load(poll) == {"message": "stranger: hello"}

    def test_consumers_of_every_kind(self, parlour: Parlour) -> None:
        with parlour.open("/ws/echo/") as echo, parlour.open("/ws/sync-echo/") as sync:
            echo.send("hello")
            sync.send("hello")
            assert [echo.recv(SECONDS), sync.recv(SECONDS)] == ["hello", "/ws/sync-echo/hello"]
        with parlour.open("/ws/notices/") as one, parlour.open("/ws/notices/") as other:
            say(one, text="dinner")
            assert [hear(one), hear(other)] == [{"text": "dinner"}] * 2
        with parlour.open("/ws/ticker/") as ticker:
            ticker.send("tock")
            assert ticker.recv(SECONDS) == "tick tock"

    def test_refused_visitors(self, parlour: Parlour) -> None:
        for path, origin in (
            ("/ws/echo/", "https://elsewhere.example"),
            ("/ws/elsewhere/", None),
        ):
            with pytest.raises(InvalidStatus) as refused:
                parlour.open(path, origin)
            assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as lost:
            parlour.open("/ws/nowhere/")
        assert lost.value.response.status_code in {403, 404}

    def test_views_of_django(self, parlour: Parlour) -> None:
        assert parlour.ask("/").body == "parlour, stranger"
        assert parlour.ask("/nowhere/").status == 404
        assert parlour.ask("/kept/").status == 404  # it is Django that looks for it


@pytest.mark.parametrize("server", SERVERS)
class TestFirstRouting:
    def test_without_an_entry_for_http(self, server: str, tmp_path: Path) -> None:
        with serve(server, prepared(tmp_path), "parlour.first_routing") as served:
            parlour = Parlour(served)
            cookie = parlour.ask("/seat/ann/").cookie("sessionid")
            assert parlour.ask("/", Cookie=cookie).body == "parlour, ann"
            with parlour.open("/ws/chat/tea/", Cookie=cookie) as socket:
                say(socket, message="hello")
                assert hear(socket) == {"message": "ann: hello"}


class TestSeveralProcesses:
    """Both servers and a worker, with one Redis."""

    def test_a_chat_and_a_job(self, tmp_path: Path) -> None:
        with require_redis() as url, ExitStack() as stack:
            env = prepared(tmp_path) | {"REDIS_URL": url}
            sites = [Parlour(stack.enter_context(serve(server, env))) for server in SERVERS]
            worker = stack.enter_context(listening(env))
            rooms = [stack.enter_context(site.open("/ws/chat/tea/")) for site in sites]
            notices = [stack.enter_context(site.open("/ws/notices/")) for site in sites]
            for number, site in enumerate(sites):
                say(rooms[number], message=site.served.server)
                for room in rooms:
                    assert hear(room) == {"message": f"stranger: {site.served.server}"}
                say(notices[number], text=site.served.server)
                for notice in notices:
                    assert hear(notice) == {"text": site.served.server}
                with site.open("/ws/album/") as album:
                    say(album, picture=f"{number}.png")
                    assert hear(album) == {"thumbnail": f"small-{number}.png"}
            made = {"made": ["small-0.png", "small-1.png"]}
            assert [json.loads(site.ask("/thumbnails/").body) for site in sites] == [made] * 2
            assert worker.stop(signal.SIGTERM) == 0


def listening(env: dict[str, str]) -> Served:
    """Return the worker that creates thumbnails."""
    command = [sys.executable, "manage.py", "runworker", "thumbnails"]
    return Served("worker", lambda port: command, env, "thumbnails", SITE)


class TestTests:
    def test_its_tests_for_pytest(self) -> None:
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            command, cwd=SITE, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout
