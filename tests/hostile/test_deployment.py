"""The example site as it is deployed: its settings, units, proxy, containers and pages."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium.webdriver import Chrome
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.typing import Origin

from members import Member
from parts import find
from processes import SECONDS, free_port
from proxied import DEPLOY, SECRET, Proxied, nginx, production, proxied
from served import SITE, Served, uvicorn

UNITS = sorted(DEPLOY.glob("*.service"))
#: Ten is the worst. Without the directives below, it was 8.7.
EXPOSURE = 1.5


def manage(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=SITE,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


class TestSettings:
    @pytest.fixture
    def env(self, tmp_path: Path) -> dict[str, str]:
        return production(tmp_path, "redis://127.0.0.1:6379/0", plain_http=False)

    def test_the_checks_for_deployment_find_nothing(self, env: dict[str, str]) -> None:
        checked = manage(env, "check", "--deploy", "--fail-level", "DEBUG")
        assert checked.returncode == 0, checked.stderr
        assert "no issues" in checked.stdout + checked.stderr

    @pytest.mark.parametrize("secret", ["", "change-me", "a" * 60, "abc" * 20, SECRET[:49]])
    def test_a_weak_secret_is_refused(self, env: dict[str, str], secret: str) -> None:
        checked = manage(env | {"CHAT_SECRET_KEY": secret}, "check")
        assert checked.returncode != 0
        assert "CHAT_SECRET_KEY must be a secret of 50 characters" in checked.stderr

    def test_the_example_of_the_environment_has_no_secret(self) -> None:
        text = (DEPLOY / "environment.example").read_text()
        assert re.findall(r"(?m)^CHAT_SECRET_KEY=(.*)$", text) == [""]
        assert "@" not in re.findall(r"(?m)^REDIS_URL=(.*)$", text)[0]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.stem))
class TestUnits:
    def test_the_exposure_has_a_bound(self, unit: Path) -> None:
        program = find("systemd-analyze", package="systemd")
        rated = subprocess.run(
            [program, "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rated.returncode == 0, rated.stdout + rated.stderr
        [exposure] = re.findall(r"Overall exposure level .*: (\d\.\d)", rated.stdout)
        assert float(exposure) <= EXPOSURE

    def test_what_it_may_do(self, unit: Path) -> None:
        """Also where systemd-analyze is not installed."""
        lines = unit.read_text().splitlines()
        assert {
            *("UMask=0077", "StateDirectoryMode=0700", "ProtectHome=true", "PrivateDevices=true"),
            *("ProtectSystem=strict", "CapabilityBoundingSet=", "NoNewPrivileges=true"),
            *("SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources"),
        } <= set(lines)
        assert any(line.startswith("MemoryMax=") for line in lines)


class TestContainers:
    @pytest.fixture
    def compose(self) -> dict[str, Any]:
        return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))

    def test_images_have_an_exact_version(self, compose: dict[str, Any]) -> None:
        images = [each["image"] for each in compose["services"].values() if "image" in each]
        images += re.findall(r"(?m)^FROM (.*)$", (DEPLOY / "Dockerfile").read_text())
        assert len(images) == 3
        assert all(re.search(r":\d+\.\d+\.\d+-", image) for image in images), images

    def test_redis_is_reached_by_the_site_with_a_password(self, compose: dict[str, Any]) -> None:
        services, networks = compose["services"], compose["networks"]
        assert "--requirepass" in services["redis"]["command"]
        assert services["redis"]["networks"] == ["store"]
        assert networks["store"] == networks["inside"] == {"internal": True}
        assert services["nginx"]["networks"] == ["outside", "inside"]
        assert [name for name, each in services.items() if "ports" in each] == ["nginx"]

    def test_processes_of_the_site_have_no_rights_of_root(self, compose: dict[str, Any]) -> None:
        for name in ("web-1", "web-2", "worker"):
            service = compose["services"][name]
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["mem_limit"]
            assert service["pids_limit"]


class TestProxy:
    """nginx alone: no server listens behind it."""

    @pytest.fixture
    def port(self, tmp_path: Path) -> Iterator[int]:
        with nginx([f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"], tmp_path) as port:
            yield port

    def test_it_does_not_tell_its_version(self, port: int) -> None:
        client = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        with closing(client):
            client.request("GET", "/static/nowhere")
            response = client.getresponse()
            assert response.headers["Server"] == "nginx"
            assert b"nginx/" not in response.read()

    def test_a_flood_of_requests(
        self, port: int, record_property: Callable[[str, object], None]
    ) -> None:
        """The requests of another address are not concerned."""
        flooding = self.statuses(port, "127.0.0.1", 400)
        assert flooding.keys() == {429, 502}
        # A hundred at once, and those for which the time has come.
        assert flooding[429] > 100
        assert self.statuses(port, "127.0.0.2", 1) == {502: 1}
        record_property("inputs", 400)

    @staticmethod
    def statuses(port: int, source: str, number: int) -> Counter[int]:
        """Send so many requests from an address, and return the statuses of the responses."""
        found: Counter[int] = Counter()
        client = HTTPConnection("127.0.0.1", port, source_address=(source, 0), timeout=SECONDS)
        with closing(client):
            for _ in range(number):
                client.request("GET", "/")
                response = client.getresponse()
                response.read()
                found[response.status] += 1
        return found


@pytest.fixture(scope="module", params=[("chat-web@",) * 2, ("chat-daphne@",) * 2], ids=str)
def behind(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    with proxied(request.param) as running:
        yield running


def account(site: Any, **options: Any) -> connect:
    return connect(
        f"ws://{site.host}/ws/account/",
        origin=options.pop("origin", Origin(site.origin)),
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        **options,
    )


class TestServers:
    async def test_a_message_without_an_end(self, behind: Proxied) -> None:
        """No consumer sees it, so only the server can refuse it."""
        async with account(behind, compression=None) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await send_fragments(client, b"a" * 8000, 200)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009

    async def test_a_page_of_another_site_leaves_a_line(self, behind: Proxied) -> None:
        """DEBUG is off, and the line names its logger."""
        for server in behind.servers:
            with pytest.raises(InvalidStatus):
                async with account(server, origin=Origin("https://evil.example")):
                    pass
            server.wait_for("WARNING django.channels.security: ")
            assert "evil.example" in server.output[-1]

    async def test_many_connections_of_one_address(self, behind: Proxied) -> None:
        """The connections of other addresses are not concerned."""
        opened: list[ClientConnection] = []
        try:
            while len(opened) < 100:
                opened.append(await account(behind, local_addr=("127.0.3.1", 0)))
            with pytest.raises(InvalidStatus) as refused:
                opened.append(await account(behind, local_addr=("127.0.3.1", 0)))
            assert refused.value.response.status_code == 429
            opened.append(await account(behind, local_addr=("127.0.3.2", 0)))
        finally:
            await asyncio.gather(*(each.close() for each in opened))


async def send_fragments(client: ClientConnection, part: bytes, number: int) -> None:
    """Send the beginning of a message, and never its end, until the server closes."""
    for count in range(number):
        if client.state is not State.OPEN:
            break
        send = client.protocol.send_continuation if count else client.protocol.send_text
        send(part, fin=False)
        for data in client.protocol.data_to_send():
            client.transport.write(data)
        await asyncio.sleep(0)
    await client.recv()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with uvicorn(tmp_path_factory.mktemp("site")) as served:
        yield served


class TestPages:
    PAGES = ("/", "/rooms/tea/", "/rooms/tea/plain/", "/feed/", "/parrot/", "/accounts/log-in/")

    def test_each_script_has_the_nonce_of_its_page(self, site: Served) -> None:
        anna = Member(site, "Anna")
        nonces = []
        for path in self.PAGES:
            client = HTTPConnection(site.host, timeout=SECONDS)
            with closing(client):
                client.request("GET", path, headers={"Cookie": anna.cookies})
                response = client.getresponse()
                policy, page = (
                    response.headers["Content-Security-Policy"],
                    response.read().decode(),
                )
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            [nonce] = re.findall(r"script-src 'nonce-([\w-]{20,})';", policy)
            nonces.append(nonce)
            # JSON is data, which no browser runs.
            for tag in re.findall(r"<(?:script|style)[^>]*>", page):
                assert f'nonce="{nonce}"' in tag or 'type="application/json"' in tag
            assert not re.search(r"<[^>]* (?:on\w+|style)=", page)
        assert len(set(nonces)) == len(nonces)

    def test_a_script_that_was_smuggled_in_does_not_run(
        self, site: Served, browser: Chrome, record_property: Callable[[str, object], None]
    ) -> None:
        browser.get(f"{site.origin}/accounts/log-in/")
        smuggled = [
            "<script>document.title = 'stolen'</script>",
            "<script nonce='guess'>document.title = 'stolen'</script>",
            "<script src='data:text/javascript,document.title=1'></script>",
            "<img src='data:,' onerror='document.title = 1'>",
        ]
        record_property("inputs", len(smuggled))
        refused = browser.execute_async_script(
            """
            const [parts, done] = arguments;
            const found = new Set();
            document.addEventListener("securitypolicyviolation", (event) => {
              found.add(event.effectiveDirective + found.size);
              if (found.size === parts.length) done([...found]);
            });
            for (const part of parts) {
              const range = document.createRange();
              document.body.append(range.createContextualFragment(part));
            }
            """,
            smuggled,
        )
        assert len(refused) == len(smuggled)
        assert browser.title == "Log in - Chat"


def test_the_commands_of_the_demonstration_limit_messages() -> None:
    from tools.demo_redis import commands

    started = commands(8000)
    assert "--ws-max-size" in started["Uvicorn"]
    assert "--websocket-max-message-size" in started["Daphne"]
