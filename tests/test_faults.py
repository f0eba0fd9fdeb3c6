"""What becomes of connections when a part of the site breaks: the trials of the table, in short."""

import os
from typing import Any

import pytest

from faults.__main__ import LAYERS
from faults.trials import TRIALS
from faults.world import running
from redis_server import MissingPart, find_program

# How long Redis is away, and how often memberships are renewed.
AWAY = 1.0
RENEWAL = "1"


@pytest.fixture(autouse=True)
def redis() -> None:
    """Skip where there is no Redis, if that is allowed."""
    try:
        find_program()
    except MissingPart as missing:
        if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
            raise
        pytest.skip(str(missing))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", TRIALS)
async def test_everything_works_again(name: str, layer: str) -> None:
    """The trial itself waits until every page hears every other one again."""
    async with running(layer, GROUP_RENEWAL=RENEWAL) as world:
        facts = await TRIALS[name](world, name, AWAY)
    for server, seen in facts.servers.items():
        assert seen.after["connected"] == 0, server
        assert seen.after["tasks"] <= seen.before["tasks"], server
        # Each connection that fails is told of, by the consumer and by the server, and an outage
        # as such now and then.
        failed = seen.ends.total() + seen.refusals.total()
        assert seen.lines <= 3 * failed + 30, server
    before, after = facts.stored
    assert after["clients"] <= before["clients"] + 1
    check = CHECKS.get(name)
    if check is not None:
        check(facts)


def check_killed(facts: Any) -> None:
    # Those of the other one notice nothing.
    assert not facts.servers["daphne"].ends
    assert not facts.servers["daphne"].refusals
    assert facts.servers["daphne"].missed == 0


def check_frozen(facts: Any) -> None:
    """All wait until Redis answers, and then go on."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends
        assert not seen.refusals


def check_emptied(facts: Any) -> None:
    """Nobody is closed; what the members miss until a renewal is the layer's."""
    for seen in facts.servers.values():
        assert not seen.ends
        assert not seen.refusals
        if facts.layer == "redis-pubsub":
            assert seen.missed == 0


def check_slow(facts: Any) -> None:
    """Nobody else misses a message because of who does not read, and nobody is closed."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends


def check_full(facts: Any) -> None:
    """Only who is busy loses what is over its channel's capacity."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends


CHECKS = {
    "Redis emptied while it runs": check_emptied,
    "Redis frozen": check_frozen,
    "Uvicorn killed with SIGKILL": check_killed,
    "A client that never reads": check_slow,
    "A channel over capacity": check_full,
}
