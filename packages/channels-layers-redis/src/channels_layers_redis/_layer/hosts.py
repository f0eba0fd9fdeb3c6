"""Read the option `hosts`, and make connections to each server that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisError
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
            TypeError: It has none of the forms of a host, or an option that redis-py does not know.
            ValueError: The value of an option is wrong.
            redis.exceptions.RedisError: redis-py refuses an option.
        """
        address, options = _split(entry)
        timeout = options.pop("socket_timeout", None)
        self._sentinels = options.pop("sentinels", None)
        self._master = options.pop("master_name", None)
        self._sentinel_options: Options = options.pop("sentinel_kwargs", None) or {}
        if self._sentinels is not None and not isinstance(self._master, str):
            raise TypeError(f"a host with 'sentinels' needs a 'master_name', got {self._master!r}")
        if self._sentinels is None and self._master is not None:
            raise TypeError(
                "a host with 'master_name' needs 'sentinels': a list of their addresses"
            )
        if self._sentinels is not None and not self._sentinels:
            raise ValueError("'sentinels' must have at least one address")
        self._address = address
        self._options = options
        # What stands in the place of the address, for one node of a cluster.
        self._at: Options = {}
        # Reads the options in the query of a URL, and complains of a wrong one now.
        probe = self._make_pool(options)
        asked = probe.connection_kwargs.get("socket_timeout") or timeout
        self.timeout: float = float(asked or DEFAULT_TIMEOUT)
        if not 0 < self.timeout < inf:
            raise ValueError(f"socket_timeout must be a positive number of seconds, not {asked!r}")
        self.name = _name_of(probe.connection_kwargs, self._master)
        self.address: tuple[str, int] | None = None
        if self._sentinels is None and "path" not in probe.connection_kwargs:
            where = probe.connection_kwargs
            name = where.get("host", "localhost")
            if not isinstance(name, str | None):
                raise TypeError(f"the name of a host must be a str, not {name!r}")
            self.address = name or "localhost", int(where.get("port", 6379))
        self.database = int(probe.connection_kwargs.get("db") or 0)
        self._require_known_options()

    def _require_known_options(self) -> None:
        """Make a connection, which stays unused: only then does redis-py look at all options."""
        connection = self.new_connection()
        if isinstance(connection, _ThroughSentinel):
            connection.make()

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

    def make(self) -> redis.asyncio.sentinel.Sentinel:
        """Make the connection, which is not connected yet; return what asks Sentinel."""
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
        return watch

    async def connect(self) -> None:
        watch = self.make()
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
        ValueError: The list is empty, or the value of an option is wrong.
    """
    if option is None:
        option = [("localhost", 6379)]
    if isinstance(option, str | bytes | Mapping) or not hasattr(option, "__iter__"):
        raise TypeError(
            "hosts must be a list of hosts, even if there is only one, not "
            f"{_without_secrets(option)}"
        )
    if isinstance(option, tuple | list) and [type(part) for part in option] == [str, int]:
        raise TypeError(
            f"hosts must be a list of hosts, even if there is only one: write [{tuple(option)!r}], "
            f"not {option!r}"
        )
    hosts = [_host(index, entry) for index, entry in enumerate(option)]
    if not hosts:
        raise ValueError("hosts must name at least one host")
    return hosts


def _host(index: int, entry: object) -> Host:
    """Return the host of an entry; an error names the entry."""
    try:
        return Host(entry)
    except (TypeError, ValueError, RedisError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"hosts[{index}] cannot be used: {error}; it is {_without_secrets(entry)}"
        ) from error


def _without_secrets(entry: object) -> str:
    """Return an entry as the text of an error shows it: whoever reads a log needs no password."""
    if isinstance(entry, Mapping):
        parts = (
            f"{key!r}: {'...' if 'password' in str(key) else _without_secrets(value)}"
            for key, value in entry.items()
        )
        return f"{{{', '.join(parts)}}}"
    if isinstance(entry, str):
        entry = re.sub(r"^(\w+:/*)?.*@", r"\1...@", entry)
        entry = re.sub(r"(?<=password=)[^&]*", "...", entry)
    return repr(entry)


def _split(entry: object) -> tuple[str | None, Options]:
    """Return the URL of an entry, if it has one, and its other options."""
    if isinstance(entry, str):
        return _url(entry), {}
    if isinstance(entry, Mapping):
        options = dict(entry)
        address = options.pop("address", None)
        if isinstance(address, str):
            return _url(address), options
        if address is None:
            return None, options
        if isinstance(address, tuple | list) and len(address) == 2:
            return None, {"host": address[0], "port": address[1], **options}
    elif isinstance(entry, tuple | list) and len(entry) == 2:
        return None, {"host": entry[0], "port": entry[1]}
    raise TypeError(
        "a host must be a URL, a pair of host and port, or a dict with 'address', 'host' or "
        "'sentinels'"
    )


def _url(text: str) -> str:
    if "://" not in text:
        raise ValueError(
            "a URL begins with redis://, rediss:// or unix://: write for example "
            "'redis://127.0.0.1:6379'"
        )
    return text


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
