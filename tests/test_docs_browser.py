"""The browser client of the documentation, in a real browser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import QueryDict
from django.urls import path
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from docs.snippets import resuming
from served import ROOT, SITE
from served_here import Here, files
from tabs import chromium, wait_until

SHOWN = ROOT / "docs" / "snippets" / "browser"
MODULE = SITE / "chat" / "static" / "chat" / "channel.js"

#: Notes what happens, and makes time pass at once: `waits` are the times until the next attempt.
NOTES = """
<script type="module">
  import {Channel} from "/static/chat/channel.js";
  window.make = (address, options) => {
    const channel = window.channel = new Channel(address, options);
    window.seen = [];
    for (const name of ["state", "countdown", "message"]) {
      channel.addEventListener(name, ({detail}) => seen.push([name, detail]));
    }
    channel.connect();
  };
  window.stopTheClock = () => {
    const wait = setTimeout;
    let now = 1e6;
    window.waits = [];
    Date.now = () => now;
    Math.random = () => 1;
    // A wait of more than an hour never ends.
    window.setTimeout = (run, delay) => {
      if (delay > 3.6e6) return;
      return wait(() => { waits.push(delay); now += delay; run(); });
    };
  };
  window.ready = true;
</script>
"""
OWN = """
<ol id="log"></ol>
<script>
  const show = ({text}) => document.getElementById("log").append(
    Object.assign(document.createElement("li"), {textContent: text}));
  const showLogin = () => { document.title = "log in"; };
