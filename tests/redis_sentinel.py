"""Two Redis servers for tests, and a Sentinel that makes one of them the master."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import parts
from processes import SECONDS, free_port
from redis_server import MissingRedis, RedisServer

__all__ = ["Watched", "running_sentinel"]


class Watched:
    """The servers under the name `site`."""

    def __init__(self, servers: list[RedisServer], sentinel: RedisServer) -> None:
        self.servers = servers
        self.sentinel = sentinel

    @property
    def master(self) -> RedisServer:
        """The server that Sentinel names."""
        _, port = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "site")
        return next(one for one in self.servers if one.port == int(port))

    def change_master(self) -> None:
        """Have Sentinel make the other server the master, and wait until it is done."""
        before = self.master
        self.sentinel.ask("SENTINEL", "FAILOVER", "site")
        until(lambda: self.master is not before and is_replica(before))
        # Sentinel refuses the next one while it is busy with this one, or knows of no replica.
        until(lambda: self.is_calm)

    @property
    def is_calm(self) -> bool:
        words = self.sentinel.ask("SENTINEL", "MASTER", "site")
        facts = dict(zip(words[::2], words[1::2], strict=True))
        replicas = self.sentinel.ask("SENTINEL", "REPLICAS", "site")
        flags = [dict(zip(one[::2], one[1::2], strict=True))[b"flags"] for one in replicas]
        return facts[b"flags"] == b"master" and flags == [b"slave"]


def is_replica(server: RedisServer) -> bool:
    role = server.ask("ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


def until(condition: Callable[[], object]) -> None:
    patience = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < patience, "Sentinel does not do it"
        time.sleep(0.05)


@contextmanager
def running_sentinel() -> Iterator[Watched]:
    """Run a master, its replica and a Sentinel, or skip the test if Redis is not installed."""
    with ExitStack() as stack:
        try:
            servers = [RedisServer("--save", "", port=free_port()) for _ in range(2)]
            sentinel = RedisServer("--sentinel", port=free_port(), config="")
        except MissingRedis as missing:
            parts.missing(missing)
        for server in servers:
            stack.enter_context(server)
        master, replica = servers
        replica.ask("REPLICAOF", "127.0.0.1", master.port)
        until(lambda: is_replica(replica))
        stack.enter_context(sentinel)
        watched = Watched(servers, sentinel)
        sentinel.ask("SENTINEL", "MONITOR", "site", "127.0.0.1", master.port, 1)
        until(lambda: watched.is_calm)
        yield watched
