"""Tests in a real browser, skipped if it is not installed: run `python manage.py test`."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import ClassVar
from unittest import SkipTest

from asgiref.sync import async_to_sync
from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from django.test import override_settings

from accounts.tests import PASSWORD, fast_passwords
from chat.models import Message
from chat.test_processes import new_layer, worker

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait
except ImportError:
    HAS_SELENIUM = False
else:
    HAS_SELENIUM = True

# A safety net, for a busy machine.
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

# What Chromium's driver says if the page changes while it looks at an element.
PAGE_HAS_CHANGED = (
    "stale element reference",
    "does not belong to the document",
    "aborted by navigation",
)


def require(found: str | bool | None, name: str) -> str:
    """Skip the tests because a program is missing, or fail if it is required."""
    if found:
        return str(found)
    reason = f"{name} is not installed"
    if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
        raise RuntimeError(reason)
    raise SkipTest(reason)


@fast_passwords
class BrowserTests(ChannelsLiveServerTestCase):
    """What members see who have the site open in windows of a browser.

    Each of them has a host name of their own, and so their own cookies.
    """

    # The test database is in the memory of this process.
    serve_in_thread = True
    allowed_host = ".localhost"

    browser: ClassVar["webdriver.Chrome"]

    @classmethod
    def setUpClass(cls) -> None:
        """Start the server, and a browser with an empty profile."""
        require(HAS_SELENIUM, "selenium")
        options = webdriver.ChromeOptions()
        programs = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        options.binary_location = require(next(filter(None, programs), None), "chromium")
        service = webdriver.ChromeService(require(shutil.which("chromedriver"), "chromedriver"))
        profile = cls.enterClassContext(tempfile.TemporaryDirectory())
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        super().setUpClass()
        cls.browser = webdriver.Chrome(options, service)
        cls.addClassCleanup(cls.browser.quit)

    def tearDown(self) -> None:
        """Close the windows that the test has opened."""
        first, *others = self.browser.window_handles
        for window in others:
            self.browser.switch_to.window(window)
            self.browser.close()
        self.browser.switch_to.window(first)

    def open(self, name: str, path: str) -> str:
        """Open a page in a new window, and return the window."""
        self.browser.switch_to.new_window("window")
        self.browser.get(self.live_server_url.replace("//", f"//{name.lower()}.") + path)
        return self.browser.current_window_handle

    def wait(self, condition: Callable[["webdriver.Chrome"], object]) -> None:
        """Return when the condition is true of the current page."""

        def is_true(page: "webdriver.Chrome") -> object:
            # The page may change while it is looked at.
            try:
                return condition(page)
            except WebDriverException as error:
                if any(text in str(error) for text in PAGE_HAS_CHANGED):
                    return False
                raise

        WebDriverWait(self.browser, SECONDS, 0.05).until(is_true)

    def press(self, button: str, **fields: str) -> None:
        """Fill in a form, and press a button."""
        for name, text in fields.items():
            self.browser.find_element(By.ID, name).send_keys(text)
        self.browser.find_element(By.ID, button).click()

    def wait_for_state(self, state: str) -> None:
        """Return when the page shows this state of its connection."""
        self.wait(lambda page: page.find_element(By.ID, "state").get_attribute("class") == state)

    def enter(self, name: str, path: str) -> str:
        """Open a page for a new member, who logs in first, and return the window."""
        User.objects.create_user(name, password=PASSWORD)
        window = self.open(name, path)
        self.press("log-in", id_username=name, id_password=PASSWORD)
        self.wait_for_state("open")
        return window

    def assert_lines(self, window: str, *expected: str) -> None:
        """Wait for the messages on a page, and check them."""
        self.browser.switch_to.window(window)
        script = """
            return [...document.querySelectorAll("#log .message:not(.unsent)")].map((line) =>
              line.querySelector("strong").textContent + ": "
                + line.querySelector(".text").textContent)
        """
        self.wait(lambda page: len(page.execute_script(script)) >= len(expected))
        self.assertEqual(self.browser.execute_script(script), list(expected))

    def test_two_members_write_to_each_other(self) -> None:
        """A message appears in both windows and in the feed."""
        anna, ben = self.enter("Anna", "/rooms/tea/"), self.enter("Ben", "/rooms/tea/")
        feed = self.open("Ben", "/feed/")
        self.wait_for_state("open")

        self.browser.switch_to.window(anna)
        self.press("send", text="<b>Milk</b>, anyone?")
        self.assert_lines(ben, "Anna: <b>Milk</b>, anyone?")
        self.press("send", text="Please.")
        for window in (anna, ben, feed):
            self.assert_lines(window, "Anna: <b>Milk</b>, anyone?", "Ben: Please.")
        self.assertEqual(Message.objects.count(), 2)

    def test_the_statistics_of_a_room(self) -> None:
        """A worker sends them; without a worker, the page says so after a while."""
        self.enterContext(new_layer())
        self.enterContext(override_settings(HAS_WORKER=True))
        self.enter("Anna", "/rooms/tea/")
        self.press("ask")
        self.wait(lambda page: "no worker" in page.find_element(By.ID, "stats").text)

        async def wait_for_a_worker() -> None:
            async with worker():
                await asyncio.to_thread(
                    self.wait, lambda page: "Messages: 0" in page.find_element(By.ID, "stats").text
                )

        async_to_sync(wait_for_a_worker)()

    def test_the_static_files_are_served(self) -> None:
        """The list of messages has the style of the style sheet."""
        self.enter("Anna", "/rooms/tea/")
        log = self.browser.find_element(By.ID, "messages")
        self.assertEqual(log.value_of_css_property("list-style-type"), "none")

    def test_a_member_logs_in_over_the_socket(self) -> None:
        """With the second button; the requested room comes next."""
        User.objects.create_user("Anna", password=PASSWORD)
        self.open("Anna", "/rooms/tea/")
        self.press("socket-log-in", id_username="Anna", id_password=PASSWORD)
        self.wait(lambda page: page.find_element(By.ID, "member").text == "Anna")
        self.wait_for_state("open")

    def test_a_logout_closes_all_rooms_of_the_member(self) -> None:
        """The other window shows it at once, and other members are not affected."""
        ben = self.enter("Ben", "/rooms/tea/")
        first = self.enter("Anna", "/rooms/tea/")
        self.open("Anna", "/rooms/coffee/")
        self.browser.find_element(By.CSS_SELECTOR, ".menu summary").click()
        self.press("log-out")
        self.browser.switch_to.window(first)
        self.wait(lambda page: page.find_element(By.ID, "ended").is_displayed())
        self.browser.switch_to.window(ben)
        self.press("send", text="Bye.")
        self.assert_lines(ben, "Ben: Bye.")
