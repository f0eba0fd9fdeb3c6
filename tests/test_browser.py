"""The example site in a real browser."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from members import PASSWORD
from served import FIRST_SITE, Served, demo, uvicorn
from tabs import (
    Tab,
    log_out,
    origin,
    sign_up,
    submit,
    wait_for_element,
    wait_for_member,
    wait_until,
    width_on_a_narrow_screen,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    with demo(tmp_path) as served:
        yield served


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
        # In the meantime, it showed that there is something to read.
        tab.wait(lambda page: page.title == "tea - Chat")
    # The same messages, from the history.
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
        tab.wait_for_state("closed")
    site.start()

    for tab in (anna, ben):
        tab.wait_for_state("open")
    ben.say("after")
    for tab in (anna, ben):
        tab.wait_for_lines("Anna: before", "Ben: after")


def test_a_page_that_was_away_gets_all_messages(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    anna.say("before")
    anna.wait_for_lines("Anna: before")

    anna.lose_connection()
    # More than a new page gets from the database.
    texts = [f"Message {number}" for number in range(25)]
    for text in texts:
        ben.say(text)
    anna.reconnect()

    ben.say("after")
    anna.wait_for_lines("Anna: before", *[f"Ben: {text}" for text in texts], "Ben: after")


def test_a_page_shows_where_messages_are_missing(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    ben = Tab.of(browser, site, "Ben")
    anna.say("before")
    anna.wait_for_lines("Anna: before")

    anna.lose_connection()
    texts = [f"Message {number}" for number in range(25)]
    for text in texts:
        ben.say(text)
    ben.wait_for_lines("Anna: before", *[f"Ben: {text}" for text in texts])
    # The layer forgets what it has kept.
    assert site.stop() == 0
    site.start()
    ben.wait_for_state("open")
    anna.reconnect()

    latest = [f"Ben: {text}" for text in texts[-20:]]
    anna.wait_for_lines("Anna: before", "Some messages are missing here.", *latest)
    # The database has the others.
    anna.show().find_element(By.CSS_SELECTOR, ".gap button").click()
    everything = ["Anna: before", *[f"Ben: {text}" for text in texts]]
    anna.wait(lambda page: anna.lines() == everything)
    # Nothing is missing in a page that has been here.
    assert ben.lines() == ["Anna: before", *[f"Ben: {text}" for text in texts]]


def test_a_room_shows_who_is_here(browser: Chrome, site: Served) -> None:
    anna = Tab.of(browser, site, "Anna")
    anna.wait_for_members("Anna")
    ben = Tab.of(browser, site, "Ben")
    for tab in (anna, ben):
        tab.wait_for_members("Anna", "Ben")
    # For a page that is reloaded, nothing changes.
    anna.show().execute_script(
        "new MutationObserver(() => { document.title = 'changed'; })"
        ".observe(document.getElementById('members'), {childList: true})"
    )
    ben.reload()
    ben.wait_for_members("Anna", "Ben")
    assert anna.show().title == "tea - Chat"
    browser.switch_to.window(ben.handle)
    browser.close()
    anna.wait_for_members("Anna")


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

    leaving.log_out(button)

    for tab in (tea, coffee):
        tab.wait_for_the_end()
    assert tea.lines() == ["Anna: Bye."]
    leaving.show()
    wait_for_element(browser, By.LINK_TEXT, "Sign up")
    ben.say("Still here.")
    ben.wait_for_lines("Anna: Bye.", "Ben: Still here.")

    # Log in again, by the ordinary form.
    tea.show().find_element(By.LINK_TEXT, "Log in").click()
    wait_for_element(browser, By.ID, "log-in")
    submit(browser, "log-in", username="Anna", password=PASSWORD)
    tea.wait_for_state("open")
    tea.wait_for_lines("Anna: Bye.", "Ben: Still here.")


def test_a_member_logs_in_over_the_socket(browser: Chrome, site: Served) -> None:
    sign_up(browser, site, "Anna")
    before = browser.get_cookie("sessionid")
    log_out(browser)
    wait_for_element(browser, By.LINK_TEXT, "Sign up")
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
        # The tab has also kept the name.
        anna.say("Hello?")
        ben.wait_for_lines("<i>Anna</i>: <b>Milk</b>, anyone?", "<i>Anna</i>: Hello?")
