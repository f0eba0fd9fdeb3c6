"""The tutorial: its pages, the files that they show, and the site that a reader has after each.

The folder of a page in docs/tutorial/states holds the files that the page writes. What a page does
not write stays as earlier pages left it. A file that ends with `.end` is added to the end of the
reader's file; all others replace it. The first chat is in examples/first_chat, as a whole site.

As an extension of Sphinx, this module adds the directive `file`, which shows a file of the page and
marks the changed lines. And it packs the reader's site after each page into an archive.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, ClassVar, Final

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude

from tools.packages import ROOT

__all__ = [
    "AT_END",
    "PAGES",
    "SiteFile",
    "changed_lines",
    "files",
    "is_ignored",
    "make_site",
    "pack",
    "setup",
    "show",
    "write",
]

DOCS: Final = ROOT / "docs"
ARCHIVES: Final = DOCS / "tutorial" / "archives"
FIRST_CHAT: Final = ROOT / "examples" / "first_chat"
#: In the order in which a reader types them in.
PAGES: Final = (
    "first-message",
    "first-chat",
    "sync-and-async",
    "testing",
    "accounts",
    "live-feed",
    "background-work",
    "several-processes",
)
#: Put before the name of a file to which a page adds lines.
AT_END: Final = "at the end of "
LANGUAGES: Final = {".py": "python", ".end": "python", ".html": "html+django"}
#: What Django's commands write, apart from migrations.
_GIVEN: Final = {"__init__.py", "manage.py"}
_SECRET: Final = re.compile(r"^SECRET_KEY = .*$", re.MULTILINE)


def files(page: str) -> dict[str, Path]:
    """Return the files that a page writes: where they are here, by their names for the reader."""
    folder = DOCS / "tutorial" / "states" / page
    if page == "first-chat":
        folder = FIRST_CHAT
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in LANGUAGES and path.name not in _GIVEN
    }
    if page == "first-chat":
        # The reader's settings are those of `startproject` and what the first page adds to them.
        del found["chatsite/settings.py"]
    return found


def is_ignored(name: str) -> bool:
    """Return whether a file is not typed in: a command of the page writes it."""
    return "/migrations/" in name


def before(page: str, name: str) -> str | None:
    """Return a file as the earlier pages left it, or None if they did not write it."""
    found = None
    for earlier in PAGES[: PAGES.index(page)]:
        if name in (written := files(earlier)):
            found = written[name].read_text()
    return found


def changed_lines(page: str, name: str) -> list[int]:
    """Return the numbers of the lines of a file that an earlier page did not write.

    It is empty for a file that is new as a whole, or nearly.
    """
    new, old = files(page)[name].read_text(), before(page, name)
    if old is None or name.endswith(".end"):
        return []
    matcher = SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    if matcher.ratio() < 0.5:
        return []
    return [
        number + 1
        for kind, _, _, start, end in matcher.get_opcodes()
        if kind != "equal"
        for number in range(start, end)
    ]


def show(name: str) -> str:
    """Return how a page names a file above its text."""
    return f"{AT_END}{name.removesuffix('.end')}" if name.endswith(".end") else name


def write(site: Path, shown: str, text: str) -> None:
    """Write a file as a reader does, who sees its name and its text on a page."""
    path = site / shown.removeprefix(AT_END)
    path.parent.mkdir(parents=True, exist_ok=True)
    if shown.startswith(AT_END):
        text = f"{path.read_text()}\n{text}"
    path.write_text(text)


def make_site(target: Path) -> Iterator[str]:
    """Make the site page by page, and yield the name of each page when its files are written."""
    django = (sys.executable, "-m", "django")
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run([*django, "startproject", "chatsite", "."], cwd=target, check=True)
    subprocess.run([*django, "startapp", "chat"], cwd=target, check=True)
    settings = target / "chatsite" / "settings.py"
    # The key is a random one. An archive must not change with each build.
    key = 'SECRET_KEY = "django-insecure-for-the-tutorial-only"'
    settings.write_text(_SECRET.sub(key, settings.read_text(), count=1))
    for page in PAGES:
        for name, path in files(page).items():
            write(target, show(name), path.read_text())
        yield page


def pack(site: Path, archive: Path) -> None:
    """Write the files of a site into an archive, the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(site.rglob("*.*")):
            if path.is_file() and "__pycache__" not in path.parts:
                # Without a time, which would be the one of the build.
                packed.writestr(
                    zipfile.ZipInfo(path.relative_to(site).as_posix()), path.read_text()
                )
    if not archive.exists() or archive.read_bytes() != content.getvalue():
        archive.parent.mkdir(exist_ok=True)
        # In one step, for another build that reads it at the same time.
        with tempfile.NamedTemporaryFile(dir=archive.parent, delete=False) as file:
            file.write(content.getvalue())
        shutil.move(file.name, archive)


def _pack_all(app: Sphinx) -> None:
    """Make the archives that the pages offer."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        for page in make_site(site):
            pack(site, ARCHIVES / f"{page}.zip")


class SiteFile(LiteralInclude):
    """Show a file that the page writes: `{file} chat/models.py`."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[Node]:
        """Include the file, with its name above it and the changed lines marked."""
        name, page = self.arguments[0], self.env.docname.rpartition("/")[2]
        path = files(page)[name]
        self.arguments[0] = f"/../{path.relative_to(ROOT).as_posix()}"
        self.options["caption"] = show(name)
        self.options["language"] = LANGUAGES[path.suffix]
        if lines := changed_lines(page, name):
            self.options["emphasize-lines"] = ",".join(map(str, lines))
        # The marks depend on earlier states too.
        for earlier in PAGES[: PAGES.index(page)]:
            if name in (written := files(earlier)):
                self.env.note_dependency(str(written[name]))
        return super().run()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the step that makes the archives."""
    app.add_directive("file", SiteFile)
    app.connect("builder-inited", _pack_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
