"""HTTP consumers, server-sent events and a development server of Channels for Django.

The names that most programs need can be imported from here. Each is loaded from its own module
when it is first used, so `import channels_http` stays free.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from channels_http.generic.http import AsyncHttpConsumer
    from channels_http.generic.sse import AsyncSseConsumer
    from channels_http.handlers import AsgiHandler
    from channels_http.staticfiles import StaticFilesWrapper

__all__ = [
    "AsgiHandler",
    "AsyncHttpConsumer",
    "AsyncSseConsumer",
    "StaticFilesWrapper",
    "__version__",
]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"

#: The module of each name that is loaded when it is first used.
_MODULES: Final = {
    "AsgiHandler": "handlers",
    "AsyncHttpConsumer": "generic.http",
    "AsyncSseConsumer": "generic.sse",
    "StaticFilesWrapper": "staticfiles",
}

if not TYPE_CHECKING:  # pragma: no branch - for type checkers any attribute would be right

    def __getattr__(name: str) -> Any:
        """Load a name from its module (PEP 562); not kept, so that a patch there is seen here."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        """List the names that are not loaded yet, too."""
        return sorted({*globals(), *__all__})
