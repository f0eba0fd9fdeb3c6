"""The example site in several processes: Uvicorn, Daphne, a worker and Redis."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from parts import find
from processes import SECONDS, free_port
from redis_server import require_redis
from served import ROOT, SITE, Served, demo_redis, environment, one_of_several
from tabs import FeedTab, Tab, origin, wait_for_member

NO_WORKER = "No answer yet. Perhaps no worker is running."


@dataclass
class Site:
    """The processes of the site, and their environment."""

    folder: Path
    variables: dict[str, str]
    uvicorn: Served
    daphne: Served

    @property
    def remembers(self) -> bool:
        """Whether the layer keeps messages, and knows the members of groups."""
        return self.variables["CHANNEL_LAYER"] == "layers-redis"

    def manage(self, *arguments: str) -> str:
        """Run a command in a separate process, and return its output."""
        env = environment(self.folder / "db.sqlite3") | self.variables
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.check_output(command, cwd=SITE, env=env, text=True)


@pytest.fixture(scope="module", params=["layers-redis", "redis", "redis-pubsub"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as ends:
        url = ends.enter_context(require_redis())
        variables = {"CHANNEL_LAYER": request.param, "REDIS_URL": url}
        servers = [one_of_several(name, folder, **variables) for name in ("uvicorn", "daphne")]
        several = Site(folder, variables, *servers)
        several.manage("migrate", "--verbosity", "0")
        for process in (*servers, one_of_several("worker", folder, **variables)):
            ends.enter_context(process)
        if request.param == "redis-pubsub":
            # Messages that are published before the worker has subscribed are lost.
            with closing(Redis.from_url(url)) as client:
                # Types of a browser's driver, and of both colours of Redis.
                wait: Any = WebDriverWait
                wait(client, SECONDS, 0.05).until(is_subscribed)
        yield several


def is_subscribed(client: Any) -> bool:
    [(_, subscribers)] = client.pubsub_numsub("chat-stats")
    return bool(subscribers)


def ask(tab: Tab) -> str:
    """Request the statistics of a room, and return the answer."""
    tab.show().find_element(By.ID, "ask").click()
    tab.wait(lambda page: answer(tab) not in ("", "Counting", NO_WORKER))
    return answer(tab)


def answer(tab: Tab) -> str:
    return tab.show().find_element(By.ID, "stats").text


def test_messages_go_from_one_process_to_the_other(browser: Chrome, site: Site) -> None:
    anna = Tab.of(browser, site.uvicorn, "Anna")
    ben = Tab.of(browser, site.daphne, "Ben")
    feeds = [FeedTab.of(browser, served, "Ben") for served in (site.uvicorn, site.daphne)]

    anna.say("Milk, anyone?")
    ben.wait_for_lines("Anna: Milk, anyone?")
    ben.say("Please.")
    for tab in (anna, ben, *feeds):
        tab.wait_for_lines("Anna: Milk, anyone?", "Ben: Please.")
    if site.remembers:
        for tab in (anna, ben):
            tab.wait_for_members("Anna", "Ben")


def test_a_login_holds_at_both_and_so_does_a_logout(browser: Chrome, site: Site) -> None:
    here = Tab.of(browser, site.uvicorn, "Carla", room="logins")
    browser.get(origin(site.daphne, "Carla"))
    wait_for_member(browser, "Carla")
    there = Tab.of(browser, site.daphne, "Carla", room="logins")
    here = Tab.of(browser, site.uvicorn, "Carla", room="logins")

    there.log_out()

    here.wait_for_the_end()


def test_the_workers_result_reaches_the_member_who_asked(browser: Chrome, site: Site) -> None:
    dora = Tab.of(browser, site.uvicorn, "Dora", room="stats")
    emil = Tab.of(browser, site.daphne, "Emil", room="stats")
    dora.say("One two three.")
    emil.wait_for_lines("Dora: One two three.")

    assert ask(dora) == "Messages: 1. Words: 3. Most by: Dora (1)."
    assert answer(emil) == ""
    emil.say("Four.")
    dora.wait_for_lines("Dora: One two three.", "Emil: Four.")
    assert ask(emil) == "Messages: 2. Words: 4. Most by: Dora (1), Emil (1)."
    # Her login is still the earlier one.
    assert answer(dora) == "Messages: 1. Words: 3. Most by: Dora (1)."


def test_a_command_reaches_the_browsers_of_both(browser: Chrome, site: Site) -> None:
    frida = Tab.of(browser, site.uvicorn, "Frida", room="left")
    gerd = Tab.of(browser, site.daphne, "Gerd", room="right")

    printed = site.manage("announce", "<b>Tea</b> is ready", "--room", "right")
    assert printed == "Announced in room right.\n"
    gerd.wait_for_lines("Announcement: <b>Tea</b> is ready")
    assert site.manage("announce", "We close at ten") == "Announced in all rooms.\n"

    frida.wait_for_lines("Announcement: We close at ten")
    gerd.wait_for_lines("Announcement: <b>Tea</b> is ready", "Announcement: We close at ten")
    lines = gerd.show().find_elements(By.CSS_SELECTOR, "#log li.announcement")
    assert len(lines) == 2


def test_a_page_reconnects_to_a_process_that_restarts(browser: Chrome, site: Site) -> None:
    hanna = Tab.of(browser, site.uvicorn, "Hanna", room="restart")
    ivo = Tab.of(browser, site.daphne, "Ivo", room="restart")
    hanna.say("before")
    ivo.wait_for_lines("Hanna: before")

    # Uvicorn raises the signal again when it is ready to end.
    assert site.uvicorn.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    hanna.wait_for_state("closed")
    assert hanna.show().find_element(By.ID, "state").text == "Disconnected, reconnecting"
    ivo.say("meanwhile")
    ivo.wait_for_lines("Hanna: before", "Ivo: meanwhile")
    site.uvicorn.start()

    hanna.wait_for_state("open")
    assert hanna.show().find_element(By.ID, "state").text == "Connected"
    hanna.wait_for_lines("Hanna: before", "Ivo: meanwhile")
    hanna.say("after")
    for tab in (hanna, ivo):
        tab.wait_for_lines("Hanna: before", "Ivo: meanwhile", "Hanna: after")
    assert ask(hanna) == "Messages: 3. Words: 3. Most by: Hanna (2), Ivo (1)."


def test_a_page_that_was_away_gets_all_messages(browser: Chrome, site: Site) -> None:
    if not site.remembers:
        return  # a new connection sends the latest messages, as another test shows
    juri = Tab.of(browser, site.uvicorn, "Juri", room="away")
    kim = Tab.of(browser, site.daphne, "Kim", room="away")
    juri.say("before")
    juri.wait_for_lines("Juri: before")

    juri.lose_connection()
    # More than a new page gets from the database.
    texts = [f"Message {number}" for number in range(25)]
    for text in texts:
        kim.say(text)
    juri.reconnect()

    kim.say("after")
    juri.wait_for_lines("Juri: before", *[f"Kim: {text}" for text in texts], "Kim: after")


class TestDemo:
    """The program of `make demo-redis`."""

    @pytest.fixture(autouse=True)
    def redis(self) -> None:
        find("redis-server", package="redis-server")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_runs_two_servers_and_ends_in_order(
        self, browser: Chrome, tmp_path: Path, number: int
    ) -> None:
        with demo_redis(tmp_path) as first:
            second = f"http://anna.localhost:{first.port + 1}/rooms/tea/"
            anna = Tab.of(browser, first, "Anna")
            there = Tab.at(browser, second)
            anna.say("Milk, anyone?")
            there.wait_for_lines("Anna: Milk, anyone?")
            assert ask(there) == "Messages: 1. Words: 2. Most by: Anna (1)."

            told = "".join(first.output)
            assert f"http://127.0.0.1:{first.port}/ (Uvicorn)" in told
            assert f"http://127.0.0.1:{first.port + 1}/ (Daphne)" in told
            [command] = re.findall(r"^ +(cd .* announce .*)$", told, re.MULTILINE)
            subprocess.run(command, shell=True, check=True, env=environment(tmp_path / "unused"))
            there.wait_for_lines("Anna: Milk, anyone?", "Announcement: Tea is ready")

            assert first.stop(number) == 0
        told = "".join(first.output)
        assert "Traceback" not in told
        [worker] = re.findall(r"Worker stopped listening on .*", told)
        assert told.index("Finished server process") < told.index(worker)
        assert "ended by itself" not in told
        self.leaves_nobody(first, told)

    def leaves_nobody(self, served: Served, told: str) -> None:
        for port in (served.port, served.port + 1):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
        for address in re.findall(r"REDIS_URL=unix://(\S+)", told):
            assert not Path(address).parent.exists()

    @pytest.mark.parametrize("name", ["Uvicorn", "Redis"])
    def test_it_ends_when_one_process_ends(self, tmp_path: Path, name: str) -> None:
        with demo_redis(tmp_path) as served:
            told = "".join(served.output)
            if name == "Redis":
                [url] = re.findall(r"REDIS_URL=(\S+)", told)
                with closing(Redis.from_url(url)) as client:
                    client.shutdown(nosave=True)
            else:
                [process] = re.findall(r"Started server process \[(\d+)\]", told)
                os.kill(int(process), signal.SIGKILL)
            served.wait_for(f"{name} ended by itself, code ")
            rest, _ = served.process.communicate()
            assert served.process.returncode == 1
        if name == "Uvicorn":
            assert "Worker stopped listening on " in rest
        self.leaves_nobody(served, told)

    def test_a_missing_redis_is_explained(self, tmp_path: Path) -> None:
        result = run_demo(tmp_path, PATH="")
        assert result.returncode != 0
        assert "apt-get install redis-server" in result.stderr
        assert "REDIS_URL=redis://127.0.0.1:6379/0" in result.stderr

    @pytest.mark.parametrize(
        ("variables", "problem"),
        [
            ({"PORT": "65535"}, "at most 65534"),
            ({"PORT": "http"}, "from 1 to 65535"),
            ({"CHANNEL_LAYER": "memory"}, "layers-redis, redis, redis-pubsub here, not 'memory'"),
        ],
    )
    def test_wrong_settings_are_explained(
        self, tmp_path: Path, variables: dict[str, str], problem: str
    ) -> None:
        result = run_demo(tmp_path, **variables)
        assert result.returncode != 0
        [line] = result.stderr.splitlines()
        assert problem in line

    def test_a_second_port_in_use_is_explained(self, tmp_path: Path) -> None:
        # The demo takes this port, below those that the system hands out, and the next one.
        with socket.socket() as other:
            port = free_port() + 1
            other.bind(("127.0.0.1", port))
            other.listen()
            result = run_demo(tmp_path, PORT=str(port - 1))
        assert result.returncode != 0
        [line] = result.stderr.splitlines()
        assert f"Port {port} of 127.0.0.1 cannot be used" in line
        assert "make demo-redis PORT=" in line


def run_demo(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder / "db.sqlite3") | {"PORT": str(free_port())} | variables
    return subprocess.run(
        [sys.executable, "-m", "tools.demo_redis"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
