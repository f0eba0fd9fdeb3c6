"""Read the option `hosts` for a cluster, and make clients for synchronous code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.cluster import ClusterNode
from redis.exceptions import ClusterDownError, RedisClusterException
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from channels_layers_redis._layer.hosts import Host

__all__ = ["ClusterHost"]


class ClusterHost:
    """The cluster that the option `hosts` names by some of its nodes.

    Attributes:
        nodes: These nodes.
        timeout: Seconds that an answer of Redis may take.
        name: Names the cluster in the log.
    """

    def __init__(self, nodes: list[Host]) -> None:
        """Take the nodes; all nodes of the cluster have the options of the first one.

        Raises:
            ValueError: One of them cannot be a node of a cluster.
        """
        for node in nodes:
            if node.address is None:
                raise ValueError(
                    "With cluster=True, each host must be a node with a host and a port, but one "
                    f"is {node.name}"
                )
            if node.database:
                raise ValueError(
                    f"A cluster has only the database 0, but {node.name} has {node.database}"
                )
        self.nodes = nodes
        self.timeout = nodes[0].timeout
        self.name = f"the cluster of {', '.join(node.name for node in nodes)}"

    def at(self, address: tuple[str, int]) -> Host:
        """Return a node of the cluster."""
        return self.nodes[0].at(address)

    def new_client(self) -> redis.RedisCluster:
        """Return a client for synchronous code, which any thread may use; it connects now.

        Raises:
            redis.exceptions.ConnectionError: No node answers.
        """
        pool = self.nodes[0].new_pool()
        options = dict(pool.connection_kwargs)
        for part in ("host", "port", "db", "retry_on_timeout"):
            options.pop(part, None)
        if issubclass(pool.connection_class, redis.SSLConnection):
            options["ssl"] = True
        try:
            return _Client(
                startup_nodes=[ClusterNode(*node.address) for node in self.nodes if node.address],
                require_full_coverage=False,
                **options,
            )
        except RedisClusterException as error:
            raise RedisConnectionError(f"{self.name} cannot be reached: {error}") from error


class _Client(redis.RedisCluster):
    """A client whose errors are those of a server that is away, while the cluster is down."""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call] # redis-py
        except (ClusterDownError, RedisClusterException) as error:
            raise RedisConnectionError(f"The cluster cannot do this now: {error}") from error

    def ping(self, **kwargs: Any) -> Any:
        return super().ping(target_nodes=self.PRIMARIES, **kwargs)
