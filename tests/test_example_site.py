"""What the pages of the example site show beside messages, in a real browser."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from served import Served, demo
from tabs import (
    Tab,
    chromium,
    origin,
    sign_up,
    submit,
    wait_for_element,
    wait_for_member,
    wait_until,
)


class World:
    """A browser and a site that all tests of this module share; each has its own rooms."""

    def __init__(self, browser: Chrome, site: Served, folder: Path) -> None:
        self.browser = browser
        self.site = site
        self.folder = folder

    def tab(self, name: str, room: str) -> Tab:
        return Tab.of(self.browser, self.site, name, room)

    def write(self, room: str, *messages: tuple[str, str, str]) -> None:
        """Store messages, each with its author, its text and its day."""
        with closing(sqlite3.connect(self.folder / "db.sqlite3")) as database, database:
            database.executemany(
                "INSERT INTO chat_message (room, author, text, sent_at) VALUES (?, ?, ?, ?)",
                [(room, author, text, f"{day} 12:00:00") for author, text, day in messages],
            )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as ends:
        site = ends.enter_context(demo(folder, word_seconds=0.01))
        browser = ends.enter_context(chromium(folder / "profile"))
        # With DEBUG on, the first member is staff.
        sign_up(browser, site, "Staff")
        yield World(browser, site, folder)


def shown(page: Chrome, identifier: str) -> str:
    return page.find_element(By.ID, identifier).text


def test_a_guest_needs_only_a_name(world: World) -> None:
    browser, room = world.browser, f"{origin(world.site, 'guest')}/rooms/guests/"
    browser.get(room)
    wait_for_element(browser, By.LINK_TEXT, "Come in as a guest").click()
    wait_for_element(browser, By.ID, "guest")
    submit(browser, "guest", name="Zoe")
    wait_until(browser, lambda page: page.current_url == room)
    wait_for_member(browser, "Zoe (guest)")
    wait_until(browser, lambda page: shown(page, "members") == "Here: Zoe (guest)")


def test_a_message_that_is_written_without_a_connection_is_sent_later(world: World) -> None:
    anna, ben = world.tab("Anna", "later"), world.tab("Ben", "later")
    anna.lose_connection()
    anna.say("first")
    page = anna.show()
    unsent = page.find_element(By.CSS_SELECTOR, "#log .unsent")
    assert unsent.find_element(By.CLASS_NAME, "delivery").text == "Waiting"
    ben.say("second")
    ben.wait_for_lines("Ben: second")

    anna.reconnect()

    for tab in (anna, ben):
        tab.wait_for_lines("Ben: second", "Anna: first")
    own = anna.show().find_element(By.CSS_SELECTOR, "#log .mine .delivery")
    assert own.text == "Sent"


def test_a_message_that_seemed_lost_is_not_shown_twice(world: World) -> None:
    anna = world.tab("Anna", "twice")
    page = anna.show()
    # The server stores it, but its answer does not reach the page.
    page.execute_script(
        "channel.send = function (message) {"
        "  const sent = Object.getPrototypeOf(this).send.call(this, message);"
        "  if (message.text) { delete this.send; this.close(); }"
        "  return sent; }"
    )
    anna.say("Hello")
    anna.wait_for_state("closed")
    anna.reconnect()
    anna.wait_for_lines("Anna: Hello")
    anna.reload()
    anna.wait_for_lines("Anna: Hello")


def test_others_see_who_is_typing(world: World) -> None:
    anna, ben = world.tab("Anna", "typing"), world.tab("Ben", "typing")
    anna.show().find_element(By.ID, "text").send_keys("Mi")
    ben.wait(lambda page: shown(page, "typing") == "Anna is typing")
    assert shown(anna.show(), "typing") == ""
    anna.say("lk?")
    ben.wait_for_lines("Anna: Milk?")
    assert shown(ben.show(), "typing") == ""


def test_unread_messages_are_counted_in_the_list_and_in_the_title(world: World) -> None:
    uma, ben = world.tab("Uma", "unread"), world.tab("Ben", "unread")
    other = world.tab("Uma", "elsewhere")
    index = Tab(world.browser)
    world.browser.get(origin(world.site, "Uma"))
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, value: arguments[0]});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    uma.show().execute_script(hide, True)

    for text in ("one", "two"):
        ben.say(text)

    uma.wait(lambda page: page.title == "(2) unread - Chat")
    # A narrow window does not show the list beside the room.
    world.browser.set_window_size(1200, 800)
    count = '#rooms [data-room="unread"] .count'
    for tab in (other, index):
        tab.wait(lambda page: page.find_element(By.CSS_SELECTOR, count).text == "2")
    assert index.show().title == "(2) Chat"
    uma.show().execute_script(hide, False)
    uma.wait(lambda page: page.title == "unread - Chat")
    # The server has been told.
    index.wait(is_read_after_a_reload)


def is_read_after_a_reload(page: Chrome) -> bool:
    page.refresh()
    return not page.find_element(By.CSS_SELECTOR, '[data-room="unread"] .unread').is_displayed()


def test_earlier_messages_come_by_scrolling_back(world: World) -> None:
    texts = [f"Message {number}" for number in range(45)]
    world.write("past", *[("Ben", text, "2026-11-22") for text in texts])
    anna = world.tab("Anna", "past")
    everything = [f"Ben: {text}" for text in texts]
    anna.wait_for_lines(*everything[-20:])
    log = anna.show().find_element(By.ID, "log")
    for number in (40, 45):
        anna.show().execute_script("arguments[0].scrollTop = 0", log)
        anna.wait_for_lines(*everything[-number:])
        # The visitor still looks at the same messages.
        assert int(anna.show().execute_script("return arguments[0].scrollTop", log)) > 0
    assert anna.show().find_elements(By.CSS_SELECTOR, "#log .loader") == []


def test_days_authors_and_links_are_told_apart(world: World) -> None:
    world.write(
        "days",
        ("Ben", "Look: https://example.org/a?b=c#d.", "2026-11-21"),
        ("Ben", "javascript:alert(1) http://<b>", "2026-11-21"),
        ("Anna", "Thanks.", "2026-11-22"),
    )
    anna = world.tab("Anna", "days")
    anna.wait_for_lines(
        "Ben: Look: https://example.org/a?b=c#d.",
        "Ben: javascript:alert(1) http://<b>",
        "Anna: Thanks.",
    )
    page = anna.show()
    classes = [
        set(str(line.get_attribute("class")).split())
        for line in page.find_elements(By.CSS_SELECTOR, "#log li")
    ]
    assert classes == [
        {"message", "new-day"},
        {"message", "goes-on"},
        {"message", "mine", "new-day"},
    ]
    day = "return getComputedStyle(document.querySelector('#log .mine'), '::before').content"
    assert "22" in page.execute_script(day)
    [link] = page.find_elements(By.CSS_SELECTOR, "#log a")
    assert link.get_attribute("href") == "https://example.org/a?b=c#d"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"


def test_the_desk_speaks_to_all_and_disconnects_one(world: World) -> None:
    ben, carla = world.tab("Ben", "desk"), world.tab("Carla", "desk")
    ben.say("Hello")
    carla.wait_for_lines("Ben: Hello")
    browser = world.browser
    desk = Tab(browser)
    browser.get(origin(world.site, "Staff"))
    wait_for_element(browser, By.LINK_TEXT, "Desk").click()
    wait_for_element(browser, By.ID, "announce")
    submit(browser, "send", text="<b>Tea</b> is ready")
    for tab in (ben, carla):
        tab.wait_for_lines("Ben: Hello", "Announcement: <b>Tea</b> is ready")
    desk.show().find_element(By.XPATH, "//li[contains(., 'Ben')]//button").click()

    notice = (By.ID, "disconnected")
    ben.wait(lambda page: page.find_element(*notice).is_displayed())
    assert not ben.show().find_element(By.ID, "send").is_enabled()
    carla.say("Where is Ben?")
    ben.show().find_element(By.ID, "again").click()
    ben.wait_for_state("open")
    ben.wait_for_lines("Ben: Hello", "Announcement: <b>Tea</b> is ready", "Carla: Where is Ben?")
    assert not ben.show().find_element(*notice).is_displayed()
    # Other members see no link.
    assert ben.show().find_elements(By.LINK_TEXT, "Desk") == []


def test_the_parrot_answers_word_by_word(world: World) -> None:
    world.tab("Anna", "parrot")
    browser = world.browser
    browser.get(f"{origin(world.site, 'Anna')}/parrot/")
    question = browser.find_element(By.ID, "question")
    question.send_keys("What is a group?" + Keys.ENTER)
    wait_until(browser, lambda page: shown(page, "state") == "Done")
    answer = shown(browser, "answer")
    assert answer.startswith("What is a group? Good question.")
    assert len(answer.split()) > 20
    assert not browser.find_element(By.ID, "stop").is_displayed()


def test_a_room_is_used_by_keyboard_alone(world: World) -> None:
    anna = world.tab("Anna", "keys")
    page = anna.show()
    focused = "return document.activeElement.id || document.activeElement.textContent.trim()"
    assert page.execute_script(focused) == "text"
    page.switch_to.active_element.send_keys("Hello" + Keys.ENTER)
    anna.wait_for_lines("Anna: Hello")
    assert page.execute_script(focused) == "text"
    page.execute_script("document.body.tabIndex = -1; document.body.focus()")
    visited: list[str] = []
    while not visited or visited[-1] != "send":
        page.switch_to.active_element.send_keys(Keys.TAB)
        visited.append(page.execute_script(focused))
        assert page.switch_to.active_element.is_displayed()
    # A link to the content comes first, then the menu, the rooms, the messages and the form.
    assert visited[0] == "Skip to the content"
    order = [visited.index(stop) for stop in ("Rooms", "Logged in as Anna", "log", "text", "send")]
    assert order == sorted(order)


def test_a_lost_connection_is_shown_with_a_countdown(world: World) -> None:
    """The last test: it restarts the server."""
    anna = world.tab("Anna", "lost")
    assert world.site.stop() == 0
    anna.wait(lambda page: shown(page, "countdown").startswith("Next try in "))
    page = anna.show()
    assert page.find_element(By.ID, "lost").is_displayed()
    assert page.find_element(By.ID, "countdown").get_attribute("aria-hidden") == "true"
    world.site.start()
    # The browser may be trying just now.
    page.execute_script("document.getElementById('now').click()")
    anna.wait_for_state("open")
    assert not anna.show().find_element(By.ID, "lost").is_displayed()
