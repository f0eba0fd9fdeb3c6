"""Strangers who try passwords on the served example site."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from hostile.passwords import address
from members import PASSWORD, Member
from processes import SECONDS
from proxied import Proxied, proxied
from served import ROOT, SITE, Served, one_of_several

WRONG = "Please enter a correct username and password."
TOO_MANY = "Too many attempts."
LIMIT = 3
#: So long that no test sees a count begin anew.
ATTEMPTS_SECONDS = "1000000000"


def try_form(site: Any, number: int, name: str, password: str, **headers: str) -> str:
    """Submit the form to log in from the address of a stranger, and return what they see."""
    token = "a" * 32
    given = {
        "Cookie": f"csrftoken={token}",
        "Content-Type": "application/x-www-form-urlencoded",
        **headers,
    }
    form = urlencode({"username": name, "password": password, "csrfmiddlewaretoken": token})
    client = HTTPConnection(site.host, source_address=(address(number), 0), timeout=SECONDS)
    with closing(client):
        client.request("POST", "/accounts/log-in/", form, given)
        response = client.getresponse()
        page = response.read().decode()
    shown = {302: "logged in", 200: WRONG, 429: TOO_MANY}[response.status]
    assert response.status == 302 or shown in page
    return shown


async def try_socket(site: Any, number: int, name: str, password: str, **headers: str) -> str:
    """Do it over a new WebSocket, and return the answer."""
    async with connect(
        f"ws://{site.host}/ws/account/",
        origin=Origin(site.origin),
        additional_headers=headers,
        local_addr=(address(number), 0),
        proxy=None,
        open_timeout=SECONDS,
    ) as client:
        await send(client, name, password)
        answer = json.loads(await client.recv())
        if "token" in answer:
            return "logged in"
        # The first sentence.
        problem = str(answer["problem"]).partition(".")[0] + "."
        if problem == TOO_MANY:
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
        return problem


async def send(client: ClientConnection, name: str, password: str) -> None:
    await client.send(json.dumps({"action": "log_in", "username": name, "password": password}))


async def try_both(site: Any, number: int, name: str, password: str, **headers: str) -> list[str]:
    """Try once over a WebSocket and once by the form."""
    over_socket = await try_socket(site, number, name, password, **headers)
    by_form = await asyncio.to_thread(try_form, site, number, name, password, **headers)
    return [over_socket, by_form]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    served = one_of_several(
        request.param,
        tmp_path_factory.mktemp("site"),
        CHAT_ATTEMPTS_SECONDS=ATTEMPTS_SECONDS,
        CHAT_ATTEMPTS_OF_ACCOUNT=str(LIMIT),
        CHAT_ATTEMPTS_OF_ADDRESS=str(2 * LIMIT),
        DJANGO_SETTINGS_MODULE="hostile.quick_passwords",
        PYTHONPATH=str(ROOT / "tests"),
    )
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=SITE, env=served.env, check=True)
    with served:
        yield served


class TestLimits:
    async def test_of_an_account(self, site: Served) -> None:
        """From an address each, over both ways; then its own password does not help either."""
        await asyncio.to_thread(Member, site, "Anna")
        told = [
            each for number in range(3) for each in await try_both(site, number, "Anna", "a guess")
        ]
        assert told == [WRONG] * LIMIT + [TOO_MANY] * (6 - LIMIT)
        assert await try_socket(site, 3, "Anna", PASSWORD) == TOO_MANY
        # Another account is not concerned, though it does not exist.
        assert await try_socket(site, 3, "Nobody", PASSWORD) == WRONG

    async def test_of_an_address(
        self, site: Served, record_property: Callable[[str, object], None]
    ) -> None:
        """With other accounts, connections and headers each time."""
        told = []
        for number in range(2 * LIMIT):
            claims = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
            told += await try_both(site, 9, f"victim-{number}", "a guess", **claims)
        assert told == [WRONG] * 2 * LIMIT + [TOO_MANY] * 2 * LIMIT
        record_property("inputs", len(told))

    async def test_of_attempts_at_the_same_time(self, site: Served) -> None:
        """No two of them are counted as one."""
        told = await asyncio.gather(
            *(try_socket(site, 20 + number, "Crowded", "a guess") for number in range(10))
        )
        assert sorted(told) == [WRONG] * LIMIT + [TOO_MANY] * (10 - LIMIT)


async def test_the_limits_behind_the_proxy() -> None:
    """Both servers share the counts, and see the address that nginx saw."""
    units = ("chat-web@", "chat-daphne@")
    limits = {"CHAT_ATTEMPTS_OF_ADDRESS": "3", "CHAT_ATTEMPTS_SECONDS": ATTEMPTS_SECONDS}
    with proxied(units, variables=limits) as behind:
        told = await strangers_behind(behind)
    assert told == [WRONG] * 3 + [TOO_MANY] * 5 + [WRONG]


async def strangers_behind(site: Proxied) -> list[str]:
    told = []
    for number in range(4):
        claim = {"X-Forwarded-For": f"192.0.2.{number}"}
        told += await try_both(site, 1, f"victim-{number}", "a guess", **claim)
    return [*told, await try_socket(site, 2, "victim-9", "a guess")]
