"""Make the pictures in docs/screenshots: a room of the example site, and pages of these docs.

`make screenshots` builds the documentation first. The browser is Chromium.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from selenium.webdriver import Chrome

from served import demo
from tabs import Tab, chromium, show_on
from tools.packages import ROOT

__all__ = ["main"]

PICTURES: Final = ROOT / "docs" / "screenshots"
PAGES: Final = ROOT / "docs" / "_build" / "html"
#: Width and height, and how many pixels of the picture one of the page has.
DESKTOP: Final = (1200, 760, 1)
PHONE: Final = (390, 760, 2)

YESTERDAY: Final = (
    ("release", "Ben", "The wheels are built."),
    ("garden", "Carla", "Who waters the tomatoes?"),
    ("garden", "Ben", "Me, on Tuesday."),
    ("tea", "Carla", "Tomorrow at four, as always?"),
    ("tea", "Anna", "As always."),
    ("tea", "Ben", "I bring the cake."),
)
TODAY: Final = (
    ("Ben", "Tea is ready. The kettle has a WebSocket now: https://www.rfc-editor.org/rfc/rfc2324"),
    ("Carla", "On my way. My train is in a tunnel, but the page goes on where it was."),
    ("Anna", "Milk, anyone?"),
    ("Ben", "Please."),
    ("Ben", "And two biscuits."),
    ("Anna", "They are on the table."),
)


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium(Path(name) / "profile") as browser:
        # Wide enough for the list of rooms.
        browser.set_window_size(*DESKTOP[:2])
        with conversation(Path(name), browser):
            for scheme in ("light", "dark"):
                take(browser, f"room-desktop-{scheme}", DESKTOP, scheme)
                take(browser, f"room-phone-{scheme}", PHONE, scheme)
        for page, path in (("front", "index.html"), ("topic", "topics/presence.html")):
            browser.get((PAGES / path).as_uri())
            take(browser, f"docs-{page}-desktop", DESKTOP, "light")
            take(browser, f"docs-{page}-phone", PHONE, "light")


@contextmanager
def conversation(folder: Path, browser: Chrome) -> Iterator[None]:
    """Show a room in which three people talk, as one of them sees it."""
    with demo(folder) as site:
        store(folder / "db.sqlite3")
        tabs = {name: Tab.of(browser, site, name) for name in ("Anna", "Ben", "Carla")}
        for author, text in TODAY:
            tabs[author].say(text)
            tabs[author].wait_for_text(text)
        for room, text in (("garden", "Rain!"), ("garden", "At last."), ("release", "It is out.")):
            Tab.of(browser, site, "Ben", room).say(text)
        anna = tabs["Anna"]
        anna.wait(lambda page: "2" in page.find_element("css selector", "#rooms").text)
        anna.wait_for_members("Anna", "Ben", "Carla")
        tabs["Carla"].show().find_element("id", "text").send_keys("Are there any with ginger?")
        anna.wait(lambda page: page.find_element("id", "typing").text)
        yield


def store(database: Path) -> None:
    """Store what was said yesterday, and that Anna has been in these rooms."""
    start = datetime.now(UTC).replace(hour=15, minute=58, second=0, microsecond=0) - timedelta(
        days=1
    )
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO chat_message (room, author, text, sent_at) VALUES (?, ?, ?, ?)",
            [
                (room, author, text, f"{start + timedelta(minutes=number):%Y-%m-%d %H:%M:%S}")
                for number, (room, author, text) in enumerate(YESTERDAY)
            ],
        )


def take(browser: Chrome, name: str, size: tuple[int, int, int], scheme: str) -> None:
    """Store a picture of the page, on a screen of this size and with light or dark colours."""
    width, height, scale = size
    show_on(browser, width, height, scheme, scale=scale)
    taken = BytesIO(browser.get_screenshot_as_png())
    # Pages have few colours. With 128 of them, a file has a third of its size.
    with Image.open(taken).convert("RGB").quantize(128, dither=Image.Dither.NONE) as picture:
        picture.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
