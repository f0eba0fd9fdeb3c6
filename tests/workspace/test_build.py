from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.build import build, problems
from tools.packages import by_name

AUTH = by_name("channels-auth")
VERSION = AUTH.pyproject()["project"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive, wheel = build(AUTH, tmp_path_factory.mktemp("dist"))
    assert archive.name == f"channels_auth-{VERSION}.tar.gz"
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
