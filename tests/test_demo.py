"""The example site on a real server, with clients that are not part of the project."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Origin

from members import Member
from processes import SECONDS, free_port
from served import FIRST_SITE, ROOT, SITE, Served, demo, environment, uvicorn


@pytest.fixture(scope="module", params=[demo, uvicorn])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    serve: Callable[[Path], Served] = request.param
    with serve(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture(scope="module")
def anna(site: Served) -> Member:
    return Member(site, "Anna")


@pytest.fixture(scope="module")
def ben(site: Served) -> Member:
    return Member(site, "Ben")


def enter(member: Member, room: str) -> connect:
    """Open a room's WebSocket as a page of the site does."""
    site = member.site
    return connect_from(site.origin, f"ws://{site.host}/ws/rooms/{room}/", member.cookies)


def connect_from(origin: str | None, address: str, cookies: str) -> connect:
    """Open a WebSocket as a page of this origin would."""
    return connect(
        address,
        origin=None if origin is None else Origin(origin),
        additional_headers={"Cookie": cookies},
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
    )


async def say(client: ClientConnection, text: str) -> None:
    await client.send(json.dumps({"text": text}))


async def hear(client: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await client.recv()))


class TestServedSite:
    async def test_two_clients_exchange_messages(self, anna: Member, ben: Member) -> None:
        async with enter(anna, "tea") as first, enter(ben, "tea") as second:
            for speaker, name, text in (
                (first, "Anna", "Milk, anyone?"),
                (second, "Ben", "Please."),
            ):
                await say(speaker, text)
                for client in (first, second):
                    heard = await hear(client)
                    assert (heard["author"], heard["text"]) == (name, text)

    async def test_a_later_client_catches_up(self, anna: Member, ben: Member) -> None:
        async with enter(anna, "late") as first:
            for text in ("one", "two"):
                await say(first, text)
                await hear(first)
        async with enter(ben, "late") as second:
            assert [(await hear(second))["text"] for _ in range(2)] == ["one", "two"]

    async def test_a_logout_ends_the_sockets_of_the_login(self, site: Served, ben: Member) -> None:
        carla = Member(site, "Carla")
        async with (
            enter(carla, "left") as first,
            enter(carla, "right") as second,
            enter(ben, "left") as other,
        ):
            await asyncio.to_thread(carla.log_out)
            for client in (first, second):
                with pytest.raises(ConnectionClosedError) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401
            await say(other, "still here")
            assert (await hear(other))["text"] == "still here"
        await self.refuses(site, carla.cookies)

    async def test_visitors_who_are_not_logged_in_are_refused(self, site: Served) -> None:
        for cookies in ("", "sessionid=nowhere"):
            await self.refuses(site, cookies)

    async def refuses(self, site: Served, cookies: str) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect_from(site.origin, f"ws://{site.host}/ws/rooms/tea/", cookies):
                pass
        # Daphne refuses with its own status, whatever the application responds.
        status = 403 if site.server == "daphne" else 401
        assert refusal.value.response.status_code == status

    @pytest.mark.parametrize(
        "origin", ["http://example.org", "null", "http://localhost:99999", "http://[", None]
    )
    async def test_another_sites_page_is_refused(
        self, site: Served, anna: Member, origin: str | None
    ) -> None:
        address = f"ws://{site.host}/ws/rooms/tea/"
        with pytest.raises(InvalidStatus) as refusal:
            async with connect_from(origin, address, anna.cookies):
                pass
        # Daphne itself refuses an invalid URL as a bad request.
        assert refusal.value.response.status_code in (400, 403)

    async def test_an_unknown_websocket_path_is_refused(self, site: Served) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(
                f"ws://{site.host}/nowhere/", additional_headers={"Origin": site.origin}
            ):
                pass
        # Daphne refuses with its own status, whatever the application responds.
        status = 403 if site.server == "daphne" else 404
        assert refusal.value.response.status_code == status

    async def test_a_client_without_websockets_takes_part(self, anna: Member, ben: Member) -> None:
        async def poll(after: int) -> list[dict[str, Any]]:
            address = f"/rooms/poll/poll/?after={after}"
            status, body = await asyncio.to_thread(anna.get, address)
            assert status == 200
            return list(json.loads(body)["messages"])

        async with enter(ben, "poll") as client:
            waiting = asyncio.create_task(poll(0))
            # Either the poll already waits, or it will find the message.
            await say(client, "Milk, anyone?")
            [message] = await waiting
            assert (message["author"], message["text"]) == ("Ben", "Milk, anyone?")
            waiting = asyncio.create_task(poll(message["id"]))
            form = {"text": "Please."}
            status, page = await asyncio.to_thread(anna.post, "/rooms/poll/plain/", form)
            assert status == 200
            assert ">Please.</span>" in page
            assert [each["text"] for each in await waiting] == ["Please."]
            assert [(await hear(client))["author"] for _ in range(2)] == ["Ben", "Anna"]

    def test_the_pages_are_served(self, anna: Member) -> None:
        assert anna.get("/")[0] == 200
        status, page = anna.get("/rooms/tea/")
        assert status == 200
        assert '{"room": "tea", "member": "Anna"' in page
        assert anna.get("/nowhere/")[0] == 404
        status, page = anna.get("/feed/")
        assert status == 200
        assert "Live feed</h1>" in page
        assert 'href="/static/chat/site.css"' in page
        assert anna.get("/static/chat/site.css")[0] == 200


