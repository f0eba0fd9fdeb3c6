"""The modules of `channels`, in this process and in a separate Django project."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from documented_api import STUBS
from facade import ALIASES, FORWARDED, OWN
from tools.packages import by_name

SOURCE = by_name("channels").source.parent


def module_file(name: str) -> Path:
    path = SOURCE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def star_imports(path: Path) -> list[str | None]:
    return [
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ]


class TestTable:
    def test_every_module_is_listed(self) -> None:
        found = {
            ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            for path in SOURCE.rglob("*.py")
        }
        assert found == {*ALIASES, *FORWARDED, *OWN, "channels._facade"}

    def test_every_documented_module_is_listed(self) -> None:
        documented = {module for stubs in STUBS.values() for module in stubs}
        assert documented <= {*ALIASES, *FORWARDED, *OWN}


@pytest.mark.parametrize("name", ALIASES)
class TestEachAlias:
    def test_it_is_the_module_of_its_owner(self, name: str) -> None:
        owner = import_module(ALIASES[name])
        assert import_module(name) is owner
        parent, _, child = name.rpartition(".")
        assert getattr(import_module(parent), child) is owner

    def test_it_is_no_package(self, name: str) -> None:
        assert not hasattr(import_module(name), "__path__")

    def test_a_type_checker_reads_the_same_module(self, name: str) -> None:
        assert star_imports(module_file(name)) == [ALIASES[name]]


@pytest.mark.parametrize("name", FORWARDED)
def test_a_module_of_several_owners_gives_what_is_theirs(name: str) -> None:
    module = import_module(name)
    main, others = FORWARDED[name]
    for public in module.__all__:
        assert getattr(module, public) is getattr(import_module(others.get(public, main)), public)


class TestProject:
    """A Django project with `channels` as its only application."""

    SETTINGS = """
SECRET_KEY = "not a secret: it guards nothing but tests"
INSTALLED_APPS = ["channels"]
ASGI_APPLICATION = "project.application"
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 2}},
}
"""

    def run(self, folder: Path, *command: str) -> str:
        (folder / "project_settings.py").write_text(self.SETTINGS)
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=folder,
            env={**inherited, "DJANGO_SETTINGS_MODULE": "project_settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_it_passes_its_checks(self, tmp_path: Path) -> None:
        (tmp_path / "project.py").write_text(
            "from channels.routing import ProtocolTypeRouter\n"
            "application = ProtocolTypeRouter({})\n"
        )
        assert "no issues" in self.run(tmp_path, "-m", "django", "check")

    def test_every_documented_name_is_imported_from_its_module(self, tmp_path: Path) -> None:
        lines = [
            f"from {module} import {node.name}"
            for module, text in STUBS["4.3"].items()
            for node in ast.parse(text).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert len(lines) > 30
        # As in an asgi.py, the imports come before the applications are set up.
        self.run(tmp_path, "-c", "\n".join([*lines, "import django", "django.setup()"]))

    def test_the_memory_layer_is_configured_by_its_path_here(self, tmp_path: Path) -> None:
        out = self.run(
            tmp_path,
            "-c",
            """
import asyncio, django
django.setup()
from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer, get_channel_layer

async def main():
    layer = get_channel_layer()
    assert type(layer) is InMemoryChannelLayer
    await layer.send("jobs", {"type": "job"})
    await layer.send("jobs", {"type": "job"})
    try:
        await layer.send("jobs", {"type": "job"})
    except ChannelFull:
        print((await layer.receive("jobs"))["type"])

asyncio.run(main())
""",
        )
        assert out == "job\n"
