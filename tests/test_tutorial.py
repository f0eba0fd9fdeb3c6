"""The tutorial, typed in from its built pages, and looked at in a browser."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import django
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from parts import find
from reader import File, Other, Reader, Shell, steps
from served import ROOT
from tabs import wait_until
from tools.build import build
from tools.packages import PACKAGES
from tools.tutorial import ARCHIVES, AT_END, PAGES, files, is_ignored, show

# Much of it waits, for programs that start. This is a safety net, for a machine under load.
pytestmark = pytest.mark.timeout(900)

DOCS = ROOT / "docs"
RUNSERVER = "python manage.py runserver"
READY = "Starting ASGI/Channels ... server at http://127.0.0.1:8000/"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pages of the tutorial alone, which takes some seconds."""
    target = tmp_path_factory.mktemp("pages")
    only = "include_patterns=tutorial/*.md"
    command = [sys.executable, "-m", "sphinx", "-Q", "-b", "html", "-D", only]
    subprocess.run([*command, "-D", "master_doc=tutorial/first-message", DOCS, target], check=True)
    return target / "tutorial"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build our wheels, and write down which versions of third-party packages are tested."""
    wheels = tmp_path_factory.mktemp("wheels")
    series = ".".join(map(str, django.VERSION[:2]))
    pinned = (ROOT / "constraints" / f"django-{series}.txt").read_text()
    lines = re.findall(r"(?m)^([^\s#][^\\\n]*?)(?: \\)?$", pinned)
    for package in PACKAGES:
        build(package, wheels)
        lines.append(f"{package.name}=={package.pyproject()['project']['version']}")
    (wheels / "pins.txt").write_text("\n".join(lines))
    return wheels


@pytest.fixture(scope="module")
def reader(pages: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    find("chromium", "google-chrome", package="chromium")
    find("chromedriver", package="chromium-driver")
    find("redis-server", package="redis-server")
    reader = Reader(tmp_path_factory.mktemp("site"), pages, wheels)
    yield reader
    reader.stop_all()


class Look:
    """What the reader sees in a browser.

    Attributes:
        checks: How often the reader has looked for something, over all pages.
    """

    checks = 0

    def __init__(self, browser: Chrome, reader: Reader) -> None:
        self.browser = browser
        self.reader = reader

    def open(self, path: str, port: int = 8000) -> str:
        """Open an address in a new window, and return the window."""
        self.browser.switch_to.new_window("window")
        self.browser.get(self.reader.address(port) + path)
        return self.browser.current_window_handle

    def go_to(self, window: str) -> None:
        self.browser.switch_to.window(window)

    def text(self, name: str) -> str:
        return self.browser.find_element(By.ID, name).text

    def until(self, condition: Callable[[], object]) -> None:
        Look.checks += 1
        wait_until(self.browser, lambda _: condition())

    def see(self, name: str, text: str) -> None:
        """Return when the element with this id contains the text."""
        self.until(lambda: text in self.text(name))

    def see_everywhere(self, windows: tuple[str, ...], name: str, text: str) -> None:
        for window in windows:
            self.go_to(window)
            self.see(name, text)

    def see_lines(self, *expected: str) -> None:
        """Return when the list of messages has exactly these lines at its end."""
        self.until(lambda: self.text("log").splitlines()[-len(expected) :] == [*expected])

    def press(self, label: str) -> None:
        path = f"//button[normalize-space()='{label}']"
        self.browser.find_element(By.XPATH, path).click()

    def fill(self, **fields: str) -> None:
        for name, text in fields.items():
            self.browser.find_element(By.ID, name).send_keys(text)

    def say(self, text: str) -> None:
        self.see("state", "Connected")
        self.fill(text=text)
        self.press("Send")

    def sign_up(self, name: str) -> None:
        self.browser.get(f"{self.reader.address()}/accounts/sign-up/")
        secret = "correct horse battery"
        self.fill(id_username=name, id_password1=secret, id_password2=secret)
        self.press("Sign up")
        self.see("member", name)


def look_at_first_message(look: Look) -> None:
    windows = look.open("/"), look.open("/")
    look.until(lambda: look.browser.execute_script("return socket.readyState") == 1)
    look.fill(text="<b>Hello</b>")
    look.press("Send")
    look.see_everywhere(windows, "log", "<b>Hello</b>")


def look_at_first_chat(look: Look) -> None:
    windows = look.open("/"), look.open("/")
    for window in windows:
        look.go_to(window)
        look.fill(id_room="tea")
        look.press("Enter")
        look.see("state", "Connected")
    look.fill(author="Ben")
    look.say("Milk?")
    look.see_everywhere(windows, "log", "Ben Milk?")
    look.reader.stop(RUNSERVER)
    look.see_everywhere(windows, "state", "Disconnected, reconnecting")
    look.reader.start(RUNSERVER, READY)
    look.see_everywhere(windows, "state", "Connected")
    look.say("Sugar?")
    look.see_everywhere(windows, "log", "Ben Milk?\nBen Sugar?")


def look_at_sync_and_async(look: Look) -> None:
    look.open("/where/")

    def press(*labels: str) -> list[str]:
        """Press buttons, and return the answers in the order in which they have come."""
        before = len(look.text("log").splitlines())
        for label in labels:
            look.press(label)
        look.until(lambda: len(look.text("log").splitlines()) == before + len(labels))
        return look.text("log").splitlines()[before:]

    [quick] = press("async, quick")
    assert quick.endswith("async, quick ran in django-main-thread")
    [quick] = press("sync, quick")
    assert re.search(r"sync, quick ran in channels-sync_\d+$", quick)
    # A thread of the pool does not hold up others, and two of them run at the same time.
    quick, *slow = press("sync, slow", "sync, slow", "async, quick")
    assert quick.endswith("async, quick ran in django-main-thread")
    assert len({line.partition("ran in ")[2] for line in slow}) == 2
    quick, first, second = press("async, in a thread", "async, in a thread", "sync, quick")
    assert "sync, quick" in quick
    assert first.endswith("ran in ThreadPoolExecutor-0_0")
    assert second.endswith("ran in ThreadPoolExecutor-0_0")
    assert float(second.split()[0]) >= 3
    # A handler that blocks the event loop holds up all.
    blocking, late = press("async, blocking", "sync, quick")
    assert blocking.endswith("async, blocking ran in django-main-thread")
    assert "sync, quick" in late


def look_at_testing(look: Look) -> None:
    look.open("/rooms/tea/")
    look.see("log", "Ben Sugar?")


def look_at_accounts(look: Look) -> None:
    look.open("/rooms/tea/")
    look.see("enter", "Log in")
    look.sign_up("Anna")
    windows = look.open("/rooms/tea/"), look.open("/rooms/tea/")
    look.say("Milk?")
    look.see_everywhere(windows, "log", "Anna Milk?")
    look.press("Log out")
    look.see_everywhere(windows, "enter", "Log in")


def look_at_live_feed(look: Look) -> None:
    look.sign_up("Ben")
    feed = look.open("/feed/")
    look.see("state", "Connected")
    room = look.open("/rooms/coffee/")
    look.say("one")
    look.go_to(feed)
    look.see_lines("coffee, Ben: one")
    look.reader.stop(RUNSERVER)
    look.see("state", "Reconnecting")
    look.reader.start(RUNSERVER, READY)
    look.go_to(room)
    look.say("two")
    look.go_to(feed)
    look.see_lines("coffee, Ben: one", "coffee, Ben: two")


def look_at_background_work(look: Look) -> None:
    worker = "python manage.py runworker chat-stats"
    look.sign_up("Carla")
    look.open("/rooms/water/")
    look.say("with or without gas")
    look.press("Count words")
    look.see("stats", "Words: Carla: 4")
    # A job waits for a worker.
    look.reader.stop(worker)
    look.press("Count words")
    look.see("stats", "The worker has not answered yet.")
    look.reader.start(worker, "Worker listens on chat-stats ...")
    look.see("stats", "Words: Carla: 4")


def look_at_several_processes(look: Look) -> None:
    second = "python manage.py runserver 8001"
    look.sign_up("Dora")
    windows = look.open("/rooms/juice/"), look.open("/rooms/juice/", port=8001)
    look.see("member", "Dora")
    look.say("before")
    look.see_everywhere(windows, "log", "Dora before")
    look.reader.stop(second)
    look.see("state", "Disconnected")
    # More than the last twenty, which a new page gets.
    missed = [f"Dora {number}" for number in range(25)]
    look.go_to(windows[0])
    for line in missed:
        look.say(line.removeprefix("Dora "))
        look.see_lines(line)
    look.reader.start(second, READY.replace("8000", "8001"))
    look.go_to(windows[1])
    look.see_lines("Dora before", *missed)
    look.reader.run('python manage.py announce "We close at ten."', "Announced.")
    look.see_everywhere(windows, "log", "We close at ten.")


LOOKS: dict[str, Callable[[Look], None]] = {
    "first-message": look_at_first_message,
    "first-chat": look_at_first_chat,
    "sync-and-async": look_at_sync_and_async,
    "testing": look_at_testing,
    "accounts": look_at_accounts,
    "live-feed": look_at_live_feed,
    "background-work": look_at_background_work,
    "several-processes": look_at_several_processes,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_can_be_typed_in(
    page: str, reader: Reader, browser: Chrome, record_property: Callable[[str, object], None]
) -> None:
    before = reader.commands, reader.files, reader.lines, Look.checks
    reader.type_in(page)
    assert written(reader.folder) == archived(page)
    LOOKS[page](Look(browser, reader))
    after = reader.commands, reader.files, reader.lines, Look.checks
    for name, one, other in zip(
        ("commands", "files", "lines", "looks"), before, after, strict=True
    ):
        record_property(name, other - one)


def written(site: Path) -> dict[str, str]:
    """Return the reader's files by name, without what differs each time."""
    return {
        path.relative_to(site).as_posix(): comparable(path.name, path.read_text())
        for path in site.rglob("*.*")
        if path.is_file() and path.suffix in {".py", ".html"} and ".venv" not in path.parts
    }


