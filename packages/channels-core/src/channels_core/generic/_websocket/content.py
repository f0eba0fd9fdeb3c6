"""The type of what a JSON consumer receives, which a subclass may name in brackets."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic

from channels_core.connection import framework

if TYPE_CHECKING:
    # `TypeVar` of `typing` has defaults from Python 3.13 on. Only type checkers read this import,
    # so the package need not be installed.
    from typing_extensions import TypeVar

    ContentT = TypeVar("ContentT", default=Any)
else:
    from typing import TypeVar

    ContentT = TypeVar("ContentT")

__all__ = ["ContentT", "JsonContent"]


if TYPE_CHECKING:

    class JsonContent(Generic[ContentT]):
        """A base whose subclasses may name the type of their content in brackets."""

else:

    @framework()
    class JsonContent:
        """A base whose subclasses may name the type of their content in brackets.

        Without a name the type is Any. At run time this is not a `Generic`, since Python could not
        order the bases of `class Game(Generic[MoveT], JsonWebsocketConsumer)` then.
        """

        @classmethod
        def __class_getitem__(cls, content: Any) -> Any:
            """Return the class with the type of its content, to be used as a base."""
            inherited = getattr(super(), "__class_getitem__", None)
            return GenericAlias(cls, content) if inherited is None else inherited(content)
