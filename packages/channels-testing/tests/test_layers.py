import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from channels_testing._contract.exclude import Exclude
from channels_testing._contract.gaps import Gaps
from channels_testing._contract.history import History
from channels_testing._contract.members import Members
from channels_testing._contract.queues import Queues
from channels_testing.layers import ChannelLayerContract
from extended_layer import ExtendedContract
from simple_layer import SimpleContract

HERE = Path(__file__).parent

PROGRAM = """
from channels_testing.layers import ChannelLayerContract
from simple_layer import Clock, SimpleLayer, Store

class TestMine(ChannelLayerContract):
    latency = churns = races = 0
    deviations = dict.fromkeys(
        [
            "test_a_message_expires",
            "test_each_message_expires_by_itself",
            "test_an_expired_message_makes_room",
            "test_a_membership_expires",
            "test_what_a_listener_leaves_expires",
        ],
        "its clock stands still",
    )

    def make_layer(self, **options):
        return SimpleLayer(Store(), Clock(), **options)

    async def pass_time(self, seconds):
        pass
"""

# Tests of a layer need neither plugin.
NO_PLUGINS = ("-p", "no:asyncio", "-p", "no:django")


class TestSimpleLayer(SimpleContract):
    """A layer that keeps every clause."""


class TestExtendedLayer(ExtendedContract):
    """A layer with all extensions that keeps every clause."""


def test_steps_of_clauses_do_not_clash() -> None:
    """All clauses are methods of one class, and so are the steps that they are written with."""
    found: dict[str, type] = {}
    for part in ChannelLayerContract.__mro__[1:-2]:
        for name in vars(part):
            if not name.startswith("__"):
                assert found.setdefault(name, part) is part, name


def test_each_clause_states_itself() -> None:
    for name in ChannelLayerContract.clauses():
        statement = getattr(ChannelLayerContract, name).__doc__
        assert statement, name
        assert re.fullmatch(r"[A-Z`].*\.", statement), name


def test_each_clause_is_broken_by_some_layer() -> None:
    told = "".join(path.read_text() for path in HERE.glob("test_layer_*.py"))
    assert set(ChannelLayerContract.clauses()) <= set(re.findall(r"test_\w+", told))


@pytest.mark.parametrize(
    "options",
    [
        NO_PLUGINS,
        ("-p", "no:django", "-o", "asyncio_mode=strict"),
        ("-p", "no:django", "-o", "asyncio_mode=auto"),
    ],
    ids=["no plugin", "strict", "auto"],
)
def test_it_runs_in_any_mode(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Passed, skipped and expected failures are counted as such."""
    (tmp_path / "test_mine.py").write_text(PROGRAM)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "DJANGO_", "COV_"))
    }
    paths = filter(None, [str(HERE), environment.get("PYTHONPATH")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_mine.py"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Each of its layers has a store of its own, so the clauses on shared channels are skipped. It
    # has no ping(), and no extension but the first two.
    skipped = 3 + 1 + sum(len(part.clauses()) for part in (Exclude, Gaps, History, Members, Queues))
    found = {name: int(count) for count, name in re.findall(r"(\d+) ([a-z]{6,})", done.stdout)}
    passed = len(ChannelLayerContract.clauses()) - skipped - 5
    assert found == {"passed": passed, "skipped": skipped, "xfailed": 5}, done.stdout
