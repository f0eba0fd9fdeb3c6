"""The example site in a real browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from served import Served, demo

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


class Tab:
    """One tab of the browser, with a room in it."""

    def __init__(self, browser: Chrome, address: str, name: str) -> None:
        browser.switch_to.new_window("tab")
        self.browser = browser
        self.handle = browser.current_window_handle
        browser.get(address)
        self.wait_for_state("open")
        browser.find_element(By.ID, "author").send_keys(name)

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
    anna = Tab(browser, f"{site.origin}/rooms/tea/", "Anna")
    ben = Tab(browser, f"{site.origin}/rooms/tea/", "Ben")
    other = Tab(browser, f"{site.origin}/rooms/coffee/", "Carla")

    anna.say("Milk, anyone?")
    ben.wait_for_lines("Anna: Milk, anyone?")
    ben.say("Please.")
    for tab in (anna, ben):
        tab.wait_for_lines("Anna: Milk, anyone?", "Ben: Please.")
    assert other.lines() == []


def test_what_people_write_stays_text(browser: Chrome, site: Served) -> None:
    anna = Tab(browser, f"{site.origin}/rooms/tea/", "<i>Anna</i>")
    ben = Tab(browser, f"{site.origin}/rooms/tea/", "Ben")
    attack = "<b>x</b><img src=x onerror='document.title = 1'></script>"

    anna.say(attack)

    for tab in (anna, ben):
        tab.wait_for_lines(f"<i>Anna</i>: {attack}")
        page = tab.show()
        assert page.find_elements(By.CSS_SELECTOR, "#log b, #log i, #log img") == []
        assert page.title == "tea - Chat"
    # The same out of the history.
    ben.reload()
    ben.wait_for_lines(f"<i>Anna</i>: {attack}")
    assert browser.find_elements(By.CSS_SELECTOR, "#log b, #log i, #log img") == []


def test_a_reloaded_page_is_back_in_the_room(browser: Chrome, site: Served) -> None:
    anna = Tab(browser, f"{site.origin}/rooms/tea/", "Anna")
    ben = Tab(browser, f"{site.origin}/rooms/tea/", "Ben")
    anna.say("before")
    anna.wait_for_lines("Anna: before")

    anna.reload()

    ben.say("after")
    anna.wait_for_lines("Anna: before", "Ben: after")
    # It kept the name as well, for this tab alone.
    anna.say("back")
    ben.wait_for_lines("Anna: before", "Ben: after", "Anna: back")


def test_a_page_reconnects_when_the_server_is_back(browser: Chrome, site: Served) -> None:
    anna = Tab(browser, f"{site.origin}/rooms/tea/", "Anna")
    ben = Tab(browser, f"{site.origin}/rooms/tea/", "Ben")
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
    browser.get(site.origin)
    browser.find_element(By.ID, "room").send_keys("no spaces please")
    browser.find_element(By.TAG_NAME, "button").click()
    problem = wait_for_element(browser, By.ID, "problem")
    assert "starts with a letter" in problem.text
    field = browser.find_element(By.ID, "room")
    field.clear()
    field.send_keys("tea")
    browser.find_element(By.TAG_NAME, "button").click()
    wait_until(browser, lambda page: page.current_url == f"{site.origin}/rooms/tea/")


def test_a_narrow_screen_shows_the_whole_room(browser: Chrome, site: Served) -> None:
    narrow = {"width": 320, "height": 568, "deviceScaleFactor": 1, "mobile": True}
    anna = Tab(browser, f"{site.origin}/rooms/{'a' * 50}/", "Anna")
    anna.show().execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    anna.say("b" * 200)
    anna.wait_for_lines(f"Anna: {'b' * 200}")
    page = anna.show()
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320
    assert page.find_element(By.ID, "send").is_displayed()


def test_a_refused_message_is_explained(browser: Chrome, site: Served) -> None:
    anna = Tab(browser, f"{site.origin}/rooms/tea/", "Anna")
    anna.say("   ")
    anna.wait(lambda page: page.find_element(By.ID, "problem").is_displayed())
    assert anna.show().find_element(By.ID, "problem").text == "This field is required."
    assert anna.lines() == []
