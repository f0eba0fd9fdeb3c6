"""The Redis of the trials, which is stopped, frozen and killed while the site uses it."""

from processes import free_port
from redis_server import RedisServer

__all__ = ["Store"]


class Store(RedisServer):
    """A Redis on a port, which keeps its content over an orderly stop."""

    def __init__(self) -> None:
        """Find the program and a port."""
        super().__init__("--save", "3600 1", port=free_port())

    def empty(self) -> None:
        """Delete what it kept; call this while it is stopped."""
        (self.folder / "dump.rdb").unlink(missing_ok=True)

    def count(self) -> dict[str, int]:
        """Return what could accumulate in it: keys, and connections other than this one."""
        clients = self.ask("client", "list")
        lines = clients if isinstance(clients, list) else clients.decode().splitlines()
        return {"keys": self.ask("dbsize"), "clients": len(lines) - 1}
