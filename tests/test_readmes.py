"""The READMEs: what they show is run, and what they say is compared with its source."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from processes import SECONDS
from redis_server import require_redis
from served import ROOT, Served
from tabs import chromium, wait_until
from tools.packages import PACKAGES, Package, by_name, with_needs

README = (ROOT / "README.md").read_text()
ROOM = ROOT / "examples" / "room.py"
READMES = [ROOT / "README.md", *(package.folder / "README.md" for package in PACKAGES)]


def blocks(text: str, kind: str) -> list[str]:
    """Return the blocks of a kind in a page."""
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", text)


def variables() -> dict[str, str]:
    """Return the environment of a program that configures its settings itself."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"DJANGO_SETTINGS_MODULE", "PYTHONASYNCIODEBUG", "PYTHONPATH"}
    }


class TestTheRoom:
    def test_the_readme_shows_the_whole_file(self) -> None:
        assert blocks(README, "python") == [ROOM.read_text()]

    def test_two_windows(self, tmp_path: Path) -> None:
        """Serve it by the second command, and write from one window to the other."""
        [command] = re.findall(r"(?m)^\$ python (-m daphne .*)$", README)

        def listening_at(port: int) -> list[str]:
            return [sys.executable, *command.split(), "--port", str(port)]

        site = Served("daphne", listening_at, variables(), "Listening on TCP", ROOM.parent)
        with site, chromium(tmp_path) as browser:
            windows = []
            for _ in range(2):
                browser.switch_to.new_window("window")
                browser.get(site.origin)
                wait_until(browser, lambda page: page.execute_script("return socket.readyState"))
                windows.append(browser.current_window_handle)
            browser.find_element(By.TAG_NAME, "input").send_keys("hello")
            browser.find_element(By.TAG_NAME, "button").click()
            for window in windows:
                browser.switch_to.window(window)
                wait_until(browser, lambda page: page.find_element(By.TAG_NAME, "pre").text)
                assert browser.find_element(By.TAG_NAME, "pre").text == "hello"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
class TestTheExampleOfAPackage:
    def test_it_prints_what_the_page_says(self, package: Package, tmp_path: Path) -> None:
        text = (package.folder / "README.md").read_text()
        program = tmp_path / "example.py"
        program.write_text(blocks(text, "python")[0])
        if package.name == "channels-layers-redis":
            with require_redis() as url:
                program.write_text(program.read_text().replace("redis://127.0.0.1:6379/0", url))
                self.run(program, text)
        else:
            self.run(program, text)

    def run(self, program: Path, text: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(program)],
            cwd=program.parent,
            env=variables(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "".join(blocks(text, "text"))
        # A program that prints nothing is a test.
        assert done.stdout or re.search(r"\nRan 1 test in .*\n\nOK\n$", done.stderr)

    def test_it_imports_only_what_the_page_installs(self, package: Package) -> None:
        text = (package.folder / "README.md").read_text()
        installed = re.findall(r"(?m)^\$ pip install ([a-z -]+)$", text)[0].split()
        available = {one.import_name for name in installed for one in with_needs(by_name(name))}
        code = ast.parse(blocks(text, "python")[0])
        imported = {
            str(node.module).partition(".")[0]
            for node in ast.walk(code)
            if isinstance(node, ast.ImportFrom)
        }
        assert package.import_name in imported
        assert {name for name in imported if name.startswith("channels")} <= available


#: What the reasons say, by the rows of the measurements: the ratio's median, rounded down.
RATIOS = {
    r"echo of a text frame takes over (\d+) times": "echo text, no layer: ping-pong",
    r"200 browsers on Uvicorn over (\d+) times": "200 clients, Uvicorn: server CPU",
    r"1,000 members of a group takes over (\d+) times": "fan-out to 1,000 members",
    r"three times each, are done (\d+) times": "64 sync handlers that sleep 50 ms",
}


class TestTheReasons:
    text = " ".join(README.partition("<!-- begin why -->")[2].partition("<!-- end")[0].split())

    @pytest.mark.parametrize(("words", "row"), RATIOS.items(), ids=RATIOS.values())
    def test_a_ratio_is_that_of_the_measurements(self, words: str, row: str) -> None:
        page = (ROOT / "docs" / "performance" / "results.md").read_text()
        [ratio] = re.findall(rf"(?m)^\| {re.escape(row)} \| [^|]+ \| \*\*([\d,.]+)", page)
        assert re.findall(words, self.text) == [str(int(float(ratio.replace(",", ""))))]

    def test_the_memory_is_that_of_the_page_about_security(self) -> None:
        page = (ROOT / "docs" / "topics" / "security.md").read_text()
        [row] = re.findall(r"(?m)^\| 20 large frames \| Uvicorn \| (.*) \|$", page)
        _, limited, before = [cell.partition(",")[0] for cell in row.split(" | ")]
        assert f"{limited} with the limits set, not {before}" in self.text

    def test_the_packages_are_those_of_the_page_about_them(self) -> None:
        page = (ROOT / "docs" / "topics" / "compatibility.md").read_text()
        tried = set(re.findall(r"(?m)^\| ([\w-]+) \| [\w.]+ \| \d+ \| \d+ \|", page))
        assert f"the tests of {len(tried)} packages" in self.text


class TestTheText:
    def test_the_table_has_each_package_once(self) -> None:
        rows = re.findall(r"(?m)^\| \[`([\w-]+)`\]\(packages/([\w-]+)\) \| `(\w+)` \|", README)
        found = sorted((package.name, package.name, package.import_name) for package in PACKAGES)
        assert sorted(rows) == found

    @pytest.mark.parametrize("page", READMES, ids=lambda page: page.parent.name)
    def test_its_links_lead_to_files(self, page: Path) -> None:
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert [target for target in targets if not (page.parent / target).exists()] == []

    @pytest.mark.parametrize("page", READMES, ids=lambda page: page.parent.name)
    def test_its_code_fits_into_72_columns(self, page: Path) -> None:
        code = "".join(blocks(page.read_text(), r"\w+"))
        assert [line for line in code.splitlines() if len(line) > 72] == []
