"""A cluster runs each script: all its keys are in one slot, and it uses no others."""

from typing import Any

import pytest
from redis.crc import key_slot

from channels_layers_redis._scripts import history, members, plain_members, queues, waiting
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.waiting import read_element
from scripts_server import KEYS, running_scripts

NOTICES = members.Notices(to="group:{*}", joined=b"J", left=b"L", lease=20, linger=0)
TAKEN = read_element(b"0 0 - x")
# Any: the arguments of two functions.
KEEP: dict[str, Any] = {"age": 60.0, "keep": 60.0, "epoch": "abcdef01"}

CALLS: list[Call[Any]] = [
    waiting.append(KEYS, "jobs", b"x", capacity=9, expiry=60),
    waiting.pop(KEYS, "jobs"),
    waiting.put_back(KEYS, "jobs", TAKEN),
    queues.deliver(KEYS, "jobs", ["a"], redeliver_after=60, tries=1),
    queues.reject(KEYS, "jobs", "a", b"error", redeliver_after=60, tries=1),
    queues.deliver(KEYS, "jobs.dead", ["b"], redeliver_after=60, tries=1),
    queues.give_back(KEYS, "jobs.dead", "b"),
    queues.acknowledge(KEYS, "jobs.dead", "b"),
    history.send(KEYS, "room", b"x", head=b"h", to="group:{room}", size=9, **KEEP),
    history.read(KEYS, "room", after=None, limit=None, **KEEP),
    plain_members.add(KEYS, "room", "jobs", group_expiry=60),
    plain_members.record(KEYS, "room", group_expiry=60),
    plain_members.find(KEYS, "room"),
    plain_members.discard(KEYS, "room", "jobs"),
    members.join(KEYS, NOTICES, "p1", "room", "c1", "ann", b"data"),
    members.people(KEYS, NOTICES, "p1", "room"),
    members.renew(KEYS, NOTICES, "p1"),
    members.leave(KEYS, NOTICES, "p1", "room", "c1"),
    members.end_process(KEYS, NOTICES, "p1"),
]


@pytest.mark.parametrize("call", CALLS)
def test_all_keys_of_a_script_are_in_one_slot(call: Call[Any]) -> None:
    assert len({key_slot(key.encode()) for key in call.keys}) == 1


def test_a_cluster_runs_them() -> None:
    with running_scripts("--cluster-enabled", "yes") as scripts:
        scripts.ask("CLUSTER", "ADDSLOTS", *range(16384))
        while b"cluster_state:ok" not in scripts.ask("CLUSTER", "INFO"):
            scripts.ask("PING")
        for call in CALLS:
            scripts.run(call)
        [letter] = scripts.run(waiting.pop(KEYS, "jobs.dead"))
        assert letter.dead is not None
