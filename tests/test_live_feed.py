"""The example site's live feed, with the `EventSource` of a real browser."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from members import Member
from served import Served, demo, uvicorn
from tabs import FeedTab, Tab, width_on_a_narrow_screen

# Longer than any test, so that a stream ends only for the reason that the test is about.
LONG = 3600


@pytest.fixture(params=[demo, uvicorn])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Served]:
    def start(feed_seconds: float = LONG) -> Served:
        served: Served = request.param(tmp_path, feed_seconds=feed_seconds)
        return served

    return start


def test_the_feed_shows_what_is_said_in_all_rooms(
    browser: Chrome, serve: Callable[..., Served]
) -> None:
    attack = "<b>x</b><img src=x onerror='document.title = 1'></script>"
    with serve() as site:
        tea = Tab.of(browser, site, "Anna")
        tea.say("before")
        tea.wait_for_lines("Anna: before")
        feed = FeedTab.of(browser, site, "Ben")
        feed.wait_for_lines("Anna: before")
        coffee = Tab.of(browser, site, "Carla", room="coffee")

        tea.say(attack)
        feed.wait_for_lines("Anna: before", f"Anna: {attack}")
        coffee.say("Sugar?")
        feed.wait_for_lines("Anna: before", f"Anna: {attack}", "Carla: Sugar?")

        page = feed.show()
        assert page.find_elements(By.CSS_SELECTOR, "#log b, #log img") == []
        assert page.title == "Live feed - Chat"
        assert page.find_element(By.ID, "state").text == "Live"
        links = page.find_elements(By.CSS_SELECTOR, "#log a")
        assert [link.text for link in links] == ["tea", "tea", "coffee"]
        links[2].click()
        feed.wait_for_lines("Carla: Sugar?")


def test_the_server_notices_when_the_tab_closes(
    browser: Chrome, serve: Callable[..., Served]
) -> None:
    with serve() as site:
        feed = FeedTab.of(browser, site, "Ben")
        site.wait_for("Ben follows the feed")
        feed.show().close()
        # No message is sent, so the server cannot notice it by sending.
        site.wait_for("Ben no longer follows the feed")


def test_the_server_notices_when_the_visitor_opens_another_page(
    browser: Chrome, serve: Callable[..., Served]
) -> None:
    with serve() as site:
        feed = FeedTab.of(browser, site, "Ben")
        carla = Member(site, "Carla")
        carla.post("/rooms/tea/plain/", {"text": "before"})
        feed.wait_for_lines("Carla: before")
        page = feed.show()
        page.execute_script("window.isTheSame = true")
        page.find_element(By.LINK_TEXT, "Rooms").click()
        site.wait_for("Ben no longer follows the feed")
        carla.post("/rooms/tea/plain/", {"text": "meanwhile"})
        page.back()
        site.wait_for("Ben follows the feed, after message 1")
        feed.wait_for_state("open")
        feed.wait_for_lines("Carla: before", "Carla: meanwhile")
        # The browser had kept this page; it is not loaded again.
        assert page.execute_script("return window.isTheSame")


def test_the_page_gets_missed_messages_when_the_server_is_back(
    browser: Chrome, serve: Callable[..., Served], tmp_path: Path
) -> None:
    with serve() as site:
        feed = FeedTab.of(browser, site, "Ben")
        # Many messages, more than a new page would get.
        said = [f"Anna: {number}" for number in range(30)]
        write(tmp_path, "before")
        Member(site, "Carla").post("/rooms/tea/plain/", {"text": "there"})
        feed.wait_for_lines("Anna: before", "Carla: there")
        feed.show().execute_script("window.first = source")

        assert site.stop() == 0
        feed.wait_for_state("closed")
        assert feed.show().find_element(By.ID, "state").text == "Reconnecting"
        write(tmp_path, *map(str, range(30)))
        site.start()

        # The browser itself has reconnected, with the id of the last event.
        site.wait_for("Ben follows the feed, after message 2")
        feed.wait_for_state("open")
        feed.wait_for_lines("Anna: before", "Carla: there", *said)
        assert feed.show().execute_script("return window.first === source")
        Member(site, "Dora").post("/rooms/tea/plain/", {"text": "after"})
        feed.wait_for_lines("Anna: before", "Carla: there", *said, "Dora: after")


def test_the_page_misses_nothing_when_its_stream_ends(
    browser: Chrome, serve: Callable[..., Served]
) -> None:
    said: list[str] = []
    with serve(feed_seconds=0.2) as site:
        carla = Member(site, "Carla")
        feed = FeedTab.of(browser, site, "Ben")
        for number in range(4):
            # Whether or not the browser has reconnected by then.
            for text in (f"{number} first", f"{number} second"):
                carla.post("/rooms/tea/plain/", {"text": text})
                said.append(f"Carla: {text}")
            site.wait_for("Ben no longer follows the feed")
        feed.wait_for_lines(*said)

        # The login is checked each time.
        Tab.of(browser, site, "Ben").log_out()
        feed.wait_for_the_end()
        assert feed.lines() == said


def test_the_page_reconnects_if_the_browser_gives_up(
    browser: Chrome, serve: Callable[..., Served], tmp_path: Path
) -> None:
    with serve() as site:
        feed = FeedTab.of(browser, site, "Ben")
        Member(site, "Carla").post("/rooms/tea/plain/", {"text": "before"})
        feed.wait_for_lines("Carla: before")
        assert site.stop() == 0
        with bad_gateway(site.port) as has_refused:
            feed.wait_for_state("closed")
            feed.wait(lambda page: page.execute_script("return source.readyState === 2"))
            assert has_refused.is_set()
        write(tmp_path, "missed")
        site.start()
        site.wait_for("Ben follows the feed, after message 1")
        feed.wait_for_state("open")
        feed.wait_for_lines("Carla: before", "Anna: missed")


def test_a_room_without_a_script(browser: Chrome, tmp_path: Path) -> None:
    name = "Anna" * 15
    with demo(tmp_path) as site:
        feed = FeedTab.of(browser, site, name)
        feed.show()
        assert width_on_a_narrow_screen(browser) <= 320
        other = Tab.of(browser, site, name, room="a" * 50)
        plain = f"{other.show().current_url}plain/"
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.get(plain)
        other.say("b" * 200)
        other.wait(lambda page: page.find_elements(By.CSS_SELECTOR, "#log li"))
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        assert other.lines() == [f"{name}: {'b' * 200}"]
        assert width_on_a_narrow_screen(browser) <= 320
        feed.wait_for_lines(f"{name}: {'b' * 200}")
        assert width_on_a_narrow_screen(browser) <= 320


def write(folder: Path, *texts: str) -> None:
    """Store a message without any server noticing."""
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
        database.executemany(
            "INSERT INTO chat_message (room, author, text, sent_at)"
            " VALUES ('tea', 'Anna', ?, '2026-11-22 10:00:00')",
            [(text,) for text in texts],
        )


@contextmanager
def bad_gateway(port: int) -> Iterator[threading.Event]:
    """Respond like a proxy whose server is down; set the event after each response."""
    has_refused = threading.Event()

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(502)
            has_refused.set()

        def do_HEAD(self) -> None:
            self.send_error(502)

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield has_refused
        finally:
            server.shutdown()
            thread.join()