@pytest.mark.parametrize("serve", [demo, uvicorn])
async def test_bad_frames_close_and_leave_a_line_each(
    tmp_path: Path, serve: Callable[[Path], Served]
) -> None:
    frames: list[tuple[str | bytes, int, str]] = [
        ("{", 1007, "not JSON"),
        (b"\x00", 1003, "No text section"),
        (f'"{"a" * 9000}"', 1009, "larger than max_message_size"),
    ]
    with serve(tmp_path) as served:
        anna = Member(served, "Anna")
        for frame, code, fault in frames:
            async with enter(anna, "bad") as client:
                await client.send(frame)
                with pytest.raises(ConnectionClosedError) as closed:
                    await client.recv()
            assert closed.value.rcvd is not None
            # Daphne lets an application close only with 1000, and with 3000 and above.
            assert closed.value.rcvd.code in (code, code + 3000)
            served.wait_for(fault)
    assert "Traceback" not in "".join(served.output)


class TestDemo:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_it_ends_in_order_with_a_client(self, tmp_path: Path, number: int) -> None:
        with demo(tmp_path) as served:
            async with enter(Member(served, "Anna"), "tea") as client:
                await say(client, "Milk, anyone?")
                await hear(client)
                assert served.stop(number) == 0
                with pytest.raises(ConnectionClosedError):
                    await client.recv()
        assert "Traceback" not in "".join(served.output)
        # No child process serves any more.
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", served.port)) != 0

    def test_it_names_its_server(self, tmp_path: Path) -> None:
        with demo(tmp_path) as served:
            pass
        lines = "".join(served.output)
        assert re.search(r"Starting ASGI/Channels version \S+ development server at ", lines)
        assert f"The chat is at http://{served.host}/ - Ctrl-C ends it." in lines

    async def test_it_keeps_messages_and_logins_for_its_next_start(self, tmp_path: Path) -> None:
        served = demo(tmp_path)
        with served:
            anna = Member(served, "Anna")
            async with enter(anna, "tea") as client:
                await say(client, "Milk, anyone?")
                await hear(client)
        with served:
            async with enter(anna, "tea") as client:
                assert (await hear(client))["text"] == "Milk, anyone?"

    def test_a_port_in_use_is_explained(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            result = run_demo(tmp_path, str(port))
        assert result.returncode != 0
        [line] = result.stderr.splitlines()
        assert f"Port {port} of 127.0.0.1 cannot be used" in line
        assert "make demo PORT=" in line

    @pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8000.0", "٣"])
    def test_an_invalid_port_is_explained(self, tmp_path: Path, port: str) -> None:
        result = run_demo(tmp_path, port)
        assert result.returncode != 0
        [line] = result.stderr.splitlines()
        assert "from 1 to 65535" in line

    def test_a_server_that_fails_is_reported(self, tmp_path: Path) -> None:
        result = run_demo(tmp_path / "there is no such folder", str(free_port()))
        assert result.returncode != 0
        assert "unable to open database file" in result.stderr


def run_demo(folder: Path, port: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "demo.py"],
        env=environment(folder / "db.sqlite3") | {"PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("site", [FIRST_SITE, SITE], ids=lambda site: str(site.name))
class TestExample:
    def test_its_own_tests_pass(self, site: Path) -> None:
        env = environment(Path("unused"))
        subprocess.run([sys.executable, "manage.py", "test"], cwd=site, env=env, check=True)

    def test_its_migrations_are_complete(self, tmp_path: Path, site: Path) -> None:
        command = [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]
        subprocess.run(command, cwd=site, env=environment(tmp_path / "db.sqlite3"), check=True)

    def test_the_system_checks_find_nothing(self, tmp_path: Path, site: Path) -> None:
        command = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]
        subprocess.run(command, cwd=site, env=environment(tmp_path / "db.sqlite3"), check=True)
