"""WebSockets, long-lived HTTP and background messages for Django."""

from typing import TYPE_CHECKING, Final

from channels._facade import submodules

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]

#: The same as in pyproject.toml. A literal, because frozen and vendored programs lack metadata.
__version__: str = "5.0.0"

DEFAULT_CHANNEL_LAYER: Final = "default"

if not TYPE_CHECKING:  # pragma: no branch - a type checker would accept any attribute
    __getattr__ = submodules(
        __name__,
        {
            "apps",
            "auth",
            "consumer",
            "db",
            "exceptions",
            "generic",
            "http",
            "layers",
            "management",
            "middleware",
            "routing",
            "security",
            "sessions",
            "signals",
            "staticfiles",
            "testing",
            "typing",
            "utils",
            "worker",
        },
    )
