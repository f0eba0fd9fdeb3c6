"""The example site in a real browser."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from members import PASSWORD
from served import FIRST_SITE, Served, demo, uvicorn

# A net, for a machine under load.
SECONDS = 60

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find(*names: str) -> str:
    """Return the path of a program, or skip the test with how to get it."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed (Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = find("chromium", "chromium-browser", "google-chrome")
    service = Service(executable_path=find("chromedriver"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    with demo(tmp_path) as served:
        yield served


def wait_until(browser: Chrome, condition: Callable[[Chrome], object]) -> None:
    """Return when the condition holds, on whichever page the browser then has."""
    # A click returns before the page that it leads to is there.
    ignored = [StaleElementReferenceException]
    WebDriverWait(browser, SECONDS, 0.05, ignored_exceptions=ignored).until(condition)


def wait_for_element(browser: Chrome, by: str, value: str) -> WebElement:
    """Return the element as soon as the page has it and shows it."""
    wait_until(browser, lambda page: page.find_element(by, value).is_displayed())
    return browser.find_element(by, value)


def origin(site: Served, name: str) -> str:
    """Return the site's origin for one person.

    Each has a host name of their own, and so, as in a browser of their own, their own cookies.
    """
    return f"http://{name.lower()}.localhost:{site.port}"


def submit(browser: Chrome, button: str, **fields: str) -> None:
    """Fill in a form, and press one of the page's buttons."""
    for name, text in fields.items():
        field = browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)
    browser.find_element(By.ID, button).click()


def sign_up(browser: Chrome, site: Served, name: str) -> None:
    """Make a member of somebody."""
    browser.get(f"{origin(site, name)}/accounts/sign-up/")
    submit(browser, "sign-up", username=name, password1=PASSWORD, password2=PASSWORD)
    wait_for_member(browser, name)


def wait_for_member(browser: Chrome, name: str) -> None:
    """Return when the page says that it is this member who is logged in."""
    wait_until(browser, lambda page: page.find_element(By.ID, "member").text == name)


class Tab:
    """One tab of the browser, with a room in it."""

    def __init__(self, browser: Chrome) -> None:
        browser.switch_to.new_window("tab")
        self.browser = browser
        self.handle = browser.current_window_handle

    @classmethod
    def at(cls, browser: Chrome, address: str) -> Self:
        """Open the room with this address."""
        tab = cls(browser)
        browser.get(address)
        tab.wait_for_state("open")
        return tab

    @classmethod
    def of(cls, browser: Chrome, site: Served, name: str, room: str = "tea") -> Self:
        """Open a room for a member, or for somebody who becomes one."""
        tab = cls(browser)
        browser.get(origin(site, name))
        if browser.find_elements(By.ID, "log-in"):
            sign_up(browser, site, name)
        browser.get(f"{origin(site, name)}/rooms/{room}/")
        tab.wait_for_state("open")
        return tab

    def show(self) -> Chrome:
        self.browser.switch_to.window(self.handle)
        return self.browser

    def wait(self, condition: Callable[[Chrome], object]) -> None:
        wait_until(self.show(), condition)

    def reload(self) -> None:
        page = self.show()
        before = page.find_element(By.TAG_NAME, "body")
        page.refresh()
        self.wait(staleness_of(before))
        self.wait_for_state("open")

    def wait_for_state(self, state: str) -> None:
        self.wait(lambda page: page.find_element(By.ID, "state").get_attribute("class") == state)

    def say(self, text: str) -> None:
        page = self.show()
        page.find_element(By.ID, "text").send_keys(text)
        page.find_element(By.ID, "send").click()

    def wait_for_the_end(self) -> None:
        """Return when the page says that nobody is logged in any more, and has given up."""
        self.wait(lambda page: page.find_element(By.ID, "ended").is_displayed())
        page = self.show()
        assert page.find_element(By.ID, "ended").text.startswith("You are logged out.")
        assert page.find_element(By.ID, "state").text == "Logged out"
        assert not page.find_element(By.ID, "send").is_enabled()
        assert not page.find_element(By.ID, "account").is_displayed()
        # There is no other socket, and none is on its way.
        assert page.execute_script("return socket") is None

    def lines(self) -> list[str]:
        # As the page holds them, without the time of day.
        script = """
            return [...document.querySelectorAll("#log li")].map((line) =>
              line.querySelector("strong").textContent + ": " + line.lastChild.textContent)
        """
        return [str(line) for line in self.show().execute_script(script)]

    def wait_for_lines(self, *expected: str) -> None:
        self.wait(lambda page: len(self.lines()) >= len(expected))
        assert self.lines() == list(expected)


def test_two_tabs_see_each_others_messages(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    other = Tab.of(browser, site, "Anna", room="coffee")

    anna.say("Milk, anyone?")
    ben.wait_for_lines("Anna: Milk, anyone?")
    ben.say("Please.")
    for tab in (anna, ben):
        tab.wait_for_lines("Anna: Milk, anyone?", "Ben: Please.")
    assert other.lines() == []


def test_what_people_write_stays_text(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    attack = "<b>x</b><img src=x onerror='document.title = 1'></script>"

    anna.say(attack)

    for tab in (anna, ben):
        tab.wait_for_lines(f"Anna: {attack}")
        page = tab.show()
        assert page.find_elements(By.CSS_SELECTOR, "#log b, #log img") == []
        assert page.title == "tea - Chat"
    # The same out of the history.
    ben.reload()
    ben.wait_for_lines(f"Anna: {attack}")
    assert browser.find_elements(By.CSS_SELECTOR, "#log b, #log img") == []


def test_a_reloaded_page_is_back_in_the_room(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    anna.say("before")
    anna.wait_for_lines("Anna: before")

    anna.reload()

    ben.say("after")
    anna.wait_for_lines("Anna: before", "Ben: after")
    anna.say("back")
    ben.wait_for_lines("Anna: before", "Ben: after", "Anna: back")


def test_a_page_reconnects_when_the_server_is_back(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    anna.say("before")
    ben.wait_for_lines("Anna: before")

    assert site.stop() == 0
    for tab in (anna, ben):
        tab.wait(lambda page: not page.find_element(By.ID, "send").is_enabled())
    site.start()

    for tab in (anna, ben):
        tab.wait_for_state("open")
    ben.say("after")
    for tab in (anna, ben):
        tab.wait_for_lines("Anna: before", "Ben: after")


def test_the_index_leads_to_a_room_and_says_what_is_wrong(browser: Chrome, site: Served) -> None:
    sign_up(browser, site, "Anna")
    submit(browser, "enter", room="no spaces please")
    problem = wait_for_element(browser, By.ID, "problem")
    assert "starts with a letter" in problem.text
    submit(browser, "enter", room="tea")
    room = f"{origin(site, 'Anna')}/rooms/tea/"
    wait_until(browser, lambda page: page.current_url == room)


def test_a_narrow_screen_shows_the_whole_room(browser: Chrome, site: Served) -> None:
    name = "Anna" * 15
    anna = Tab.of(browser, site, name, room="a" * 50)
    assert width_on_a_narrow_screen(browser) <= 320
    anna.say("b" * 200)
    anna.wait_for_lines(f"{name}: {'b' * 200}")
    assert width_on_a_narrow_screen(browser) <= 320
    assert anna.show().find_element(By.ID, "send").is_displayed()


@pytest.mark.parametrize("path", ["/accounts/log-in/", "/accounts/sign-up/"])
def test_a_narrow_screen_shows_the_whole_form(browser: Chrome, site: Served, path: str) -> None:
    browser.get(site.origin + path)
    assert width_on_a_narrow_screen(browser) <= 320


def width_on_a_narrow_screen(browser: Chrome) -> int:
    narrow = {"width": 320, "height": 568, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


def test_a_refused_message_is_explained(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    anna.say("   ")
    anna.wait(lambda page: page.find_element(By.ID, "problem").is_displayed())
    assert anna.show().find_element(By.ID, "problem").text == "This field is required."
    assert anna.lines() == []


def test_a_visitor_signs_up_on_the_way_to_a_room(browser: Chrome, site: Served) -> None:
    room = f"{origin(site, 'Anna')}/rooms/tea/"
    browser.get(room)
    wait_for_element(browser, By.LINK_TEXT, "Sign up").click()
    wait_for_element(browser, By.ID, "sign-up")
    submit(browser, "sign-up", username="Anna", password1="123", password2="123")
    wait_until(browser, lambda page: "too short" in page.find_element(By.TAG_NAME, "form").text)
    submit(browser, "sign-up", username="Anna", password1=PASSWORD, password2=PASSWORD)
    wait_until(browser, lambda page: page.current_url == room)
    wait_for_member(browser, "Anna")


@pytest.mark.parametrize("button", ["log-out", "socket-log-out"])
def test_logging_out_in_one_tab_ends_the_others(browser: Chrome, site: Served, button: str) -> None:
    tea = Tab.of(browser, site, "Anna")
    coffee = Tab.of(browser, site, "Anna", room="coffee")
    leaving = Tab.of(browser, site, "Anna", room="coffee")
    ben = Tab.of(browser, site, "Ben")
    tea.say("Bye.")
    ben.wait_for_lines("Anna: Bye.")

    leaving.show().find_element(By.ID, button).click()

    for tab in (tea, coffee):
        tab.wait_for_the_end()
    assert tea.lines() == ["Anna: Bye."]
    leaving.wait(lambda page: page.find_element(By.ID, "log-in").is_displayed())
    ben.say("Still here.")
    ben.wait_for_lines("Anna: Bye.", "Ben: Still here.")

    # And back again, by the ordinary form.
    tea.show().find_element(By.LINK_TEXT, "Log in").click()
    wait_for_element(browser, By.ID, "log-in")
    submit(browser, "log-in", username="Anna", password=PASSWORD)
    tea.wait_for_state("open")
    tea.wait_for_lines("Anna: Bye.", "Ben: Still here.")


def test_a_member_logs_in_over_the_socket(browser: Chrome, site: Served) -> None:
    sign_up(browser, site, "Anna")
    before = browser.get_cookie("sessionid")
    browser.find_element(By.ID, "log-out").click()
    wait_for_element(browser, By.ID, "log-in")
    room = f"{origin(site, 'Anna')}/rooms/tea/"
    browser.get(room)
    wait_for_element(browser, By.ID, "socket-log-in")

    submit(browser, "socket-log-in", username="Anna", password="a guess")
    problem = wait_for_element(browser, By.ID, "problem")
    assert "correct username and password" in problem.text
    assert browser.get_cookie("sessionid") is None
    wait_until(browser, lambda page: page.find_element(By.ID, "socket-log-in").is_enabled())
    submit(browser, "socket-log-in", password=PASSWORD)

    wait_until(browser, lambda page: page.current_url == room)
    wait_for_member(browser, "Anna")
    after = browser.get_cookie("sessionid")
    assert before is not None
    assert after is not None
    assert after["value"] != before["value"]


def test_a_page_finds_out_that_the_login_is_gone(
    browser: Chrome, site: Served, tmp_path: Path
) -> None:
    anna = Tab.of(browser, site, "Anna")
    assert site.stop() == 0
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database, database:
        database.execute("DELETE FROM django_session")
    site.start()
    anna.wait_for_the_end()


def test_the_chat_of_the_first_page(browser: Chrome, tmp_path: Path) -> None:
    with uvicorn(tmp_path, FIRST_SITE) as first:
        anna, ben = (Tab.at(browser, f"{first.origin}/rooms/tea/") for _ in range(2))
        for tab, name in ((anna, "<i>Anna</i>"), (ben, "Ben")):
            tab.show().find_element(By.ID, "author").send_keys(name)
        anna.say("<b>Milk</b>, anyone?")
        for tab in (anna, ben):
            tab.wait_for_lines("<i>Anna</i>: <b>Milk</b>, anyone?")
            assert tab.show().find_elements(By.CSS_SELECTOR, "#log b, #log i") == []
        assert first.stop() == 0
        first.start()
        anna.reload()
        # The name was kept as well, for this tab alone.
        anna.say("Hello?")
        ben.wait_for_lines("<i>Anna</i>: <b>Milk</b>, anyone?", "<i>Anna</i>: Hello?")
