import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from small_tree import SmallTree
from tools import release
from tools.fragments import faulty, kinds
from tools.packages import PACKAGES, Package, by_name
from tools.release import main, misstep, refusals, set_version
from tools.releases import checkout, git, of_tag, releases
from tools.sibling_releases import excluded
from tools.versions import Step

FIRST = Version("1.0.0")


@pytest.fixture
def tree(tmp_path: Path) -> SmallTree:
    return SmallTree(tmp_path / "tree")


def refused(package: Package, version: str) -> str:
    """Return all reasons, a line each."""
    return "\n".join(refusals(package, Version(version)))


class TestTheFirstRelease:
    def test_it_is_the_version_in_the_pyproject(self, tree: SmallTree) -> None:
        tree.fragment(tree.core, "feature")
        assert refused(tree.core, "1.0.0") == ""
        assert refused(tree.core, "1.1.0") == (
            "the first release of channels-core is 1.0.0, as its pyproject.toml says"
        )

    def test_it_needs_a_fragment(self, tree: SmallTree) -> None:
        assert refused(tree.core, "1.0.0") == (
            "channels-core has no changelog fragment: write in changelog.d/ what users notice"
        )

    def test_it_needs_a_tree_without_changes(self, tree: SmallTree) -> None:
        tree.fragment(tree.core, "feature")
        (tree.root / "new.txt").write_text("new")
        assert refused(tree.core, "1.0.0") == (
            "the tree has changes that are not committed: ?? new.txt"
        )

    @pytest.mark.parametrize(
        "name",
        [
            "+x.bugfix.md",
            "+v1.2.fix.md",
            "+x.fix",
            "+x.fix.1.md",
            ".+x.fix.md.swp",
            ".fix.md",
            "note.md",
            "README.md",
            "fix",
        ],
    )
    def test_a_file_that_is_no_fragment_is_refused(self, tree: SmallTree, name: str) -> None:
        (tree.core.folder / "changelog.d" / name).write_text("Something is there.\n")
        tree.commit("Write another file")
        assert refused(tree.core, "1.0.0") == (
            f"changelog.d/{name} is no changelog fragment: name it +WORD.KIND.md, where the kind "
            "is breaking, feature, deprecation, fix or about"
        )

    @pytest.mark.parametrize("text", ["", " \n\n"])
    def test_a_fragment_without_text_is_refused(self, tree: SmallTree, text: str) -> None:
        (tree.core.folder / "changelog.d" / "+empty.fix.md").write_text(text)
        tree.fragment(tree.core, "feature")
        assert refused(tree.core, "1.0.0") == (
            "changelog.d/+empty.fix.md is empty: write there what users notice"
        )

    def test_a_folder_among_the_fragments_is_refused(self, tree: SmallTree) -> None:
        folder = tree.core.folder / "changelog.d" / "+folder.fix.md"
        folder.mkdir()
        (folder / "text").write_text("Something is there.")
        tree.fragment(tree.core, "feature")
        assert refused(tree.core, "1.0.0") == "changelog.d/+folder.fix.md is not a file"

    def test_its_siblings_are_released_before_it(self, tree: SmallTree) -> None:
        tree.fragment(tree.auth, "feature")
        assert refused(tree.auth, "1.0.0").endswith(
            "channels-core has no release in this range: release that first"
        )


