"""The channel layer of Channels for Django for several processes, on Redis or Valkey.

`RedisChannelLayer` is imported when it is first used, so that importing this package costs
nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels_layers_redis.layer import RedisChannelLayer

__all__ = ["RedisChannelLayer", "__version__"]

#: The same as in pyproject.toml. Not read from the package's metadata, which a frozen or vendored
#: program lacks.
__version__: str = "1.0.0"


if not TYPE_CHECKING:  # pragma: no branch - type checkers would accept any attribute

    def __getattr__(name: str) -> Any:
        """Load the layer from its module (PEP 562); not stored, so patches there are seen."""
        if name != "RedisChannelLayer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from channels_layers_redis.layer import RedisChannelLayer

        return RedisChannelLayer


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