</script>
<script src="/own.js"></script>
"""


class Desk(AsyncJsonWebsocketConsumer):
    """Do what the path says: `/desk/echo/`, `/desk/refuse/`, `/desk/close/4401/`."""

    visits: list[str] = []

    async def connect(self) -> None:
        asked = self.scope["url_route"]["kwargs"]
        self.visits.append(QueryDict(self.scope["query_string"]).get("after", ""))
        self.does = asked["does"]
        if self.does == "refuse":
            await self.close()
            return
        await self.accept()
        if self.does == "close":
            await self.close(asked["code"])

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if self.does == "echo":
            await self.send_json(content)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as driver:
        yield driver


@pytest.fixture
def site() -> Iterator[Here]:
    layer = InMemoryChannelLayer(history={"room.*": {"size": 200, "age": 600}})
    before = channel_layers.set("default", layer)
    Desk.visits = []
    pages = files(
        {
            "/": SHOWN / "room.html",
            "/own/": OWN,
            "/own.js": SHOWN / "own.js",
            "/notes/": NOTES,
            "/static/chat/channel.js": MODULE,
        }
    )
    sockets = URLRouter(
        [
            path("room/<slug:name>/", resuming.Room.as_asgi()),
            path("desk/<slug:does>/", Desk.as_asgi()),
            path("desk/<slug:does>/<int:code>/", Desk.as_asgi()),
        ]
    )
    with Here(ProtocolTypeRouter({"http": pages, "websocket": sockets})) as here:
        yield here
    channel_layers.set("default", before)


def say(text: str) -> None:
    layer = channel_layers["default"]
    async_to_sync(layer.group_send)("room.tea", {"type": "room.line", "text": text})


def wait_for_lines(page: Chrome, *lines: str) -> None:
    def shown() -> list[str]:
        return [line.text for line in page.find_elements(By.CSS_SELECTOR, "#log li")]

    wait_until(page, lambda _: len(shown()) >= len(lines))
    assert shown() == list(lines)


class TestPageWithTheModule:
    def state(self, page: Chrome) -> str:
        return page.find_element(By.ID, "state").text

    def test_what_is_written_arrives(self, chrome: Chrome, site: Here) -> None:
        chrome.get(site.origin)
        wait_until(chrome, lambda page: self.state(page) == "open")
        text = chrome.find_element(By.ID, "text")
        text.send_keys("hello\n")
        wait_for_lines(chrome, "hello")
        assert text.get_property("value") == ""

    def test_it_goes_on_where_it_was(self, chrome: Chrome, site: Here) -> None:
        chrome.get(site.origin)
        wait_until(chrome, lambda page: self.state(page) == "open")
        say("before")
        wait_for_lines(chrome, "before")
        site.stop()
        wait_until(chrome, lambda page: "Next attempt in" in self.state(page))
        text = chrome.find_element(By.ID, "text")
        text.send_keys("too early\n")
        assert text.get_property("value") == "too early"
        say("meanwhile")
        site.start()
        button = chrome.find_element(By.ID, "now")
        chrome.execute_script("arguments[0].click()", button)
        wait_for_lines(chrome, "before", "meanwhile")
        assert self.state(chrome) == "open"
        assert not button.is_displayed()
        say("after")
        wait_for_lines(chrome, "before", "meanwhile", "after")


class TestPageOfYourOwn:
    def test_it_goes_on_where_it_was(self, chrome: Chrome, site: Here) -> None:
        chrome.get(f"{site.origin}/own/")
        wait_until(chrome, lambda page: page.execute_script("return position === undefined"))
        say("before")  # kept by the layer until the page is in the room
        wait_until(chrome, lambda page: bool(self.say_and_look(page)))
        site.stop()
        wait_until(chrome, lambda page: page.execute_script("return failures > 0"))
        say("meanwhile")
        site.start()
        wait_until(chrome, lambda page: "meanwhile" in page.find_element(By.ID, "log").text)

    def say_and_look(self, page: Chrome) -> str:
        say("hello")
        return page.find_element(By.ID, "log").text


class TestModule:
    def make(
        self, page: Chrome, site: Here, address: str, *, clock: bool = False, **options: Any
    ) -> None:
        page.get(f"{site.origin}/notes/")
        wait_until(page, lambda _: page.execute_script("return window.ready"))
        if clock:
            page.execute_script("stopTheClock()")
        page.execute_script("make(...arguments)", address, options)

    def wait(self, page: Chrome, script: str) -> None:
        wait_until(page, lambda _: page.execute_script(f"return {script}"))

    def states(self, page: Chrome) -> list[str]:
        return [detail["state"] for name, detail in self.seen(page) if name == "state"]

    def seen(self, page: Chrome) -> list[Any]:
        return list(page.execute_script("return seen"))

    def test_messages_and_states(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/echo/")
        assert chrome.execute_script("return channel.send({early: 1})") in (True, False)
        self.wait(chrome, "channel.state === 'open'")
        assert chrome.execute_script("return channel.send({text: 'ü'})")
        self.wait(chrome, "seen.some(([name]) => name === 'message')")
        assert ["message", {"text": "ü"}] in self.seen(chrome)
        assert self.states(chrome) == ["connecting", "open"]

    def test_nothing_is_sent_without_a_connection(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/refuse/", shortest=1e9, longest=1e9)
        self.wait(chrome, "channel.state === 'waiting'")
        assert chrome.execute_script("return channel.send({text: 'x'})") is False

    def test_it_waits_longer_after_each_failure(self, chrome: Chrome, site: Here) -> None:
        options = {"shortest": 100, "longest": 500}
        self.make(chrome, site, "/desk/refuse/", clock=True, **options)
        self.wait(chrome, "waits.length > 4")
        assert chrome.execute_script("return waits")[:5] == [100, 200, 400, 500, 500]

    def test_all_pages_do_not_come_at_once(self, chrome: Chrome, site: Here) -> None:
        chrome.get(f"{site.origin}/notes/")
        self.wait(chrome, "window.ready")
        chrome.execute_script(
            "stopTheClock(); Math.random = () => 0; make(...arguments)",
            "/desk/refuse/",
            {"shortest": 100, "longest": 500},
        )
        self.wait(chrome, "waits.length > 4")
        assert chrome.execute_script("return waits")[:5] == [50, 100, 200, 250, 250]

    def test_a_server_that_accepts_and_fails_is_a_failure(self, chrome: Chrome, site: Here) -> None:
        options = {"shortest": 100, "steady": 1e9}
        self.make(chrome, site, "/desk/close/4000/", clock=True, **options)
        self.wait(chrome, "waits.length > 2")
        assert chrome.execute_script("return waits")[:3] == [100, 200, 400]

    def test_a_connection_that_held_is_no_failure(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/echo/", shortest=50, steady=0)
        # Two ends of the server, and a try in between.
        for _ in range(2):
            self.wait(chrome, "channel.state === 'open'")
            chrome.execute_async_script("setTimeout(arguments[0], 1)")
            site.stop()
            self.wait(chrome, "channel.state !== 'open'")
            [first, *_] = chrome.execute_script(
                "return seen.splice(0).filter(([name]) => name === 'countdown')"
            )
            assert first[1]["seconds"] == 1
            site.start()

    def test_the_countdown(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/refuse/", clock=True, shortest=3500, longest=3500)
        self.wait(chrome, "seen.filter(([name]) => name === 'countdown').length > 4")
        numbers = [detail["seconds"] for name, detail in self.seen(chrome) if name == "countdown"]
        assert numbers[:5] == [4, 3, 2, 1, 4]
        assert chrome.execute_script("return waits")[:4] == [500, 1000, 1000, 1000]

    @pytest.mark.parametrize("code", [4401, 4403, 4404])
    def test_some_codes_are_final(self, chrome: Chrome, site: Here, code: int) -> None:
        self.make(chrome, site, f"/desk/close/{code}/")
        self.wait(chrome, "channel.state === 'ended'")
        assert self.seen(chrome)[-1] == ["state", {"state": "ended", "code": code, "reason": ""}]
        # Nothing brings it back but the page's own script.
        chrome.execute_script("dispatchEvent(new Event('online'))")
        assert chrome.execute_script("return channel.state") == "ended"
        assert Desk.visits == [""]
        chrome.execute_script("channel.connect()")
        wait_until(chrome, lambda _: len(Desk.visits) == 2)

    @pytest.mark.parametrize("code", [1000, 4000, 4429, 4503])
    def test_other_codes_are_not(self, chrome: Chrome, site: Here, code: int) -> None:
        self.make(chrome, site, f"/desk/close/{code}/", shortest=1e9, longest=1e9)
        self.wait(chrome, "channel.state === 'waiting'")
        # Countdowns follow, one in each second.
        waits = [one for _, one in self.seen(chrome) if one.get("state") == "waiting"]
        assert [one["code"] for one in waits] == [code]

    def test_a_refused_handshake_that_is_final(self, chrome: Chrome, site: Here) -> None:
        chrome.get(f"{site.origin}/notes/")
        self.wait(chrome, "window.ready")
        script = "make('/desk/refuse/', {shortest: 1, isRefused: async () => asked++ > 0})"
        chrome.execute_script(f"let asked = 0; {script}")
        self.wait(chrome, "channel.state === 'ended'")
        assert self.states(chrome) == ["connecting", "waiting", "connecting", "ended"]

    def test_closing_has_the_last_word(self, chrome: Chrome, site: Here) -> None:
        chrome.get(f"{site.origin}/notes/")
        self.wait(chrome, "window.ready")
        chrome.execute_script(
            "make('/desk/refuse/', {isRefused: () => new Promise((go) => { window.go = go; })})"
        )
        self.wait(chrome, "Boolean(window.go)")
        chrome.execute_async_script("channel.close(); go(true); setTimeout(arguments[0])")
        assert self.states(chrome) == ["connecting", "closed"]
        chrome.execute_script("dispatchEvent(new Event('online'))")
        assert len(Desk.visits) == 1

    def test_the_network_is_back(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/refuse/", shortest=1e9, longest=1e9)
        for number in (1, 2, 3):
            self.wait(chrome, "channel.state === 'waiting'")
            assert len(Desk.visits) == number
            chrome.execute_script("dispatchEvent(new Event('online'))")

    @pytest.mark.parametrize(("does", "visits"), [("echo", 1), ("keep-silent", 2)])
    def test_a_connection_that_no_longer_works(
        self, chrome: Chrome, site: Here, does: str, visits: int
    ) -> None:
        self.make(chrome, site, f"/desk/{does}/", shortest=1, probe={"ask": "alive"}, patience=300)
        self.wait(chrome, "channel.state === 'open'")
        chrome.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        if visits == 1:
            self.wait(chrome, "seen.some(([name]) => name === 'message')")
            chrome.execute_async_script("setTimeout(arguments[0], 600)")
        else:
            self.wait(chrome, "seen.some(([, detail]) => detail.reason === 'no answer')")
            self.wait(chrome, "channel.state === 'open'")
        assert len(Desk.visits) == visits

    def test_the_position_of_a_page_that_shows_messages(self, chrome: Chrome, site: Here) -> None:
        self.make(chrome, site, "/desk/echo/?x=1", position="7-1 +", shortest=1)
        self.wait(chrome, "channel.state === 'open'")
        for sent, known in ((json.dumps({"position": 0}), 0), ('{"text": 1}', 0), ("null", 0)):
            chrome.execute_script(f"seen = []; channel.send({sent})")
            self.wait(chrome, "seen.length === 1")
            assert chrome.execute_script("return channel.position") == known
        chrome.execute_script("channel.close(); channel.connect()")
        wait_until(chrome, lambda _: len(Desk.visits) == 2)
        assert Desk.visits == ["7-1 +", "0"]


def test_the_page_names_every_option() -> None:
    text = (ROOT / "docs" / "topics" / "browser-client.md").read_text()
    options = set(re.findall(r"@param \{.*?\} \[?options\.(\w+)", MODULE.read_text()))
    assert len(options) > 8
    described = text.partition("## Options")[2].partition("## Writing")[0]
    assert options == set(re.findall(r"`(\w+)`", " ".join(re.findall(r"(?m)^`.*`$", described))))
