"""What a link needs of the place where names are: of a server, or of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import asyncio

    from channels_layers_redis._layer.plain_groups import PlainGroups
    from channels_layers_redis._scripts.calls import Call

__all__ = ["Handler", "Place"]

_T = TypeVar("_T")

#: Takes the content of a message.
Handler: TypeAlias = Callable[[bytes], object]


class Place(Protocol):
    """A `Shard`, or a `Cluster`.

    Attributes:
        plain_groups: The groups that may have members which are no process's.
    """

    plain_groups: PlainGroups

    @property
    def listens(self) -> bool:
        """Whether it keeps listening."""

    def hears(self, address: str) -> bool:
        """Return whether messages to an address arrive."""

    def error_at(self, address: str) -> Exception | None:
        """Return why an address is not heard for now; None if that is not known."""

    def post(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command whose first argument is a key."""

    async def run(self, call: Call[_T]) -> _T:
        """Run a script."""

    def publish(self, address: str, message: bytes) -> asyncio.Future[Any]:
        """Publish a message; return what will be how many have heard it."""

    async def ping(self) -> None:
        """Ask each server for an answer, and wait until all addresses are heard."""

    async def delete_all(self, pattern: str) -> None:
        """Delete the keys that match a pattern."""

    def start(self, address: str, handler: Handler) -> None:
        """Begin to listen, at one address first."""

    def listen(
        self, address: str, handler: Handler, *, from_any_slot: bool = False
    ) -> asyncio.Future[Any]:
        """Subscribe to an address; return what is resolved when that is done."""

    def stop_listening(self, address: str) -> asyncio.Future[Any] | None:
        """Unsubscribe from an address; return what is resolved when that is done."""

    def come_up(self) -> asyncio.Future[None]:
        """Return what is resolved when all addresses are heard."""

    def may_have_plain_members(self, group: str) -> bool:
        """Return whether a group may have members that are no process's."""

    async def close(self) -> None:
        """Close the connections."""
