"""A cluster of a test's own, on ports of this machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from redis.crc import key_slot

from redis_process import RedisProcess, free_port, running_redis

__all__ = ["RedisCluster", "port_of", "running_cluster"]

_SLOTS = 16384
#: Milliseconds after which a node that does not answer has failed.
_NODE_TIMEOUT = 1000


class RedisCluster:
    """The nodes of a cluster: the masters, and then the replicas in the same order."""

    def __init__(self, nodes: list[RedisProcess], masters: int) -> None:
        self.nodes = nodes
        self.masters = nodes[:masters]

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def join(self, bus_ports: list[int]) -> None:
        """Make a cluster of the nodes, and wait until all of them know it."""
        count = len(self.masters)
        first = self.nodes[0]
        for number, node in enumerate(self.masters):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            ends = [_SLOTS * part // count for part in (number, number + 1)]
            node.ask("CLUSTER", "ADDSLOTSRANGE", ends[0], ends[1] - 1)
        for node, bus_port in zip(self.nodes[1:], bus_ports[1:], strict=True):
            first.ask("CLUSTER", "MEET", "127.0.0.1", port_of(node), bus_port)
        wait_for(lambda: all(self.knows_all(node) for node in self.nodes))
        for node, master in zip(self.nodes[count:], self.masters, strict=False):
            node.ask("CLUSTER", "REPLICATE", name_of(master))
        wait_for(lambda: all(self.is_ready(node) for node in self.nodes))

    def knows_all(self, node: RedisProcess) -> bool:
        return len(known_to(node)) == len(self.nodes)

    def is_ready(self, node: RedisProcess) -> bool:
        replicas = [flags for flags, _ in known_to(node) if "slave" in flags]
        joined = len(replicas) == len(self.nodes) - len(self.masters)
        return joined and b"cluster_state:ok" in node.ask("CLUSTER", "INFO")

    def node_of(self, name: str) -> RedisProcess:
        """Return the node that has the slot of a name now."""
        slot = key_slot(name.encode())
        for node in self.nodes:
            if node.process.poll() is None:
                for flags, slots in known_to(node):
                    if "myself" in flags and any(slot in some for some in slots):
                        return node
        raise LookupError(f"no node has the slot of {name}")

    def counts(self) -> dict[str, int]:
        """Return how often each command was called on all nodes, since `reset_counts`."""
        total: dict[str, int] = {}
        for node in self.nodes:
            for name, count in node.counts().items():
                total[name] = total.get(name, 0) + count
        return total

    def reset_counts(self) -> None:
        for node in self.nodes:
            node.reset_counts()

    def move_slot(self, name: str, there: RedisProcess) -> None:
        """Move the slot of a name, with its keys, to another master."""
        self.end_to_move(name, self.begin_to_move(name, there), there)

    def begin_to_move(self, name: str, there: RedisProcess) -> RedisProcess:
        """Begin to move a slot, and return the master that has it."""
        here, slot = self.node_of(name), key_slot(name.encode())
        there.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", name_of(here))
        here.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", name_of(there))
        return here

    def end_to_move(self, name: str, here: RedisProcess, there: RedisProcess) -> None:
        """Move the keys of a slot, and then the slot."""
        slot = key_slot(name.encode())
        while keys := here.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            here.ask("MIGRATE", "127.0.0.1", port_of(there), "", 0, 5000, "KEYS", *keys)
        for node in (there, here):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", name_of(there))


def known_to(node: RedisProcess) -> list[tuple[list[str], list[range]]]:
    """Return the flags and the slots of each node that a node knows."""
    text: bytes = node.ask("CLUSTER", "NODES")
    found = []
    for line in text.decode().splitlines():
        words = line.split()
        # Those in brackets are on their way.
        ends = [word.split("-") for word in words[8:] if not word.startswith("[")]
        found.append((words[2].split(","), [range(int(end[0]), int(end[-1]) + 1) for end in ends]))
    return found


def port_of(node: RedisProcess) -> int:
    return int(node.url.rpartition(":")[2].removesuffix("/0"))


def name_of(node: RedisProcess) -> str:
    name: bytes = node.ask("CLUSTER", "MYID")
    return name.decode()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is true of the nodes, which tell nobody."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the cluster does not come up"
        time.sleep(0.02)


@contextmanager
def running_cluster(masters: int = 3, replicas: int = 0) -> Iterator[RedisCluster]:
    """Run a cluster, or skip the test if the program is not installed."""
    with ExitStack() as ends:
        nodes, bus_ports = [], []
        for _ in range(masters + replicas):
            bus_ports.append(free_port())
            options = {
                "cluster-enabled": "yes",
                "cluster-node-timeout": _NODE_TIMEOUT,
                "cluster-port": bus_ports[-1],
                # A replica that has been away for a while may take over nevertheless.
                "cluster-replica-validity-factor": 0,
                "repl-diskless-sync-delay": 0,
            }
            words = [f"--{name} {value}".split() for name, value in options.items()]
            flat = [word for pair in words for word in pair]
            nodes.append(ends.enter_context(running_redis(*flat, port=free_port())))
        cluster = RedisCluster(nodes, masters)
        cluster.join(bus_ports)
        yield cluster