class TestWhatCannotBeRead:
    @pytest.fixture(autouse=True)
    def _released(self, tree: SmallTree) -> None:
        tree.tag(tree.core, "1.0.0")
        tree.fragment(tree.core, "fix")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"asgiref>=3.9,<4"', '"asgiref>>3"'),
            (
                "[tool.poetry]",
                '[project.optional-dependencies]\nfast = ["asgiref>>3"]\n[tool.poetry]',
            ),
        ],
    )
    def test_a_requirement_is_told_in_one_line(self, tree: SmallTree, old: str, new: str) -> None:
        # Also of another package: its ranges have to admit this one.
        tree.configure(tree.auth, old, new)
        (line,) = refused(tree.core, "1.0.1").splitlines()
        assert line.startswith(
            "packages/channels-auth/pyproject.toml: 'asgiref>>3' is not a requirement: "
        )

    @pytest.mark.parametrize("text", [b"[project", b"\xff"])
    def test_toml_is_told_in_one_line(self, tree: SmallTree, text: bytes) -> None:
        (tree.auth.folder / "pyproject.toml").write_bytes(text)
        tree.commit("Break it")
        (line,) = refused(tree.core, "1.0.1").splitlines()
        assert line.startswith("packages/channels-auth/pyproject.toml: ")

    @pytest.mark.parametrize(
        ("text", "told"),
        [(b"\ndef find(:\n", ":2: invalid syntax"), (b"\xff", ": 'utf-8' codec can't decode")],
    )
    def test_a_module_is_told_in_one_line(self, tree: SmallTree, text: bytes, told: str) -> None:
        (tree.core.source / "layers.py").write_bytes(text)
        tree.commit("Break it")
        (line,) = refused(tree.core, "1.0.1").splitlines()
        assert line.startswith(f"packages/channels-core/src/channels_core/layers.py{told}")


