"""The effects of faults on connections: shorter runs of the trials in `faults`."""

import asyncio
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import parts
from faults.__main__ import LAYERS
from faults.server import Server
from faults.store import Store
from faults.trials import ENVIRONMENT, TRIALS
from faults.visitors import never_reads
from faults.world import COLOURS, running
from proxied import nginx
from redis_server import MissingRedis, find_program

# For how many seconds Redis is unavailable, and how often memberships are renewed.
AWAY = 1.0
RENEWAL = "1"


@pytest.fixture(autouse=True)
def redis() -> None:
    """Skip the tests if Redis is not installed."""
    try:
        find_program()
    except MissingRedis as missing:
        parts.missing(missing)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", TRIALS)
async def test_everything_works_again(name: str, layer: str) -> None:
    """The trial itself waits until every page receives from every other page again."""
    async with running(layer, GROUP_RENEWAL=RENEWAL, **ENVIRONMENT.get(name, {})) as world:
        facts = await TRIALS[name](world, name, AWAY)
    for server, seen in facts.servers.items():
        assert seen.after["connected"] == 0, server
        assert seen.after["tasks"] <= seen.before["tasks"], server
        # One line for the outage. channels-redis and the server may add one each, before ours.
        assert seen.lines <= 3, server
        assert seen.tracebacks <= (0 if is_ours(layer) else 2), server
        if layer == "layers-redis-history":
            assert seen.missed == 0, server
    before, after = facts.stored
    # The pools of channels-redis may grow by one connection in each server.
    more = 0 if is_ours(layer) else len(facts.servers)
    assert after["clients"] <= before["clients"] + more
    check = CHECKS.get(name)
    if check is not None:
        check(facts)


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_proxy_disconnects_a_client_that_never_reads(layer: str, tmp_path: Path) -> None:
    """Uvicorn itself does not end it. No waiting messages are left over."""
    with ExitStack() as stack:
        store = stack.enter_context(Store())
        server = Server("uvicorn", CHANNEL_LAYER=layer, REDIS_URL=store.url)
        stack.enter_context(server)
        await server.ready()
        hosts = [server.host, server.host]
        port = stack.enter_context(nginx(hosts, tmp_path, send_timeout="1s"))
        stack.enter_context(closing(await asyncio.to_thread(never_reads, "127.0.0.1", port)))
        state = await server.state()
        assert state["connected"] == 1
        async with asyncio.timeout(60):
            while state["connected"]:
                await server.send(type="room.said", said=list(range(20)), more=64 * 1024)
                state = await server.state()
            while state["layer"]["waiting"] or state["layer"]["channels"]:
                state = await server.state()


def is_ours(layer: str) -> bool:
    return layer.startswith("layers-redis")


def check_stopped(facts: Any) -> None:
    """All are told to come back, and refused until Redis is back."""
    for server, seen in facts.servers.items():
        assert set(seen.ends) == {"1012"}
        assert set(seen.refusals) <= {"403" if server == "daphne" else "503"}


def check_restarted(facts: Any) -> None:
    """Either all pages of a process reconnect, or none does."""
    for seen in facts.servers.values():
        if is_ours(facts.layer):
            # Those who send while Redis is away are told to come back, and with history no others.
            assert set(seen.ends) <= {"1012"}
        else:
            assert seen.ends.total() == (len(COLOURS) if facts.layer == "redis" else 0)


def check_killed(facts: Any) -> None:
    # The pages of the other server are not affected.
    assert not facts.servers["daphne"].ends
    assert not facts.servers["daphne"].refusals
    assert facts.servers["daphne"].missed == 0


def check_frozen(facts: Any) -> None:
    """All wait until Redis answers, and then continue."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends
        assert not seen.refusals


def check_emptied(facts: Any) -> None:
    """No connection is closed. Members may miss messages until the next renewal."""
    for seen in facts.servers.values():
        assert not seen.ends
        assert not seen.refusals
        if facts.layer != "redis":
            assert seen.missed == 0


def check_slow(facts: Any) -> None:
    """Other clients miss no messages, and no connection is closed."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends


def check_full(facts: Any) -> None:
    """Only the busy consumer loses messages, those beyond the capacity of its channel."""
    for seen in facts.servers.values():
        assert seen.missed == 0
        assert not seen.ends


CHECKS = {
    "Redis stopped and started again": check_stopped,
    "Redis restarted empty, at once": check_restarted,
    "Redis emptied while it runs": check_emptied,
    "Redis frozen": check_frozen,
    "Uvicorn killed with SIGKILL": check_killed,
    "A client that never reads": check_slow,
    "A client that never reads, with max_pending": check_slow,
    "A channel over capacity": check_full,
}
