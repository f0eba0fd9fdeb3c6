"""Read the option `hosts`, and make connections to each server that it names."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

__all__ = ["DEFAULT_TIMEOUT", "Host", "read_hosts"]

#: Seconds that an answer of Redis may take, unless the settings say otherwise.
DEFAULT_TIMEOUT: Final = 5.0

# Any: redis-py takes options of many types.
Options: TypeAlias = dict[str, Any]

if TYPE_CHECKING:
    from typing import Protocol

    class Connection(Protocol):
        """What is used of a `redis.asyncio.Connection`, which is published without types."""

        async def connect(self) -> None:
            """Connect and authenticate."""

        async def disconnect(self, nowait: bool = False) -> None:
            """Close the socket."""

        def pack_commands(self, commands: Any) -> list[bytes]:
            """Return commands as they are sent."""

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            """Send what `pack_commands` has returned."""

        async def read_response(
            self, disable_decoding: bool = False, *, disconnect_on_error: bool = True
        ) -> Any:
            """Return the next answer or published message; raise an answer that is an error."""


#: What a pool of redis-py 8 adds to the options of its connections.
_OF_MAINTENANCE: Final = (
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "oss_cluster_maint_notifications_handler",
)


class Host:
    """One entry of the option `hosts`: a server, or the servers that Sentinel watches.

    Attributes:
        timeout: Seconds that an answer may take.
        name: Names it in the log, without its password.
        address: Its host and port; None for a socket of this machine, or behind Sentinel.
        database: The number of its database.
    """

    def __init__(self, entry: object) -> None:
        """Read the entry.

        Raises:
            TypeError: It has none of the forms of a host.
        """
        address, options = _split(entry)
        timeout = options.pop("socket_timeout", None)
        self._sentinels = options.pop("sentinels", None)
        self._master = options.pop("master_name", None)
        self._sentinel_options: Options = options.pop("sentinel_kwargs", None) or {}
        if self._sentinels is not None and not isinstance(self._master, str):
            raise TypeError(f"A host with 'sentinels' needs a 'master_name', got {self._master!r}")
        self._address = address
        self._options = options
        # What stands in the place of the address, for one node of a cluster.
        self._at: Options = {}
        # Reads the options in the query of a URL, and complains of a wrong one now.
        probe = self._make_pool(options)
        asked = probe.connection_kwargs.get("socket_timeout") or timeout
        self.timeout: float = float(asked or DEFAULT_TIMEOUT)
        self.name = _name_of(probe.connection_kwargs, self._master)
        self.address: tuple[str, int] | None = None
        if self._sentinels is None and "path" not in probe.connection_kwargs:
            where = probe.connection_kwargs
            self.address = where.get("host", "localhost"), int(where.get("port", 6379))
        self.database = int(probe.connection_kwargs.get("db") or 0)

    def _forced(self) -> Options:
        """Return the options that the layer decides."""
        return {
            # Bytes are read as they are, in the older protocol, which all servers speak.
            "decode_responses": False,
            "protocol": 2,
            # The link has time-outs of its own, which do not end a quiet connection. A command
            # whose connection broke may have been done, so nothing is tried again here.
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout,
            "health_check_interval": 0,
            "retry_on_timeout": False,
        }

    def at(self, address: tuple[str, int]) -> Host:
        """Return a server at another address, with the same options."""
        host = copy(self)
        host._at = {"host": address[0], "port": address[1]}
        host.name = _name_of(host._at, None)
        return host

    def _make_pool(self, options: Options) -> redis.asyncio.ConnectionPool:
        if self._address is not None:
            return redis.asyncio.ConnectionPool.from_url(self._address, **options)
        return redis.asyncio.ConnectionPool(**options)

    def new_connection(self) -> Connection:
        """Return a connection for the event loop that runs; it is not connected yet."""
        once = redis.asyncio.retry.Retry(NoBackoff(), 0)
        if self._sentinels is not None:
            return _ThroughSentinel(self, once)
        pool = self._make_pool(dict(self._options))
        _force(pool, **self._forced(), retry=once, **self._at)
        _keep_alive(pool)
        connection: Connection = pool.make_connection()
        return connection

    def new_client(self) -> redis.Redis:
        """Return a client for synchronous code, which any thread may use."""
        if self._sentinels is not None:
            watch = redis.sentinel.Sentinel(
                self._sentinels,
                sentinel_kwargs={"socket_timeout": self.timeout, **self._sentinel_options},
            )
            pool: redis.ConnectionPool = redis.sentinel.SentinelConnectionPool(
                self._master, watch, **self._options
            )
        elif self._address is not None:
            pool = redis.ConnectionPool.from_url(self._address, **self._options)
        else:
            pool = redis.ConnectionPool(**self._options)
        _force(pool, **self._forced_for_clients())
        return redis.Redis.from_pool(pool)

    def _forced_for_clients(self) -> Options:
        retry = Retry(NoBackoff(), 0)
        return {**self._forced(), "socket_timeout": self.timeout, "retry": retry}

    def options_in_cluster(self) -> Options:
        """Return the options of a client for clusters, without an address."""
        options = {**parse_url(self._address or "redis://"), **self._options}
        options.update(self._forced_for_clients())
        if issubclass(options.pop("connection_class", redis.Connection), redis.SSLConnection):
            options["ssl"] = True
        for name in ("host", "port", "db", "retry_on_timeout"):
            options.pop(name, None)
        return options


class _ThroughSentinel:
    """A connection to the server that Sentinel names as the master at that time."""

    def __init__(self, host: Host, retry: redis.asyncio.retry.Retry) -> None:
        self._host = host
        self._retry = retry
        self._pool: Any = None
        self._made: Any = None

    async def connect(self) -> None:
        host = self._host
        watch = redis.asyncio.sentinel.Sentinel(
            host._sentinels,
            sentinel_kwargs={
                "socket_timeout": host.timeout,
                "retry": self._retry,
                **host._sentinel_options,
            },
        )
        self._pool = redis.asyncio.sentinel.SentinelConnectionPool(
            host._master, watch, **host._options
        )
        _force(self._pool, **host._forced(), retry=self._retry)
        self._made = self._pool.make_connection()
        asking: list[Connection] = []
        for sentinel in watch.sentinels:
            _remember_connections(sentinel.connection_pool, asking)
        try:
            await self._made.connect()
        finally:
            for connection in asking:
                await connection.disconnect(nowait=True)

    async def disconnect(self, nowait: bool = False) -> None:
        if self._made is not None:
            await self._made.disconnect(nowait=nowait)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


def _remember_connections(pool: Any, made: list[Connection]) -> None:
    """Have a pool add each connection that it makes to a list.

    The pool itself closes its connections in tasks of their own. If the caller is cancelled before
    these have begun, the connections stay open.
    """
    make = pool.make_connection

    def make_connection() -> Connection:
        connection: Connection = make()
        made.append(connection)
        return connection

    pool.make_connection = make_connection


def read_hosts(option: object) -> list[Host]:
    """Read the option `hosts`: a list of servers, as channels-redis takes it.

    Raises:
        TypeError: It is no list, or an entry has none of the forms of a host.
        ValueError: The list is empty.
    """
    if option is None:
        option = [("localhost", 6379)]
    if isinstance(option, str | bytes | Mapping) or not hasattr(option, "__iter__"):
        raise TypeError(f"hosts must be a list of hosts, even if there is only one, not {option!r}")
    hosts = [Host(entry) for entry in option]
    if not hosts:
        raise ValueError("hosts must name at least one host")
    return hosts


def _split(entry: object) -> tuple[str | None, Options]:
    """Return the URL of an entry, if it has one, and its other options."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping):
        options = dict(entry)
        address = options.pop("address", None)
        if isinstance(address, str | None):
            return address, options
        if isinstance(address, tuple | list) and len(address) == 2:
            return None, {"host": address[0], "port": address[1], **options}
    elif isinstance(entry, tuple | list) and len(entry) == 2:
        return None, {"host": entry[0], "port": entry[1]}
    raise TypeError(
        "A host must be a URL, a pair of host and port, or a dict with 'address', 'host' or "
        f"'sentinels', not {entry!r}"
    )


def _force(pool: redis.ConnectionPool | redis.asyncio.ConnectionPool, **options: Any) -> None:
    """Set options of all connections of a pool.

    By default, pools of redis-py 8 let connections hear of the maintenance of a server. They refuse
    to be made then, since that needs the newer protocol.
    """
    pool.connection_kwargs.update(options)
    for name in _OF_MAINTENANCE:
        pool.connection_kwargs.pop(name, None)


def _keep_alive(pool: redis.asyncio.ConnectionPool) -> None:
    if not issubclass(pool.connection_class, redis.asyncio.UnixDomainSocketConnection):
        pool.connection_kwargs.setdefault("socket_keepalive", True)


def _name_of(options: Mapping[str, Any], master: str | None) -> str:
    if master is not None:
        return f"the master {master!r} of Sentinel"
    if "path" in options:
        return f"{options['path']}"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