def archived(page: str) -> dict[str, str]:
    with zipfile.ZipFile(ARCHIVES / f"{page}.zip") as archive:
        return {name: comparable(name, archive.read(name).decode()) for name in archive.namelist()}


def comparable(name: str, text: str) -> str:
    # The key is random. A migration has the time in a comment, and is formatted by Django.
    text = re.sub(r"(?m)^SECRET_KEY = .*$", "", text)
    return "" if re.match(r".*\d{4}_", name) else text


class TestPages:
    """What the built pages look like."""

    def test_the_first_page_has_forty_lines(self, reader: Reader) -> None:
        texts = [step.text for step in reader.steps(PAGES[0]) if isinstance(step, File)]
        assert len([line for text in texts for line in text.splitlines() if line.strip()]) == 40

    @pytest.mark.parametrize("page", PAGES)
    def test_it_shows_all_its_files_and_nothing_else(self, page: str, reader: Reader) -> None:
        found = reader.steps(page)
        shown = [step.name for step in found if isinstance(step, File)]
        assert sorted(shown) == sorted(show(name) for name in files(page) if not is_ignored(name))
        assert [step for step in found if isinstance(step, Other)] == []

    def test_lines_without_a_mark_are_those_of_an_earlier_page(self, reader: Reader) -> None:
        seen: dict[str, set[str]] = {}
        marks = 0
        for page in PAGES:
            for step in reader.steps(page):
                if isinstance(step, File) and not step.name.startswith(AT_END):
                    lines = set(step.text.splitlines())
                    if step.marked:
                        assert lines - {*step.marked} <= seen[step.name]
                        marks += 1
                    seen[step.name] = lines
        assert marks > 10

    @pytest.mark.parametrize("page", PAGES)
    def test_it_ends_with_the_site_running(self, page: str, reader: Reader) -> None:
        commands = [
            command.text
            for step in reader.steps(page)
            if isinstance(step, Shell)
            for command in step.commands
        ]
        assert RUNSERVER in commands
        text = (DOCS / "tutorial" / f"{page}.md").read_text()
        assert f"<archives/{page}.zip>" in text

    @pytest.mark.parametrize("page", PAGES)
    def test_its_code_is_narrow_and_free_of_notes_for_tools(self, page: str, pages: Path) -> None:
        text = (pages / f"{page}.html").read_text()
        assert len(re.findall(r"<pre>", text)) > 1
        for step in steps(text):
            lines = (
                step.text.splitlines()
                if not isinstance(step, Shell)
                else [line for each in step.commands for line in (f"$ {each.text}", *each.output)]
            )
            assert [line for line in lines if len(line) > 72] == []
            assert not re.search(r"noqa|type: ignore|pragma|__all__|mypy", "\n".join(lines))
