from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.build import build, faults, problems, reproduced, unpacked
from tools.packages import by_name

AUTH = by_name("channels-auth")
VERSION = AUTH.pyproject()["project"]["version"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive, _ = build(AUTH, tmp_path_factory.mktemp("dist"))
    assert archive.name == f"channels_auth-{VERSION}.tar.gz"
    return archive


@pytest.fixture(scope="module")
def wheel(archive: Path) -> Path:
    (wheel,) = archive.parent.glob("*.whl")
    return wheel


def copied(wheel: Path, target: Path, leave_out: str) -> Path:
    path = target / wheel.name
    with ZipFile(wheel) as source, ZipFile(path, "w") as copy:
        for name in source.namelist():
            if not name.endswith(leave_out):
                copy.writestr(name, source.read(name))
    return path


def test_a_complete_wheel_has_no_problems(wheel: Path) -> None:
    assert wheel.name == f"channels_auth-{VERSION}-py3-none-any.whl"
    assert list(problems(AUTH, wheel)) == []


@pytest.mark.parametrize("name", ["channels_auth/py.typed", "licenses/LICENSE"])
def test_a_missing_file_is_named(wheel: Path, tmp_path: Path, name: str) -> None:
    (problem,) = problems(AUTH, copied(wheel, tmp_path, leave_out=name))
    assert problem.endswith(f"{name} is missing")


def test_a_file_that_does_not_belong_there_is_named(wheel: Path, tmp_path: Path) -> None:
    path = copied(wheel, tmp_path, leave_out="nothing")
    with ZipFile(path, "a") as content:
        content.writestr("tests/test_init.py", "")
    assert list(problems(AUTH, path)) == ["tests/test_init.py does not belong there"]


def test_a_wrong_version_in_the_metadata_is_named(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / wheel.name
    with ZipFile(wheel) as source, ZipFile(path, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            version = f"\nVersion: {VERSION}\n".encode()
            copy.writestr(name, content.replace(version, b"\nVersion: 0.9\n"))
    assert list(problems(AUTH, path)) == [f"its Version is '0.9' instead of '{VERSION}'"]


def test_the_source_archive_has_the_tests_and_the_changelog(archive: Path) -> None:
    tests = {path.relative_to(AUTH.folder) for path in (AUTH.folder / "tests").rglob("*.py")}
    with unpacked(archive) as source:
        assert {path.relative_to(source) for path in (source / "tests").rglob("*.py")} == tests
        assert (source / "CHANGELOG.md").read_text() == (AUTH.folder / "CHANGELOG.md").read_text()


def test_the_same_files_come_out_of_the_archive_whatever_the_clock_says(
    archive: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert list(reproduced(archive, wheel)) == []


def test_a_wheel_that_the_archive_does_not_give_is_named(wheel: Path, archive: Path) -> None:
    other = copied(wheel, archive.parent.parent, leave_out="py.typed")
    assert list(reproduced(archive, other)) == [
        f"{wheel.name} differs when it is built again from {archive.name}"
    ]


def test_twine_accepts_both(archive: Path, wheel: Path) -> None:
    assert list(faults(AUTH, archive, wheel)) == []


def test_what_twine_refuses_is_told(archive: Path, wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / wheel.name
    with ZipFile(wheel) as source, ZipFile(path, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            copy.writestr(name, content.replace(b"text/markdown", b"text/x-rst"))
    assert any(one.startswith("twine check --strict: ") for one in faults(AUTH, archive, path))
