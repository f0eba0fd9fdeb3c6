"""A reader who types in the tutorial page by page, and compares what commands print."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

from bs4 import BeautifulSoup

from processes import SECONDS, free_port
from tools.tutorial import AT_END, PAGES, write

__all__ = ["Command", "File", "Other", "Reader", "Shell", "steps"]

#: The commands that do not end by themselves, with what gives them a port that is free here.
SERVERS: Final = {
    "python manage.py runserver": " {8000}",
    "python manage.py runserver 8001": "",
    "python manage.py runworker chat-stats": "",
    "redis-server": " --port {6379} --save ''",
}


@dataclass
class File:
    """A file that a page shows, or lines to add to one."""

    name: str
    text: str
    #: Its lines that the page marks as changed.
    marked: list[str] = field(default_factory=list)


@dataclass
class Command:
    """A command, and the lines that it prints according to the page."""

    text: str
    output: list[str] = field(default_factory=list)


@dataclass
class Shell:
    """A block of commands: each block is for a shell of its own, or may be."""

    commands: list[Command]


@dataclass
class Other:
    """A block of code that nobody can type in."""

    text: str


def steps(page: str) -> Iterator[File | Shell | Other]:
    """Yield what a built page (its HTML) tells the reader to do."""
    for block in BeautifulSoup(page, "html.parser").select("div[class*=highlight-]"):
        code, wrapper = block.pre, block.parent
        assert code is not None
        assert wrapper is not None
        text = code.get_text()
        if "highlight-console" in block["class"]:
            yield Shell(list(_commands(text.splitlines())))
        elif caption := wrapper.select_one(".code-block-caption .caption-text"):
            marked = "".join(each.get_text() for each in code.select(".hll"))
            yield File(caption.get_text(), text, marked.splitlines())
        else:
            yield Other(text)


def _commands(lines: list[str]) -> Iterator[Command]:
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            rest = takewhile(lambda each: not each.startswith("$ "), lines[number + 1 :])
            yield Command(line.removeprefix("$ "), list(rest))


class Server:
    """A program that runs until the reader presses Ctrl-C."""

    def __init__(self, command: str, reader: "Reader") -> None:
        self.command = command
        # A terminal sends Ctrl-C to all processes of the command.
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=reader.folder,
            env=reader.env | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        yield from self.process.stdout

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            output, _ = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        assert self.process.returncode == 0, f"{self.command}: {output}"


class Reader:
    """Somebody who types in the pages.

    Attributes:
        folder: Where the site is.
        ports: The ports that the servers really have, by those on the pages.
        commands: The number of commands that were run.
        files: The number of files that were written.
        lines: The number of lines of output that were compared with those on a page.
    """

    def __init__(self, folder: Path, pages: Path, wheels: Path) -> None:
        """Take an empty folder, the folder of the built pages, and one with wheels and pins.txt."""
        self.folder = folder
        self.ports = {port: free_port() for port in (8000, 8001, 6379)}
        self.commands = self.files = self.lines = 0
        self._pages = pages
        self._typed: list[str] = []
        self._servers: dict[str, Server] = {}
        self._activated = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self._wheels = wheels
        self._open_shell()

    def steps(self, page: str) -> list[File | Shell | Other]:
        return list(steps((self._pages / f"{page}.html").read_text()))

    def type_in(self, page: str) -> None:
        """Type in a page, and before it those pages that were not typed in yet."""
        for each in PAGES[: PAGES.index(page) + 1]:
            if each not in self._typed:
                self.stop_all()
                for step in self.steps(each):
                    self._do(step)
                self._typed.append(each)

    def address(self, port: int = 8000) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def start(self, command: str, *output: str) -> None:
        """Start a server, and return when it has printed these lines."""
        server = Server(self._with_ports(f"{command}{SERVERS[command]}"), self)
        self._servers[command] = server
        self._compare(output, server.lines(), command)

    def stop(self, command: str) -> None:
        """Press Ctrl-C in the shell of a server."""
        self._servers.pop(command).stop()

    def stop_all(self) -> None:
        """Press Ctrl-C in all shells, the newest one first."""
        with ExitStack() as stack:
            for command in self._servers:
                stack.callback(self.stop, command)

    def run(self, command: str, *output: str) -> None:
        """Run a command to its end, which must be a good one."""
        done = subprocess.run(
            ["bash", "-c", self._with_ports(command)],
            cwd=self.folder,
            env=self.env,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        self._compare(output, iter(done.stdout.splitlines()), command)

    def _do(self, step: File | Shell | Other) -> None:
        match step:
            case File(name=name, text=text):
                existed = (self.folder / name.removeprefix(AT_END)).exists()
                assert existed or not name.startswith(AT_END)
                write(self.folder, name, text)
                self.files += 1
            case Shell(commands):
                self._open_shell()
                for command in commands:
                    self._enter(command)
                    self.commands += 1
            case Other(text):
                raise AssertionError(f"Is this a file or a command? {text}")

    def _open_shell(self) -> None:
        """Forget what was exported in another shell."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CHAT_", "DJANGO_", "PYTEST_")) and name != "REDIS_URL"
        }
        # Selenium must not look for another browser in the network.
        self.env = kept | self._activated | {"SE_OFFLINE": "true"}
        self.env |= {
            "PIP_CONSTRAINT": str(self._wheels / "pins.txt"),
            "PIP_FIND_LINKS": str(self._wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
        }

    def _enter(self, command: Command) -> None:
        if command.text in SERVERS:
            self.start(command.text, *command.output)
        elif command.text == "source .venv/bin/activate":
            # For this shell and for all others that the pages tell the reader to open.
            programs = self.folder / ".venv" / "bin"
            assert (programs / "activate").is_file()
            self._activated = {"PATH": f"{programs}:{os.environ['PATH']}"}
            self._open_shell()
        elif command.text.startswith("export "):
            [assignment] = shlex.split(self._with_ports(command.text))[1:]
            name, _, value = assignment.partition("=")
            self.env[name] = value
        else:
            self.run(command.text, *command.output)

    def _with_ports(self, text: str) -> str:
        """Replace the ports of the pages, which may be taken here."""
        for shown, real in self.ports.items():
            text = re.sub(rf"\{{?\b{shown}\b\}}?", str(real), text)
        return text

    def _compare(self, expected: tuple[str, ...], lines: Iterator[str], command: str) -> None:
        """Return when all these lines were printed, in this order; `...` stands for anything."""
        seen = []
        for each in expected:
            if each == "...":
                continue
            pattern = re.escape(self._with_ports(each)).replace(r"\.\.\.", ".*")
            for line in lines:
                seen.append(line.rstrip("\n"))
                if re.fullmatch(pattern, seen[-1]):
                    self.lines += 1
                    break
            else:
                printed = "\n".join(seen)
                raise AssertionError(f"$ {command}\n{printed}\nhas no line: {each}")
