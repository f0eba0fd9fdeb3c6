"""The type of what a JSON consumer receives, which a subclass may name in brackets."""

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic

from channels_core.connection import framework

if TYPE_CHECKING:
    # For type checkers, which have it by themselves: Python's own has defaults from 3.13 on.
    from typing_extensions import TypeVar

    ContentT = TypeVar("ContentT", default=Any)
else:
    from typing import TypeVar

    ContentT = TypeVar("ContentT")

__all__ = ["ContentT", "JsonContent"]


if TYPE_CHECKING:

    class JsonContent(Generic[ContentT]):
        """Content of a type; of any, unless a subclass names one: `JsonWebsocketConsumer[Move]`."""

else:

    @framework()
    class JsonContent:
        """Content of a type; of any, unless a subclass names one: `JsonWebsocketConsumer[Move]`.

        Not `Generic`, so that programs can stay it in whatever order: `class Game(Generic[MoveT],
        JsonWebsocketConsumer)` would have no consistent order of its bases.
        """

        @classmethod
        def __class_getitem__(cls, content: Any) -> Any:
            """Return the class as a base for one whose content is of the type."""
            inherited = getattr(super(), "__class_getitem__", None)
            return GenericAlias(cls, content) if inherited is None else inherited(content)
