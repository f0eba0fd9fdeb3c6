"""The page on the architecture: the files and names in it exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.packages import PACKAGES, ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
#: Rows of the two tables whose last column has files and names in them.
ROWS = re.findall(
    r"(?m)^\| ([^|`]+|[^|]+\?) \| (`[\w./]+`(?:: `.*)?(?:; .*)?) \|$",
    PAGE.partition("## Where to look")[2],
)
IMPORTS = "|".join(package.import_name for package in PACKAGES)


def place(path: str) -> Path:
    """Return where a path of the page is in the tree."""
    top = path.partition("/")[0]
    folder = ROOT / "packages" / top.replace("_", "-") / "src"
    return folder / path if folder.is_dir() else ROOT / path


def texts(path: Path) -> Iterator[str]:
    files = sorted(path.glob("*")) if path.is_dir() else [path]
    yield from (file.read_text() for file in files if file.is_file())


def test_each_path_exists() -> None:
    paths = set(re.findall(rf"`((?:{IMPORTS}|tools|tests|docs|packages)/[\w./-]+)`", PAGE))
    examples = {path for path in paths if "channels-x" in path}
    assert len(paths) > 50
    assert [path for path in sorted(paths - examples) if not place(path).exists()] == []


def test_there_are_enough_rows() -> None:
    assert len(ROWS) > 50


@pytest.mark.parametrize(("question", "answer"), ROWS, ids=[row[0] for row in ROWS])
def test_each_file_has_the_names(question: str, answer: str) -> None:
    for part in answer.split("; "):
        path, _, names = part.partition(": ")
        text = "".join(texts(place(path.strip("`"))))
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", text), f"{path} has no {name}"


def test_the_rooms_of_core_are_all_there() -> None:
    core = place("channels_core")
    rooms = {
        f"{folder.relative_to(core.parent)}/"
        for folder in core.rglob("_*")
        if folder.is_dir() and folder.name != "__pycache__"
    }
    part = PAGE.partition("These are the rooms of `channels_core`")[2].partition("## ")[0]
    assert set(re.findall(r"`(channels_core/[\w/]*_\w+/)`", part)) == rooms
