"""The in-memory channel layer of Channels for Django.

`InMemoryChannelLayer` is imported when it is first used, so that importing this package costs
nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels_layers_memory.layer import InMemoryChannelLayer

__all__ = ["InMemoryChannelLayer", "__version__"]

#: The same as in pyproject.toml. Not read from the package's metadata, which a frozen or vendored
#: program lacks.
__version__: str = "1.0.0"


if not TYPE_CHECKING:  # pragma: no branch - type checkers would accept any attribute

    def __getattr__(name: str) -> Any:
        """Load the layer from its module (PEP 562); not stored, so patches there are seen."""
        if name != "InMemoryChannelLayer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from channels_layers_memory.layer import InMemoryChannelLayer

        return InMemoryChannelLayer


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
