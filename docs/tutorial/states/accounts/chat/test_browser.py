"""Tests of the pages in a real browser."""

from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


class BrowserTests(ChannelsLiveServerTestCase):
    # Another process would not see this process's test database.
    serve_in_thread = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        options = webdriver.ChromeOptions()
        options.add_argument("--headless")
        # Chromium needs this where tests run as root, in a container.
        options.add_argument("--no-sandbox")
        cls.browser = webdriver.Chrome(options)
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        """Give the browser the cookie of a member."""
        self.client.force_login(User.objects.create_user("Anna"))
        session = self.client.cookies["sessionid"].value
        self.browser.get(self.live_server_url)
        cookie = {"name": "sessionid", "value": session}
        self.browser.add_cookie(cookie)

    def open(self, path):
        """Open a page in a new window, and return the window."""
        self.browser.switch_to.new_window("window")
        self.browser.get(self.live_server_url + path)
        return self.browser.current_window_handle

    def find(self, name):
        return self.browser.find_element(By.ID, name)

    def wait_for(self, name, text):
        """Return when the element with this id contains the text."""
        wait = WebDriverWait(self.browser, timeout=10)
        wait.until(lambda browser: text in self.find(name).text)

    def say(self, text):
        self.wait_for("state", "Connected")
        self.find("text").send_keys(text)
        self.find("send").click()

    def test_a_message_appears_in_both_windows(self):
        first = self.open("/rooms/tea/")
        second = self.open("/rooms/tea/")
        self.say("<b>Milk</b>?")
        for window in (first, second):
            self.browser.switch_to.window(window)
            self.wait_for("log", "Anna <b>Milk</b>?")

    def test_a_later_visitor_sees_the_message(self):
        self.open("/rooms/coffee/")
        self.say("Sugar?")
        self.wait_for("log", "Sugar?")
        self.open("/rooms/coffee/")
        self.wait_for("log", "Sugar?")

    def test_a_logout_ends_the_other_windows(self):
        first = self.open("/rooms/tea/")
        self.wait_for("state", "Connected")
        self.open("/rooms/tea/")
        self.find("log-out").click()
        self.browser.switch_to.window(first)
        self.wait_for("enter", "Log in")