class TestALaterRelease:
    @pytest.fixture(autouse=True)
    def _released(self, tree: SmallTree) -> None:
        for package in (tree.core, tree.auth):
            tree.tag(package, "1.0.0")

    def test_a_fix_may_be_a_patch(self, tree: SmallTree) -> None:
        tree.change(tree.core, "layers.py", '"""Find one."""', '"""Find a layer."""')
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.0.1") == ""

    def test_a_version_that_exists_is_refused(self, tree: SmallTree) -> None:
        assert refused(tree.core, "1.0.0") == "the tag channels-core-v1.0.0 exists"

    def test_a_clone_without_the_tags_is_told(self, tree: SmallTree) -> None:
        path = tree.core.folder / "CHANGELOG.md"
        path.write_text(f"{path.read_text()}\n## 1.1.0 (2026-11-30)\n\n## 1.0.0 (2026-11-01)\n")
        tree.fragment(tree.core, "fix")
        told = (
            "CHANGELOG.md has an entry of 1.1.0, and there is no tag channels-core-v1.1.0 here: "
            "run `git fetch --tags`"
        )
        # Without one of the tags, and without any.
        assert refused(tree.core, "1.0.1") == told
        git(tree.root, "tag", "--delete", "channels-core-v1.0.0")
        assert refused(tree.core, "1.0.0") == told
        tree.tag(tree.core, "1.1.0")
        assert refused(tree.core, "1.1.1") == ""

    def test_a_version_that_does_not_follow_is_refused(self, tree: SmallTree) -> None:
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.2.0") == (
            "1.2.0 does not follow 1.0.0: the next version is 1.0.1, 1.1.0 or 2.0.0"
        )

    def test_a_new_name_needs_a_minor_release(self, tree: SmallTree) -> None:
        tree.change(tree.core, "layers.py", '"find"]', '"find", "new"]\nnew = 1')
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.0.1") == (
            "this change needs a minor release, not a patch release: "
            "channels_core.layers.new is new"
        )
        assert refused(tree.core, "1.1.0") == ""

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            (', "find"]', "]", "channels_core.layers.find was removed"),
            ("def find(alias)", "def find(name)", "channels_core.layers.find: "),
            ("wait=None", "wait", "channels_core.layers.Layer.send: "),
            ("def send", "def _send", "channels_core.layers.Layer.send was removed"),
        ],
    )
    def test_a_change_that_breaks_programs_needs_a_major_release(
        self, tree: SmallTree, old: str, new: str, told: str
    ) -> None:
        tree.change(tree.core, "layers.py", old, new)
        tree.fragment(tree.core, "feature")
        assert "this change needs a major release, not a minor release" in refused(
            tree.core, "1.1.0"
        )
        assert told in refused(tree.core, "1.1.0")

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("def find(alias)", "def find(alias, wait=None)", "find: Parameter is new: wait"),
            ("def find(alias)", "def find(alias, **more)", "find: Parameter is new: more"),
            ("def find(alias)", "def find(alias=1)", "find: Parameter is optional now: alias"),
            ("wait=None)", "wait=None, *, by=None)", "Layer.send: Parameter is new: by"),
            ("Layer(Base)", "Layer(New)", "Layer.__init__: Parameter is new: name"),
        ],
    )
    def test_another_parameter_that_may_be_left_out_needs_a_minor_release(
        self, tree: SmallTree, old: str, new: str, told: str
    ) -> None:
        bases = (
            "class Base:\n    def __init__(self): ...\n\n\n"
            "class New:\n    def __init__(self, name=''): ...\n\n\nclass Layer(Base):"
        )
        tree.change(tree.core, "layers.py", "class Layer:", bases)
        git(tree.root, "tag", "--delete", "channels-core-v1.0.0")
        tree.tag(tree.core, "1.0.0")
        tree.change(tree.core, "layers.py", old, new)
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.0.1").splitlines() == [
            f"this change needs a minor release, not a patch release: channels_core.layers.{told}"
        ]
        assert refused(tree.core, "1.1.0") == ""

    def test_a_function_that_becomes_async_needs_a_major_release(self, tree: SmallTree) -> None:
        tree.change(tree.core, "layers.py", "def find", "async def find")
        tree.tag(tree.core, "1.1.0")
        tree.fragment(tree.core, "feature")
        tree.change(tree.core, "layers.py", "    def send", "    async def send")
        tree.change(tree.core, "layers.py", "async def find", "def find")
        assert refused(tree.core, "1.2.0").splitlines() == [
            "this change needs a major release, not a minor release: channels_core.layers." + told
            for told in ("find: async def became def", "Layer.send: def became async def")
        ]

    def test_a_change_of_a_function_with_two_names_is_told_once(self, tree: SmallTree) -> None:
        alias = '"find", "search"]\nfrom channels_core._private import find as search\n'
        tree.change(tree.core, "layers.py", '"find"]', alias)
        again = '"__version__", "search"]\nfrom channels_core._private import find as search\n'
        tree.change(tree.core, "__init__.py", '"__version__"]', again)
        tree.tag(tree.core, "1.1.0")
        tree.change(tree.core, "_private.py", "find(alias)", "find(alias, wait=None)")
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.1.1").endswith(
            "a patch release: channels_core.layers.search: Parameter is new: wait"
        )
        assert len(refused(tree.core, "1.1.1").splitlines()) == 1

    def test_a_change_of_private_code_needs_none(self, tree: SmallTree) -> None:
        tree.change(tree.core, "_private.py", "def find(alias)", "def search()")
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.0.1") == ""

    def test_a_major_release_says_what_breaks_and_needs_ranges_that_admit_it(
        self, tree: SmallTree
    ) -> None:
        tree.change(tree.core, "layers.py", ', "find"]', "]")
        tree.fragment(tree.core, "feature")
        lines = refused(tree.core, "2.0.0").splitlines()
        assert lines[0] == (
            "channels-core has no fragment of the kind breaking: "
            "say there what users have to change"
        )
        assert lines[1] == (
            "channels-auth requires channels-core<2,>=1.0, which excludes 2.0.0: "
            "widen that range first"
        )
        for package in PACKAGES:
            path = package.at(tree.root).folder / "pyproject.toml"
            path.write_text(
                path.read_text().replace("channels-core>=1.0,<2", "channels-core>=1.0,<3")
            )
        tree.fragment(tree.core, "breaking")
        assert refused(tree.core, "2.0.0") == ""

    def test_another_requirement_needs_a_minor_release(self, tree: SmallTree) -> None:
        path = tree.core.folder / "pyproject.toml"
        path.write_text(path.read_text().replace("asgiref>=3.9", "asgiref>=3.10"))
        tree.fragment(tree.core, "fix")
        assert refused(tree.core, "1.0.1").endswith("dependencies in pyproject.toml is another one")

    def test_an_extra_that_is_removed_needs_a_major_release(self, tree: SmallTree) -> None:
        tree.configure(tree.core, "\nmsgspec =", "\nfast =")
        tree.fragment(tree.core, "feature")
        assert refused(tree.core, "1.1.0") == (
            "this change needs a major release, not a minor release: the extra msgspec was removed"
        )

    def test_a_name_that_the_oldest_admitted_sibling_lacks_is_refused(
        self, tree: SmallTree
    ) -> None:
        tree.change(tree.core, "layers.py", '"find"]', '"find", "new"]\nnew = 1')
        tree.change(tree.auth, "auth.py", "import Layer", "import Layer, new")
        tree.tag(tree.core, "1.1.0")
        tree.fragment(tree.auth, "fix")
        assert refused(tree.auth, "1.0.1") == (
            "src/channels_auth/auth.py:2 uses channels_core.layers.new, which is not public in "
            "channels-core 1.0.0: raise the range of channels-core to the release that has it"
        )
        path = tree.auth.folder / "pyproject.toml"
        path.write_text(path.read_text().replace("channels-core>=1.0", "channels-core>=1.1"))
        tree.commit("Raise the range")
        assert refused(tree.auth, "1.1.0") == ""


