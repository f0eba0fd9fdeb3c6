"""A cluster of Redis servers for tests, without replicas."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import parts
from processes import SECONDS, free_port
from redis_server import MissingRedis, RedisServer

__all__ = ["running_cluster"]

_SLOTS: Final = 16384


@contextmanager
def running_cluster(count: int = 3) -> Iterator[list[RedisServer]]:
    """Run a cluster of some nodes, or skip the test if redis-server is not installed."""
    with ExitStack() as stack:
        nodes, bus_ports = [], []
        for number in range(count):
            bus_ports.append(free_port())
            options = f"--cluster-enabled yes --cluster-port {bus_ports[-1]}".split()
            try:
                node = RedisServer(*options, "--save", "", port=free_port())
            except MissingRedis as missing:
                parts.missing(missing)
            nodes.append(stack.enter_context(node))
            first, end = (_SLOTS * part // count for part in (number, number + 1))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node, bus_port in zip(nodes[1:], bus_ports[1:], strict=True):
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus_port)
        patience = time.monotonic() + SECONDS
        while not all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes):
            assert time.monotonic() < patience, "the cluster does not come up"
            time.sleep(0.05)
        yield nodes
