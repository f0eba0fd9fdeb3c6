"""The files of the deployment page, run as far as possible without a container engine."""

import asyncio
import configparser
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.typing import Origin

from members import Member
from parts import find
from processes import SECONDS
from proxied import DEPLOY, SECRET, Proxied, command_of, proxied
from served import SITE

#: Seconds that a stop may take besides: a server gets its signal when handlers had ten and their
#: clean-up had ten more, and a worker waits for half a minute for what it cannot cancel.
BESIDES = 30
UNITS = [("chat-web@", "chat-web@"), ("chat-daphne@", "chat-daphne@")]


def enter(site: Any, member: Member, room: str = "tea", **options: Any) -> connect:
    return connect(
        f"{site.origin.replace('http', 'ws', 1)}/ws/rooms/{room}/",
        origin=Origin(site.origin),
        additional_headers={"Cookie": member.cookies},
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        **options,
    )


async def hear(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        return dict(json.loads(await client.recv()))


async def echoes(client: ClientConnection, text: str) -> None:
    await client.send(json.dumps({"text": text}))
    assert (await hear(client))["text"] == text


@pytest.fixture(scope="module", params=UNITS, ids=lambda units: str(units[0]).strip("@"))
def site(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    with proxied(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def anna(site: Proxied) -> Member:
    return Member(site, "Anna")


class TestUnits:
    """The units of systemd, checked by systemd itself if installed, and by their content."""

    @pytest.fixture(params=sorted(DEPLOY.glob("*.service")), ids=lambda path: str(path.stem))
    def unit(self, request: pytest.FixtureRequest) -> Path:
        path: Path = request.param
        return path

    def test_systemd_accepts_them(self, unit: Path, tmp_path: Path) -> None:
        program = find("systemd-analyze", package="systemd")
        # It checks that the program and the user exist.
        text = unit.read_text().replace("/srv/chat/venv/bin/python", "/bin/true")
        text = re.sub("(?m)^(User|Group)=.*", r"\1=root", text)
        name = unit.name.replace("@.", "@8001.")
        (tmp_path / unit.name).write_text(text)
        (tmp_path / name).write_text(text)
        checked = subprocess.run(
            [program, "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

    def test_each_process_gets_a_signal_and_time_to_end(self, unit: Path) -> None:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment] # as systemd reads them
        parser.read_string(unit.read_text())
        service = parser["Service"]
        assert service["KillSignal"] == "SIGTERM"
        assert service["KillMode"] == "mixed"
        assert service["Restart"] == "always"
        [own] = re.findall(r"(?:-timeout|-graceful-shutdown) (\d+)", service["ExecStart"])
        assert BESIDES + int(own) < int(service["TimeoutStopSec"])

    def test_they_differ_only_in_their_commands(self) -> None:
        web, daphne, worker = (
            (DEPLOY / f"{name}.service").read_text().splitlines()
            for name in ("chat-web@", "chat-daphne@", "chat-worker")
        )
        for other in (daphne, worker):
            differ = set(web) ^ set(other)
            kinds = ("#", "Description=", "ExecStart=", "LimitNOFILE=")
            assert all(line.startswith(kinds) for line in differ)


class TestContainers:
    """The files for containers, which are not run here."""

    @pytest.fixture
    def compose(self) -> dict[str, Any]:
        return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))

    def test_services_start_what_the_units_start(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        assert services.keys() == {"redis", "migrate", "web-1", "web-2", "worker", "nginx"}
        # A container has its own ports, and only its network can reach them.
        web = command_of("chat-web@")[1:]
        web[web.index("127.0.0.1")] = "0.0.0.0"
        web[web.index("127.0.0.1")] = "*"
        web[web.index("%i")] = "8000"
        image = (DEPLOY / "Dockerfile").read_text()
        [started] = re.findall(r"(?m)^CMD (.*)$", image)
        assert json.loads(started) == ["python", *web]
        assert services["worker"]["command"] == ["python", *command_of("chat-worker")[1:]]
        for name in ("web-1", "web-2", "worker"):
            unit = (DEPLOY / "chat-web@.service").read_text()
            given = services[name]["stop_grace_period"].removesuffix("s")
            assert f"\nTimeoutStopSec={given}\n" in unit

    def test_services_name_existing_files(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        known = {"image", "build", "command", "environment", "depends_on", "restart", "ports"}
        known |= {"stop_grace_period", "volumes", "healthcheck", "networks", "read_only", "tmpfs"}
        known |= {"cap_drop", "security_opt", "mem_limit", "pids_limit"}
        for service in services.values():
            assert service.keys() <= known
            assert set(service.get("depends_on", {})) <= services.keys()
            for volume in service.get("volumes", ()):
                source, *_ = volume.split(":")
                if source.startswith("."):
                    assert (DEPLOY / source).exists(), source
                else:
                    assert source in compose["volumes"]
        upstream = (DEPLOY / "compose-upstream.conf").read_text()
        assert re.findall(r"(?m)^    server ([\w-]+):8000 ", upstream) == ["web-1", "web-2"]
        # The rest is as without containers.
        plain = (DEPLOY / "upstream.conf").read_text()
        kept = [re.sub(r"(?m)^# .*|server \S+", "", text) for text in (upstream, plain)]
        assert kept[0] == kept[1]

    def test_the_image_contains_what_its_steps_need(self) -> None:
        image = (DEPLOY / "Dockerfile").read_text()
        copied = re.findall(r"(?m)^COPY (\S+) \S+$", image)
        assert copied == ["deploy/requirements.txt", "."]
        assert all((SITE / source).exists() for source in copied)
        steps = re.findall(r"(?m)^([A-Z]+) ", image)
        assert steps == [
            *["FROM", "ENV", "WORKDIR", "COPY", "RUN", "COPY", "RUN", "USER", "EXPOSE", "CMD"]
        ]

    def test_the_site_is_prepared_by_what_the_service_runs(
        self, compose: dict[str, Any], tmp_path: Path
    ) -> None:
        service = compose["services"]["migrate"]
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"} | service["environment"]
        assert env.keys() - {"PATH"} == set(
            re.findall(r"(?m)^(\w+)=", (DEPLOY / "environment.example").read_text())
        ) - {"DJANGO_SETTINGS_MODULE"}
        env |= {"CHAT_DATABASE": str(tmp_path / "db"), "CHAT_STATIC_ROOT": str(tmp_path)}
        env["CHAT_SECRET_KEY"] = SECRET
        env["DJANGO_SETTINGS_MODULE"] = "chatsite.production"
        subprocess.run(service["command"], cwd=SITE, env=env, check=True, capture_output=True)
        assert (tmp_path / "db").is_file()
        assert (tmp_path / "chat" / "site.css").is_file()


class TestThroughNginx:
    async def test_a_websocket(self, site: Proxied, anna: Member) -> None:
        async with enter(site, anna, "echo") as client:
            await echoes(client, "Milk, anyone?")

    def test_pages_and_static_files(self, site: Proxied, anna: Member) -> None:
        status, page = anna.get("/accounts/log-in/")
        assert status == 200
        assert "csrfmiddlewaretoken" in page
        assert anna.get("/static/chat/site.css")[0] == 200
        # These responses come from nginx.
        assert anna.get("/static/nowhere.css")[0] == 404

    async def test_events_come_one_by_one(self, site: Proxied, anna: Member) -> None:
        async with enter(site, anna, "feed") as client, stream(site, anna) as lines:
            for text in ("one", "two", "three"):
                await echoes(client, text)
                # Nothing else is sent in the meantime, which could flush a buffer.
                event = await next_event(lines, text)
                assert event["text"] == text

    async def test_a_long_poll(self, site: Proxied, anna: Member) -> None:
        async with enter(site, anna, "poll") as client:
            poll = asyncio.create_task(asyncio.to_thread(anna.get, "/rooms/poll/poll/?after=0"))
            await echoes(client, "Please.")
            status, body = await poll
        assert status == 200
        assert [each["text"] for each in json.loads(body)["messages"]] == ["Please."]

    def test_the_site_sees_the_clients_address(self, site: Proxied) -> None:
        """The one that nginx saw, not the one that the client claims."""
        client = HTTPConnection(site.host, source_address=("127.0.0.9", 0), timeout=SECONDS)
        with closing(client):
            for _ in range(4):
                client.request("GET", "/nowhere/", headers={"X-Forwarded-For": "192.0.2.1"})
                client.getresponse().read()
        for server in site.servers:
            server.wait_for("127.0.0.9:")
            assert "192.0.2.1" not in "".join(server.output)

    def test_the_site_knows_that_a_request_came_by_tls(self, site: Proxied) -> None:
        """Otherwise Django would refuse the page's own form as one of another site."""
        [server, *_] = site.servers
        anna = Member(server, "Secure")
        token = "a" * 32
        for scheme, status in (("https", 200), ("http", 403)):
            client = HTTPConnection(server.host, timeout=SECONDS)
            headers = {
                "Origin": f"https://{server.host}",
                "Referer": f"https://{server.host}/",
                "X-Forwarded-For": "192.0.2.1",
                "X-Forwarded-Proto": scheme,
                "Cookie": f"{anna.cookies}; csrftoken={token}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            with closing(client):
                form = f"csrfmiddlewaretoken={token}&username=nobody&password=nothing"
                client.request("POST", "/accounts/log-in/", form, headers)
                assert client.getresponse().status == status


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a certificate for this machine that this process trusts."""
    command = [find("openssl", package="openssl"), "req", "-x509", "-nodes", "-newkey", "rsa:2048"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-keyout", "privkey.pem", "-out", "fullchain.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "fullchain.pem"))
    return tmp_path


async def test_a_site_that_is_reached_only_over_tls(certificate: Path) -> None:
    """Members log in on both servers, with cookies that browsers send only over TLS."""
    with proxied(("chat-web@", "chat-daphne@"), tls=certificate) as site:
        anna = Member(site, "Anna")
        assert {cookie.secure for cookie in anna.jar} == {True}
        async with enter(site, anna) as first, enter(site, anna) as second:
            await echoes(first, "one")
            assert (await hear(second))["text"] == "one"
        for _ in range(4):
            anna.log_out()
            anna.log_in()
        # Without TLS, nginx redirects to the site, whatever host the client claims.
        client = HTTPConnection("127.0.0.2", site.port, timeout=SECONDS)
        with closing(client):
            client.request("GET", "/rooms/tea/", headers={"Host": "evil.example"})
            response = client.getresponse()
            assert response.status == 301
            assert response.headers["Location"] == f"{site.origin}/rooms/tea/"


@asynccontextmanager
async def stream(site: Proxied, member: Member) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    lines = ["GET /feed/events/ HTTP/1.1", f"Host: {site.host}", f"Cookie: {member.cookies}"]
    writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    async with asyncio.timeout(SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def next_event(lines: asyncio.StreamReader, text: str) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        while True:
            line = (await lines.readline()).decode()
            if line.startswith("data: "):
                event = dict(json.loads(line.removeprefix("data: ")))
                if event["text"] == text:
                    return event


class Pinged(ClientConnection):
    """A client that counts the pings that it receives."""

    pings = 0

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
            self.pinged.set()
        super().process_event(event)

    async def until_pinged(self, times: int) -> None:
        async with asyncio.timeout(SECONDS):
            while self.pings < times:
                self.pinged.clear()
                await self.pinged.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pinged = asyncio.Event()
        super().connection_made(transport)


#: By unit: options for a ping after each second of silence, how many take longer than three (Daphne
#: looks every two seconds), and options for no pings.
PINGS = {
    "chat-web@": (["--ws-ping-interval", "1"], 5, ["--ws-ping-interval", "0"]),
    "chat-daphne@": (["--ping-interval", "1"], 3, ["--ping-interval", "3600"]),
}


@pytest.mark.parametrize("unit", PINGS)
async def test_pings_keep_a_silent_websocket(unit: str) -> None:
    """For longer than the proxy's time-outs."""
    often, times, never = PINGS[unit]
    options: dict[str, Any] = {"ping_interval": None, "create_connection": Pinged}
    with proxied((unit, unit), *often, proxy_read_timeout="3s") as site:
        # Directly, because the time-outs of the proxy are short here.
        anna = Member(site.servers[0], "Anna")
        async with enter(site, anna, **options) as client:
            # From the first to the last ping, four seconds or more pass.
            assert isinstance(client, Pinged)
            await client.until_pinged(times)
            await echoes(client, "still here")
    with proxied((unit, unit), *never, proxy_read_timeout="1s") as site:
        anna = Member(site.servers[0], "Anna")
        async with enter(site, anna, **options) as client:
            with pytest.raises(ConnectionClosedError):
                await hear(client)


@pytest.mark.parametrize("units", UNITS, ids=lambda units: str(units[0]).strip("@"))
async def test_the_other_server_takes_over(units: tuple[str, str]) -> None:
    with proxied(units) as site:
        anna = Member(site, "Anna")
        async with enter(site, anna) as first, enter(site, anna) as second:
            # One client on each server.
            await echoes(first, "one")
            assert (await hear(second))["text"] == "one"
            site.servers[0].stop(signal.SIGKILL)
            survivors = []
            for client in (first, second):
                try:
                    await client.send(json.dumps({"text": "two"}))
                    survivors.append((await hear(client))["text"])
                except ConnectionClosedError:
                    continue
            assert survivors == ["two"]
        for _ in range(4):
            async with enter(site, anna, "other") as client:
                await echoes(client, "back again")
                assert anna.get("/")[0] == 200
