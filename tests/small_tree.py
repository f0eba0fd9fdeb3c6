"""A small tree in a git repository of its own, with two packages that can be released."""

import shutil
from pathlib import Path

from packaging.version import Version

from tools.packages import PACKAGES, ROOT, Package, by_name
from tools.releases import git, tag_of

__all__ = ["SmallTree"]

SOURCES = {
    "channels-core": {
        "layers.py": (
            '"""Layers."""\n__all__ = ["Layer", "find"]\n\n\nclass Layer:\n'
            '    """A layer."""\n\n    def send(self, message, wait=None):\n'
            '        """Send."""\n\n\ndef find(alias):\n    """Find one."""\n'
        ),
        "_private.py": "def find(alias): ...\n",
    },
    "channels-auth": {
        "auth.py": (
            '"""Users."""\nfrom channels_core.layers import Layer\n\n__all__ = ["login"]\n\n\n'
            'def login(user):\n    """Log in."""\n    return Layer\n'
        ),
    },
}


class SmallTree:
    """The core and a plugin, as small as they can be; all others have only their metadata.

    Attributes:
        root: Its folder.
        core: The core in it.
        auth: The plugin in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.core, self.auth = (by_name(name).at(root) for name in SOURCES)
        for one in PACKAGES:
            package = one.at(root)
            package.source.mkdir(parents=True)
            shutil.copy(one.folder / "pyproject.toml", package.folder)
            (package.source / "__init__.py").write_text(
                f'"""A package."""\n__all__ = ["__version__"]\n'
                f'__version__: str = "{self.version(package)}"\n'
            )
        for name, modules in SOURCES.items():
            package = by_name(name).at(root)
            for file in ("LICENSE", "README.md"):
                shutil.copy(by_name(name).folder / file, package.folder)
            (package.folder / "CHANGELOG.md").write_text(
                f"# Changelog of {name}\n\n<!-- towncrier release notes start -->\n"
            )
            (package.folder / "changelog.d").mkdir()
            (package.folder / "changelog.d" / ".gitignore").write_text("!.gitignore\n")
            (package.folder / "tests").mkdir()
            (package.folder / "tests" / "test_it.py").write_text("def test_it(): ...\n")
            for module, code in modules.items():
                (package.source / module).write_text(code)
        shutil.copy(ROOT / ".gitignore", root)
        git(root, "init", "--quiet", "--initial-branch", "main")
        git(root, "config", "user.name", "A maintainer")
        git(root, "config", "user.email", "maintainer@example.invalid")
        git(root, "config", "commit.gpgsign", "false")
        git(root, "config", "tag.gpgsign", "false")
        self.commit("Begin")

    @staticmethod
    def version(package: Package) -> str:
        """Return the version in a package's pyproject.toml."""
        return str(package.pyproject()["project"]["version"])

    def commit(self, subject: str) -> None:
        """Commit everything."""
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "-m", subject)

    def fragment(self, package: Package, kind: str, text: str = "Something is there.") -> None:
        """Write and commit a changelog fragment."""
        (package.folder / "changelog.d" / f"+one.{kind}.md").write_text(f"{text}\n")
        self.commit("Write a fragment")

    def change(self, package: Package, module: str, old: str, new: str) -> None:
        """Replace a piece of a module's text, and commit that."""
        path = package.source / module
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.commit("Change a module")

    def configure(self, package: Package, old: str, new: str) -> None:
        """Replace a piece of a package's pyproject.toml, and commit that."""
        path = package.folder / "pyproject.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.commit("Configure a package")

    def tag(self, package: Package, version: str) -> None:
        """Tag the current state as a release, as an earlier run would have."""
        git(self.root, "tag", "-a", "-m", version, tag_of(package, Version(version)))
