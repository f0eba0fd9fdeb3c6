"""Logins and sessions in handshakes on two real servers; only one sends their headers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from processes import SECONDS
from served import ROOT, Served, environment

SITE = ROOT / "tests" / "programs" / "turnstile"
SERVERS = {
    "uvicorn": (["-m", "uvicorn", "--port"], "Uvicorn running on "),
    "daphne": (["-m", "daphne", "-b", "127.0.0.1", "-p"], "Listening on TCP address "),
}


class Site:
    """The served site, and sessions for its visitors."""

    def __init__(self, served: Served, keys: dict[str, list[str]]) -> None:
        self.served = served
        self._keys = keys
        #: Whether this server sends the headers of an accepted handshake.
        self.sends_headers = served.server != "daphne"

    def key(self, secret: str = "now") -> str:
        """Return the key of a new session in which Anna is logged in."""
        return self._keys[secret].pop()

    def get(self, path: str, cookies: str = "") -> Any:
        opener = build_opener(ProxyHandler({}))
        request = Request(self.served.origin + path, headers={"Cookie": cookies})
        with opener.open(request, timeout=SECONDS) as response:
            return json.load(response)

    def stored(self) -> dict[str, dict[str, Any]]:
        """Return all sessions by their keys."""
        return dict(self.get("/stored/"))

    def open(self, action: str, answer: str = "accept", key: str | None = None) -> connect:
        return connect(
            f"ws://{self.served.host}/ws/{action}/{answer}/",
            additional_headers={} if key is None else {"Cookie": f"sessionid={key}"},
            proxy=None,
            open_timeout=SECONDS,
            close_timeout=SECONDS,
        )


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    database = tmp_path_factory.mktemp("turnstile") / "db.sqlite3"
    env = environment(database) | {"TURNSTILE_DATABASE": str(database)}
    prepare = [sys.executable, "manage.py", "prepare"]
    keys = json.loads(subprocess.check_output(prepare, cwd=SITE, env=env))
    command, announces = SERVERS[request.param]

    def start(port: int) -> list[str]:
        return [sys.executable, *command, str(port), "turnstile.asgi:application"]

    with Served(request.param, start, env, announces, SITE) as served:
        yield Site(served, keys)


def cookie_of(headers: Any) -> str | None:
    """Return the session key that a response sets as a cookie, or None."""
    cookies = SimpleCookie()
    for line in headers.get_all("Set-Cookie"):
        cookies.load(line)
    return cookies["sessionid"].value if cookies else None


async def told(client: ClientConnection) -> Any:
    return json.loads(await client.recv())


class TestSession:
    async def test_a_session_that_is_created_in_connect(self, site: Site) -> None:
        before = site.stored()
        async with site.open("begin") as client:
            assert await told(client) == {"user": "", "problem": ""}
            assert client.response is not None
            cookie = cookie_of(client.response.headers)
        [key] = site.stored().keys() - before.keys()
        assert site.stored()[key] == {"cart": ["tea"]}
        if site.sends_headers:
            assert cookie == key
            assert site.get("/who/", f"sessionid={cookie}")["cart"] == ["tea"]
        else:
            assert cookie is None
            site.served.wait_for("this server sends no headers with a handshake")

    async def test_an_existing_session_is_changed(self, site: Site) -> None:
        key = site.key()
        async with site.open("begin", key=key) as client:
            assert await told(client) == {"user": "anna", "problem": ""}
            assert client.response is not None
            cookie = cookie_of(client.response.headers)
        assert cookie == (key if site.sends_headers else None)
        assert site.get("/who/", f"sessionid={key}") == {"user": "anna", "cart": ["tea"]}


class TestLogin:
    @pytest.mark.parametrize("has_session", [False, True])
    async def test_in_connect(self, site: Site, has_session: bool) -> None:
        key = site.key() if has_session else None
        before = site.stored()
        async with site.open("log-in", key=key) as client:
            answer = await told(client)
            assert client.response is not None
            cookie = cookie_of(client.response.headers)
        if site.sends_headers:
            assert answer == {"user": "ben", "problem": ""}
            assert cookie not in before
            assert site.get("/who/", f"sessionid={cookie}")["user"] == "ben"
            assert key not in site.stored()
        else:
            assert answer == {
                "user": "anna" if has_session else "",
                "problem": "LoginOnOpenConnectionError",
            }
            assert cookie is None
            assert site.stored() == before


class TestFallbackSecret:
    """A session signed with an earlier secret keeps its key."""

    async def test_accepted(self, site: Site) -> None:
        key = site.key("before")
        before = site.stored()
        async with site.open("look", key=key) as client:
            assert await told(client) == {"user": "anna", "problem": ""}
            assert client.response is not None
            cookie = cookie_of(client.response.headers)
        assert cookie == (key if site.sends_headers else None)
        after = site.stored()
        assert after.keys() == before.keys()
        # Now it is signed with the current secret.
        assert after[key].pop("_auth_user_hash") != before[key].pop("_auth_user_hash")
        assert after == before
        assert site.get("/who/", f"sessionid={key}")["user"] == "anna"
        assert key in site.stored()

    @pytest.mark.parametrize("answer", ["close", "deny", "fail"])
    async def test_not_accepted(self, site: Site, answer: str) -> None:
        key = site.key("before")
        before = site.stored()
        with pytest.raises(InvalidStatus) as refusal:
            async with site.open("look", answer, key):
                pass
        assert cookie_of(refusal.value.response.headers) in (key, None)
        after = site.stored()
        assert after.keys() == before.keys()
        assert after[key]["_auth_user_id"] == before[key]["_auth_user_id"]
        assert site.get("/who/", f"sessionid={key}")["user"] == "anna"
