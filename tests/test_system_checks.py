"""The system checks of all packages: their documentation, and their results on two sites."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from served import FIRST_SITE, ROOT, SITE, environment
from tools.packages import PACKAGES

TOPICS = ROOT / "docs" / "topics"


def source() -> str:
    """Return the text of the modules with the checks, with the parts of literals joined."""
    paths = [
        path
        for package in PACKAGES
        for path in sorted(package.source.rglob("*.py"))
        if path.stem.endswith("checks") or path.parent.name == "_checks"
    ]
    return re.sub(r'"\s+f?"', "", "".join(path.read_text() for path in paths))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_the_page_has_each_id_once() -> None:
    given = re.findall(r'"(channels_\w+\.[A-Z]\d{3})"', source())
    page = (TOPICS / "system-checks.md").read_text()
    # Each row has a cause and a remedy.
    rows = re.findall(r"(?m)^\| `(channels_\w+\.[A-Z]\d{3})` \| [^|]+ \| [^|]+ \|$", page)
    assert len(given) >= 15
    assert sorted(rows) == sorted(set(given))


def test_each_hint_names_a_page_and_a_section_that_are_there() -> None:
    text = source()
    read = re.findall(r'see\(\s*"(.+?)", "(.+?)"\s*\)', text)
    # One for each message, except that E004 and W003 of the core share one.
    assert len(read) == len(set(re.findall(r'"(channels_\w+\.[A-Z]\d{3})"', text))) - 1
    # Not a path, because an installed package has no folder of pages.
    assert "docs/" not in text
    pages = {lines[0]: lines for lines in map(_lines, TOPICS.glob("*.md"))}
    for page, section in read:
        assert {f"# {section}", f"## {section}"} & set(pages[f"# {page}"]), (page, section)


def test_each_note_and_error_names_a_page_and_a_section_that_are_there() -> None:
    text = "".join(
        path.read_text() for package in PACKAGES for path in sorted(package.source.rglob("*.py"))
    )
    read = re.findall(r"""\bsee\(\s*["'](.+?)["'],\s*["'](.+?)["']\s*\)""", text)
    # Each call is read; the other one is the definition.
    assert len(read) == len(re.findall(r"\bsee\(", text)) - 1
    pages = {lines[0]: lines for lines in map(_lines, TOPICS.parent.rglob("*.md")) if lines}
    for page, section in read:
        assert any(line.strip("# ") == section for line in pages[f"# {page}"]), (page, section)


@pytest.mark.parametrize("site", [SITE, FIRST_SITE], ids=lambda site: site.name)
def test_they_find_nothing_in_the_example(site: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "manage.py", "check", "--tag", "channels", "--deploy"]
    done = subprocess.run(
        command,
        cwd=site,
        env=environment(tmp_path / "db.sqlite3"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


def test_they_report_a_missing_layer_as_the_page_shows(tmp_path: Path) -> None:
    """The documentation's example is the output for a site without a layer."""
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "consumers.py").write_text(
        "from channels.generic.websocket import AsyncWebsocketConsumer\n"
        "class News(AsyncWebsocketConsumer):\n"
        '    groups = ["news"]\n'
    )
    (tmp_path / "asgi.py").write_text("from chat.consumers import News as application\n")
    (tmp_path / "settings.py").write_text(
        'INSTALLED_APPS = ["channels"]\nASGI_APPLICATION = "asgi.application"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "settings"],
        env={**environment(tmp_path), "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    shown = re.findall(
        r"(?ms)^```console\n\$ .*?\n(.*?)^```", (TOPICS / "system-checks.md").read_text()
    )
    assert done.stderr.strip() in shown[0]