class TestSiblingsInExtras:
    @pytest.fixture(autouse=True)
    def _released(self, tree: SmallTree) -> None:
        tree.tag(tree.core, "1.0.0")
        tree.fragment(tree.auth, "feature")

    def require(self, tree: SmallTree, *lines: str) -> None:
        """Give the plugin an extra for each of these requirements."""
        extras = "".join(f'extra{number} = ["{line}"]\n' for number, line in enumerate(lines))
        tree.configure(
            tree.auth,
            "\n[tool.poetry]",
            f"\n[project.optional-dependencies]\n{extras}\n[tool.poetry]",
        )

    def test_a_version_that_an_extra_excludes_is_refused(self, tree: SmallTree) -> None:
        redis = by_name("channels-layers-redis").at(tree.root)
        assert [*excluded(redis, Version("1.9.0"))] == []
        (line,) = excluded(redis, Version("2.0.0"))
        assert line == (
            "channels requires channels-layers-redis<2,>=1.0, which excludes 2.0.0: "
            "widen that range first"
        )

    def test_an_extra_can_limit_a_range_of_the_package(self, tree: SmallTree) -> None:
        self.require(tree, "channels-core<1.5")
        (line, *_) = excluded(tree.core, Version("1.5.0"))
        assert line.startswith("channels-auth requires channels-core<1.5,<2,>=1.0")

    def test_a_range_without_a_release_is_refused_once(self, tree: SmallTree) -> None:
        self.require(tree, "channels-layers-memory>=1.0,<2", "channels-layers-memory>=1.0,<2")
        assert refused(tree.auth, "1.0.0") == (
            "channels-auth needs channels-layers-memory<2,>=1.0, and channels-layers-memory has "
            "no release in this range: release that first"
        )
        tree.tag(by_name("channels-layers-memory").at(tree.root), "1.0.0")
        assert refused(tree.auth, "1.0.0") == ""

    def test_an_extra_that_the_sibling_lacks_is_refused(self, tree: SmallTree) -> None:
        self.require(tree, "channels-core[msgspec]", "channels-core[nonsense]")
        assert refused(tree.auth, "1.0.0") == (
            "channels-auth requires channels-core[nonsense], which 1.0.0 does not have"
        )

    def test_so_is_one_that_the_package_itself_requires(self, tree: SmallTree) -> None:
        tree.configure(tree.auth, '"channels-core>=', '"channels-core[nonsense]>=')
        assert refused(tree.auth, "1.0.0").endswith("[nonsense], which 1.0.0 does not have")

    def test_an_extra_of_all_extras_is_no_sibling(self, tree: SmallTree) -> None:
        self.require(tree, "msgpack", "channels-auth[extra0]")
        assert refused(tree.auth, "1.0.0") == ""

    def test_a_newer_sibling_in_an_extra_gives_the_package_no_names(self, tree: SmallTree) -> None:
        tree.change(tree.core, "layers.py", '"find"]', '"find", "new"]\nnew = 1')
        tree.tag(tree.core, "1.1.0")
        self.require(tree, "channels-core>=1.1")
        tree.change(tree.auth, "auth.py", "import Layer", "import Layer, new")
        assert "new, which is not public in channels-core 1.0.0" in refused(tree.auth, "1.0.0")

    def test_what_only_an_extra_needs_has_the_names_that_are_used(self, tree: SmallTree) -> None:
        memory = by_name("channels-layers-memory")
        tree.tag(memory.at(tree.root), "1.0.0")
        self.require(tree, "channels-layers-memory>=1.0,<2")
        tree.change(tree.auth, "auth.py", "from", "import channels_layers_memory.lost\nfrom")
        assert "which is not public in channels-layers-memory 1.0.0" in refused(tree.auth, "1.0.0")


