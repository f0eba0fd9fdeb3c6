import json
import re
from pathlib import Path

import pytest

from small_tree import SmallTree
from tools.build import build
from tools.packages import by_name
from tools.publish import main, mismatches, serial_number, write_bill

TAG = "channels-core-v1.0.0"


@pytest.fixture
def tree(tmp_path: Path) -> SmallTree:
    tree = SmallTree(tmp_path / "tree")
    tree.tag(tree.core, "1.0.0")
    return tree


def test_what_is_checked_out_is_the_tag(tree: SmallTree) -> None:
    assert [*mismatches(TAG, tree.core, "1.0.0")] == []


def test_another_version_commit_or_change_is_told(tree: SmallTree) -> None:
    tree.change(tree.core, "layers.py", "find", "search")
    (tree.root / "new.txt").touch()
    assert [*mismatches(TAG, tree.core, "1.1.0")] == [
        f"{TAG} names the version 1.1.0, and the package has 1.0.0",
        f"{TAG} is not what is checked out",
        "the checkout has changes",
    ]


def test_a_tag_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["publish", "v1.0.0"])
    with pytest.raises(SystemExit, match=r"v1\.0\.0 is not a tag such as channels-http-v1\.1\.0"):
        main()


def test_the_bill_lists_the_package_and_what_it_requires(tmp_path: Path) -> None:
    core, memory = by_name("channels-core"), by_name("channels-layers-memory")
    wheels = [build(one, tmp_path / "wheels")[1] for one in (memory, core)]
    write_bill(memory, wheels, tmp_path / "sbom.json")
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == memory.name
    names = {one["name"].lower() for one in bill["components"]}
    assert names == {core.name, "django", "asgiref", "sqlparse", "msgpack"}
    assert str(tmp_path) not in json.dumps(bill)
    # What GitHub's action for the attestation of a bill looks for.
    assert {"bomFormat", "serialNumber", "specVersion"} <= bill.keys()
    assert bill["serialNumber"] == serial_number(memory, memory.pyproject()["project"]["version"])


def test_the_serial_number_of_a_bill_is_that_of_the_release() -> None:
    core, auth = by_name("channels-core"), by_name("channels-auth")
    numbers = [serial_number(*one) for one in ((core, "1.0.0"), (core, "1.0.1"), (auth, "1.0.0"))]
    assert len(set(numbers)) == 3
    assert numbers[0] == serial_number(core, "1.0.0")
    # The pattern of CycloneDX's schema.
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", numbers[0])
