"""Whether everybody can use the example site and the documentation, as far as axe finds out."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium_axe_python.axe import Axe

from processes import SECONDS
from served import ROOT, demo
from tabs import FeedTab, Tab, chromium, origin, show_on, sign_up, wait_for_element, wait_until

#: Width and height of the screen, and whether its colours are light or dark.
SCREENS = ((1200, 800, "light"), (1200, 800, "dark"), (320, 640, "light"))
VISITORS = ("/", "/accounts/log-in/", "/accounts/sign-up/", "/accounts/guest/")
MEMBERS = ("/", "/rooms/tea/", "/rooms/tea/plain/", "/feed/", "/parrot/", "/desk/")
#: A page of each kind: the first one, code, a table, many tables, and docstrings.
DOCUMENTS = (
    "index",
    "topics/presence",
    "topics/choosing-a-layer",
    "reference/tables",
    "reference/channels-layers-memory",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Chrome]:
    with chromium(folder / "profile") as driver:
        # axe looks at each part of a page.
        driver.set_script_timeout(SECONDS)
        yield driver


@pytest.fixture(scope="module")
def anna(folder: Path, browser: Chrome) -> Iterator[str]:
    """Serve the site, and return the address at which its first member is logged in."""
    with ExitStack() as ends:
        site = ends.enter_context(demo(folder, word_seconds=0))
        sign_up(browser, site, "Anna")
        tab = Tab.of(browser, site, "Anna")
        tab.say("Milk, anyone? See https://example.org/")
        tab.wait_for_text("example.org/")
        ben = Tab.of(browser, site, "Ben")
        ben.say("Please.")
        ben.wait_for_text("Please.")
        tab.show()
        yield origin(site, "Anna")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build some pages of the documentation."""
    target = tmp_path_factory.mktemp("pages")
    only = ",".join(f"{name}.md" for name in DOCUMENTS)
    command = [sys.executable, "-m", "sphinx", "-Q", "-b", "html", "-D", f"include_patterns={only}"]
    subprocess.run([*command, ROOT / "docs", target], check=True)
    return target


def problems(browser: Chrome) -> list[str]:
    """Return what axe finds on the page, and whether the page is too wide."""
    axe: Any = Axe(browser)
    axe.inject()
    found = []
    for width, height, scheme in SCREENS:
        show_on(browser, width, height, scheme)
        for violation in axe.run(options="{resultTypes: ['violations']}")["violations"]:
            for node in violation["nodes"]:
                what = f"{violation['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
                found.append(f"{width} {scheme} {what}")
        if int(browser.execute_script("return document.documentElement.scrollWidth")) > width:
            found.append(f"{width} the page is wider than the screen")
    return found


def headings_are_in_order(browser: Chrome) -> bool:
    """Return whether no heading is more than one level below the one before it."""
    levels = [
        int(str(heading.tag_name)[1])
        for heading in browser.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4, h5, h6")
    ]
    return levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("path", VISITORS)
def test_pages_for_visitors(browser: Chrome, anna: str, path: str) -> None:
    browser.get(anna.replace("anna", "visitor") + path)
    assert problems(browser) == []
    assert headings_are_in_order(browser)


@pytest.mark.parametrize("path", MEMBERS)
def test_pages_for_members(browser: Chrome, anna: str, path: str) -> None:
    browser.get(anna + path)
    assert problems(browser) == []
    assert headings_are_in_order(browser)


def test_the_menu_of_a_member(browser: Chrome, anna: str) -> None:
    browser.get(anna)
    browser.find_element(By.CSS_SELECTOR, ".menu summary").click()
    wait_for_element(browser, By.ID, "log-out")
    assert problems(browser) == []


def test_axe_finds_what_is_wrong(browser: Chrome, anna: str) -> None:
    browser.get(f"{anna}/accounts/sign-up/".replace("anna", "visitor"))
    browser.execute_script(
        "document.querySelector('label').remove(); document.body.style.minWidth = '2000px'"
    )
    found = problems(browser)
    assert [line for line in found if " label: " in line]
    assert len([line for line in found if "wider than the screen" in line]) == len(SCREENS)


def test_what_a_screen_reader_hears_of_a_room(browser: Chrome, anna: str) -> None:
    browser.get(f"{anna}/rooms/tea/")
    wait_until(browser, lambda page: len(page.find_elements(By.CSS_SELECTOR, "#log li")) == 2)
    [log] = browser.find_elements(By.CSS_SELECTOR, "main [role=log]")
    assert log.accessible_name == "Messages"
    assert [part.tag_name for part in log.find_elements(By.XPATH, "./*")] == ["ol"]
    assert browser.find_element(By.ID, "text").accessible_name == "Message"
    assert browser.find_element(By.ID, "state").aria_role == "status"
    for button in browser.find_elements(By.CSS_SELECTOR, "button"):
        assert not button.is_displayed() or button.accessible_name


def test_a_room_without_a_connection(browser: Chrome, anna: str) -> None:
    Tab.at(browser, f"{anna}/rooms/tea/")
    # As it looks in the states in which the server is not there.
    browser.execute_script(
        "channel.close();for (const id of arguments[0]) document.getElementById(id).hidden = false",
        ["lost", "ended", "disconnected", "problem"],
    )
    browser.find_element(By.ID, "text").send_keys("Later" + Keys.ENTER)
    wait_for_element(browser, By.CSS_SELECTOR, "#log .unsent")
    assert problems(browser) == []


def test_the_answer_of_the_parrot(browser: Chrome, anna: str) -> None:
    browser.get(f"{anna}/parrot/")
    browser.find_element(By.ID, "question").send_keys("Why?" + Keys.ENTER)
    wait_until(browser, lambda page: page.find_element(By.ID, "state").text == "Done")
    assert problems(browser) == []


def test_messages_in_the_feed(browser: Chrome, anna: str) -> None:
    feed = FeedTab.at(browser, f"{anna}/feed/")
    feed.wait_for_text("Please.")
    assert problems(browser) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_pages_of_the_documentation(browser: Chrome, pages: Path, name: str) -> None:
    browser.get((pages / f"{name}.html").as_uri())
    assert problems(browser) == []
    assert headings_are_in_order(browser)