class TestTheWholeCommand:
    @pytest.fixture
    def tried(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
        """Record which wheels are tested together; tools.isolated tests itself."""
        found: list[list[str]] = []

        def try_alone(package: Package, extras: tuple[str, ...], wheels: Path) -> str | None:
            found.append(sorted(file.name for file in wheels.glob("*.whl")))
            return "1 failed" if (package.folder / "fails").exists() else None

        monkeypatch.setattr(release, "try_alone", try_alone)
        return iter([found])

    @pytest.fixture
    def run(
        self, tree: SmallTree, monkeypatch: pytest.MonkeyPatch, tried: Iterator[list[list[str]]]
    ) -> list[list[str]]:
        monkeypatch.setattr(release, "by_name", lambda name: by_name(name).at(tree.root))
        return next(tried)

    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Do not check what is built, which takes seconds."""
        monkeypatch.setattr(release, "faults", lambda *_: [])

    def release(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["release", *arguments])
        main()

    def test_it_releases_one_package_and_leaves_the_others(
        self,
        tree: SmallTree,
        run: list[list[str]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        tree.fragment(tree.core, "feature")
        self.release(monkeypatch, "channels-core", "1.0.0")
        tree.fragment(tree.auth, "feature")
        self.release(monkeypatch, "channels-auth", "1.0.0")
        before = git(tree.root, "rev-parse", "HEAD").strip()
        tree.fragment(tree.auth, "fix", "Logins work.")
        self.release(monkeypatch, "channels-auth", "1.0.1")

        tags = git(tree.root, "tag").split()
        assert tags == ["channels-auth-v1.0.0", "channels-auth-v1.0.1", "channels-core-v1.0.0"]
        changed = git(tree.root, "diff", "--name-only", before, "HEAD").split()
        assert changed == [
            "packages/channels-auth/CHANGELOG.md",
            "packages/channels-auth/pyproject.toml",
            "packages/channels-auth/src/channels_auth/__init__.py",
        ]
        assert git(tree.root, "status", "--porcelain") == ""
        assert git(tree.root, "log", "-1", "--format=%s").strip() == "Release channels-auth 1.0.1"
        assert tree.version(tree.auth) == "1.0.1"
        assert '"1.0.1"' in (tree.auth.source / "__init__.py").read_text()
        assert "- Logins work." in (tree.auth.folder / "CHANGELOG.md").read_text()
        assert kinds(tree.auth) == []
        assert {path.name for path in (tree.root / "dist").iterdir()} >= {
            "channels_auth-1.0.1.tar.gz",
            "channels_auth-1.0.1-py3-none-any.whl",
        }
        assert run[-1] == [
            "channels_auth-1.0.1-py3-none-any.whl",
            "channels_core-1.0.0-py3-none-any.whl",
        ]
        assert "git push --atomic origin HEAD channels-auth-v1.0.1" in capsys.readouterr().out

    def test_it_tests_with_the_oldest_and_the_newest_siblings(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree.tag(tree.core, "1.0.0")
        set_version(tree.core, Version("1.1.0"))
        tree.commit("Release channels-core 1.1.0")
        tree.tag(tree.core, "1.1.0")
        tree.fragment(tree.auth, "feature")
        self.release(monkeypatch, "channels-auth", "1.0.0")
        assert [files[1][:19] for files in run] == ["channels_core-1.0.0", "channels_core-1.1.0"]

    def test_tests_that_fail_leave_everything_as_it_was(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tree.core.folder / "fails").touch()
        tree.fragment(tree.core, "feature")
        before = git(tree.root, "rev-parse", "HEAD")
        with pytest.raises(SystemExit, match=r"1 failed\n.*is not released, and nothing has"):
            self.release(monkeypatch, "channels-core", "1.0.0")
        self.check_as_it_was(tree, before)
        assert len(run) > 0

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("step", ["commit", "tag"])
    def test_a_commit_or_a_tag_that_fails_leaves_everything_as_it_was(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        tree.fragment(tree.core, "feature")
        before = git(tree.root, "rev-parse", "HEAD")
        git(tree.root, "config", f"{step}.gpgsign", "true")
        git(tree.root, "config", "gpg.program", "false")
        with pytest.raises(SystemExit, match=rf"(?s)^git {step}.* nothing has changed\.$"):
            self.release(monkeypatch, "channels-core", "1.0.0")
        self.check_as_it_was(tree, before)

    def check_as_it_was(self, tree: SmallTree, before: str) -> None:
        assert git(tree.root, "rev-parse", "HEAD") == before
        assert git(tree.root, "status", "--porcelain") == ""
        assert git(tree.root, "tag") == ""
        assert kinds(tree.core) == ["feature"]
        assert not (tree.root / "dist").exists()
        assert len(git(tree.root, "worktree", "list").splitlines()) == 1

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_during_the_tests_leaves_everything_as_it_was(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        tree.fragment(tree.core, "feature")
        before = git(tree.root, "rev-parse", "HEAD")

        def try_alone(*_: object) -> None:
            signal.pthread_kill(threading.get_ident(), number)

        monkeypatch.setattr(release, "try_alone", try_alone)
        with pytest.raises(SystemExit) as stopped:
            self.release(monkeypatch, "channels-core", "1.0.0")
        assert stopped.value.code == (
            f"{signal.Signals(number).name}: "
            "channels-core 1.0.0 is not released, and nothing has changed."
        )
        self.check_as_it_was(tree, before)

    @pytest.mark.usefixtures("quick")
    def test_what_somebody_commits_during_the_tests_stays(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree.fragment(tree.core, "feature")

        def try_alone(package: Package, extras: tuple[str, ...], wheels: Path) -> str:
            (tree.root / "new.txt").touch()
            git(tree.root, "add", "new.txt")
            git(tree.root, "commit", "--quiet", "-m", "Work", "--", "new.txt")
            return "1 failed"

        monkeypatch.setattr(release, "try_alone", try_alone)
        with pytest.raises(SystemExit, match="nothing has changed"):
            self.release(monkeypatch, "channels-core", "1.0.0")
        assert git(tree.root, "log", "-1", "--format=%s").strip() == "Work"
        self.check_as_it_was(tree, git(tree.root, "rev-parse", "HEAD"))

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("place", ["_changelog", "build", "_commit"])
    def test_a_signal_in_another_step_waits_for_its_end(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        tree.fragment(tree.core, "feature")
        before = git(tree.root, "rev-parse", "HEAD")
        step = getattr(release, place)
        ended = []

        def during(*arguments: Any) -> Any:
            # To this thread: of those to the process, another test's thread may take one.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            found = step(*arguments)
            ended.append(place)
            return found

        monkeypatch.setattr(release, place, during)
        with pytest.raises(SystemExit, match=r"^SIG\w+: .* is not released, and nothing has"):
            self.release(monkeypatch, "channels-core", "1.0.0")
        assert ended == [place]
        self.check_as_it_was(tree, before)

    @pytest.mark.usefixtures("quick")
    def test_what_cannot_be_undone_is_told(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def try_alone(package: Package, extras: tuple[str, ...], wheels: Path) -> str:
            (tree.root / ".git" / "index.lock").touch()
            return "1 failed"

        tree.fragment(tree.core, "feature")
        monkeypatch.setattr(release, "try_alone", try_alone)
        with pytest.raises(SystemExit, match=r"index\.lock.*") as failed:
            self.release(monkeypatch, "channels-core", "1.0.0")
        assert str(failed.value.code).endswith(
            "channels-core 1.0.0 is not released: see `git status` and `git log`."
        )

    def test_a_dry_run_shows_the_changelog_and_changes_nothing(
        self,
        tree: SmallTree,
        run: list[list[str]],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        tree.fragment(tree.core, "feature", "Layers can be found.")
        self.release(monkeypatch, "channels-core", "1.0.0", "--dry-run")
        printed = capsys.readouterr().out
        assert "tag channels-core-v1.0.0" in printed
        assert "- Layers can be found." in printed
        assert git(tree.root, "status", "--porcelain") == ""
        assert git(tree.root, "tag") == ""
        assert run == []

    def test_a_refusal_names_the_package_in_each_line(
        self, tree: SmallTree, run: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(SystemExit, match=r"^channels-core 1\.1\.0 is refused: the first"):
            self.release(monkeypatch, "channels-core", "1.1.0")
        assert run == []

    @pytest.mark.parametrize("version", ["1.1", "v1.1.0", ""])
    def test_a_text_that_is_no_version_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, version: str
    ) -> None:
        with pytest.raises(SystemExit, match=r"is not a version such as 1\.1\.0"):
            self.release(monkeypatch, "channels-core", version)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_fragments_of_the_tree_are_in_order(package: Package) -> None:
    assert [*faulty(package)] == []


def test_many_reasons_are_cut_short() -> None:
    changes = [(Step.MAJOR, f"name{number} was removed") for number in range(9)]
    lines = [*misstep("channels-core", FIRST, Version("1.1.0"), ["feature"], changes)]
    assert len(lines) == 6
    assert lines[-1] == "... and 4 more such changes"


def test_a_fragment_that_says_more_than_the_step_is_refused() -> None:
    (line,) = misstep("channels-core", FIRST, Version("1.0.1"), ["feature", "fix"], [])
    assert line == "a fragment of the kind feature needs a minor release, not a patch release"


class TestTags:
    def test_they_name_a_package_and_a_version(self) -> None:
        assert of_tag("channels-core-v1.0.0") == (by_name("channels-core"), FIRST)
        assert of_tag("channels-v5.0.0") == (by_name("channels"), Version("5.0.0"))

    @pytest.mark.parametrize("tag", ["v1.0.0", "channels-core-v1", "other-v1.0.0", "channels"])
    def test_others_name_no_release(self, tag: str) -> None:
        assert of_tag(tag) is None

    def test_releases_are_those_of_the_package_in_this_line_of_commits(
        self, tree: SmallTree
    ) -> None:
        for version in ("1.10.0", "1.9.0"):
            tree.tag(tree.core, version)
        tree.tag(by_name("channels").at(tree.root), "5.0.0")
        git(tree.root, "checkout", "--quiet", "-b", "other")
        tree.fragment(tree.core, "fix")
        tree.tag(tree.core, "2.0.0")
        git(tree.root, "checkout", "--quiet", "main")
        assert releases(tree.core) == [Version("1.9.0"), Version("1.10.0")]

    def test_a_checkout_is_what_the_tree_was_and_goes_away(self, tree: SmallTree) -> None:
        tree.tag(tree.core, "1.0.0")
        tree.change(tree.core, "layers.py", "find", "search")
        with checkout(tree.root, "channels-core-v1.0.0") as folder:
            assert "find" in (tree.core.at(folder).source / "layers.py").read_text()
        assert not folder.exists()
        assert len(git(tree.root, "worktree", "list").splitlines()) == 1


def test_a_tag_that_cannot_be_checked_out_says_why(tree: SmallTree) -> None:
    with pytest.raises(RuntimeError, match="worktree add"), checkout(tree.root, "nothing"):
        pass


def test_an_error_of_git_says_what_git_said(tree: SmallTree) -> None:
    with pytest.raises(RuntimeError, match=r"git show nothing: .*nothing"):
        git(tree.root, "show", "nothing")


def test_the_makefile_passes_the_package_the_version_and_the_dry_run() -> None:
    done = subprocess.run(
        ["make", "-n", "release", "P=channels-http", "V=1.1.0", "DRY_RUN=1"],
        cwd=by_name("channels").root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '-m tools.release --dry-run -- "channels-http" "1.1.0"' in done.stdout
