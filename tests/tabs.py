"""A real browser, and its tabs with pages of the example site."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from members import PASSWORD
from parts import find
from processes import SECONDS
from served import Served

__all__ = [
    "FeedTab",
    "Tab",
    "chromium",
    "log_out",
    "origin",
    "show_on",
    "sign_up",
    "submit",
    "wait_for_element",
    "wait_for_member",
    "wait_until",
    "width_on_a_narrow_screen",
]

FLAGS: Final = (
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

#: What Chromium's driver says if the page changes while it looks at an element.
PAGE_HAS_CHANGED: Final = (
    "stale element reference",
    "does not belong to the document",
    "aborted by navigation",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run a browser with an empty profile during the block."""
    options = ChromeOptions()
    options.binary_location = find(
        "chromium", "chromium-browser", "google-chrome", package="chromium"
    )
    service = Service(executable_path=find("chromedriver", package="chromium-driver"))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def wait_until(browser: Chrome, condition: Callable[[Chrome], object]) -> None:
    """Return when the condition is true of the current page."""

    def is_true(page: Chrome) -> object:
        # A click returns before the next page is loaded: the element may be one of the page before.
        try:
            return condition(page)
        except WebDriverException as error:
            if any(text in str(error) for text in PAGE_HAS_CHANGED):
                return False
            raise

    WebDriverWait(browser, SECONDS, 0.05).until(is_true)


def wait_for_element(browser: Chrome, by: str, value: str) -> WebElement:
    """Return an element as soon as it is visible."""
    wait_until(browser, lambda page: page.find_element(by, value).is_displayed())
    return browser.find_element(by, value)


def origin(site: Served, name: str) -> str:
    """Return the site's origin for one person.

    Each person has their own host name, and so their own cookies, as in a separate browser.
    """
    return f"http://{name.lower()}.localhost:{site.port}"


def submit(browser: Chrome, button: str, **fields: str) -> None:
    """Fill in a form, and press a button."""
    for name, text in fields.items():
        field = browser.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)
    browser.find_element(By.ID, button).click()


def sign_up(browser: Chrome, site: Served, name: str) -> None:
    """Sign up a new member."""
    browser.get(f"{origin(site, name)}/accounts/sign-up/")
    submit(browser, "sign-up", username=name, password1=PASSWORD, password2=PASSWORD)
    wait_for_member(browser, name)


def log_out(browser: Chrome, button: str = "log-out") -> None:
    """Press a button in the menu of the member."""
    browser.find_element(By.CSS_SELECTOR, ".menu summary").click()
    wait_for_element(browser, By.ID, button).click()


def wait_for_member(browser: Chrome, name: str) -> None:
    """Return when the page shows that this member is logged in."""
    wait_until(browser, lambda page: page.find_element(By.ID, "member").text == name)


class Tab:
    """A tab of the browser with a room."""

    path = "/rooms/{room}/"

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
        """Open a room for a member, who is signed up first if necessary."""
        tab = cls(browser)
        browser.get(origin(site, name))
        if not browser.find_elements(By.ID, "member"):
            sign_up(browser, site, name)
        browser.get(origin(site, name) + cls.path.format(room=room))
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

    def lose_connection(self) -> None:
        """Cut the connection, and do not reconnect before `reconnect`."""
        self.show().execute_script("channel.close()")

    def reconnect(self) -> None:
        self.show().execute_script("channel.connect()")

    def log_out(self, button: str = "log-out") -> None:
        log_out(self.show(), button)

    def wait_for_members(self, *names: str) -> None:
        here = f"Here: {', '.join(names)}"
        self.wait(lambda page: page.find_element(By.ID, "members").text == here)

    def wait_for_the_end(self) -> None:
        """Wait until the page shows the logout, and check that it does not reconnect."""
        self.wait(lambda page: page.find_element(By.ID, "ended").is_displayed())
        page = self.show()
        assert page.find_element(By.ID, "ended").text.startswith("You are logged out.")
        assert page.find_element(By.ID, "state").text == "Logged out"
        assert not page.find_element(By.ID, "account").is_displayed()
        self.check_the_end(page)

    def check_the_end(self, page: Chrome) -> None:
        assert not page.find_element(By.ID, "send").is_enabled()
        # It has no other WebSocket, and does not try to open one.
        assert page.execute_script("return channel.state") == "ended"

    def lines(self) -> list[str]:
        # As the page shows them, without the time of day, and only what has arrived. The first page
        # of the tutorial has no element for the text.
        script = """
            const part = (line, selector) => line.querySelector(selector)?.textContent;
            const lines = document.querySelectorAll("#log li:not(.loader, .unsent), #log .gap");
            return [...lines].map((line) =>
              [part(line, "strong"), part(line, ".text, .gap > span") ?? line.lastChild.textContent]
                .filter((text) => text).join(": "))
        """
        return [str(line) for line in self.show().execute_script(script)]

    def wait_for_text(self, text: str) -> None:
        """Wait until the server has sent a message that ends like this."""
        self.wait(lambda page: any(line.endswith(text) for line in self.lines()))

    def wait_for_lines(self, *expected: str) -> None:
        self.wait(lambda page: len(self.lines()) >= len(expected))
        assert self.lines() == list(expected)


class FeedTab(Tab):
    """A tab of the browser with the feed of all rooms."""

    path = "/feed/"

    def check_the_end(self, page: Chrome) -> None:
        assert page.execute_script("return source.readyState === EventSource.CLOSED")


def show_on(browser: Chrome, width: int, height: int, scheme: str, *, scale: int = 1) -> None:
    """Show the page on a screen of this size, with light or dark colours.

    Args:
        browser: The browser.
        width: The width of the screen, in pixels of the page.
        height: Its height.
        scheme: `light` or `dark`.
        scale: How many pixels of the screen one pixel of the page has.
    """
    screen = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    is_shown = (
        f"return matchMedia('(width: {width}px) and (prefers-color-scheme: {scheme})').matches"
    )
    wait_until(browser, lambda page: page.execute_script(is_shown))


def width_on_a_narrow_screen(browser: Chrome) -> int:
    """Return the width of the page on a small phone, whose screen is 320 pixels wide."""
    narrow = {"width": 320, "height": 568, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    return int(browser.execute_script("return document.documentElement.scrollWidth"))
