"""Notes on a consumer's exception: what to do about the mistakes that are made most often.

The exception itself is the program's: its class and its text stay, only a note is added.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

from django.core.exceptions import SynchronousOnlyOperation

from channels_core.documentation import see
from channels_core.layers import BaseChannelLayer, channel_layers
from channels_core.typing import Scope

__all__ = ["explain", "explain_missing_key", "explain_missing_layer"]

#: The middleware that adds each key to the scope.
_MIDDLEWARE: Final = {
    "user": "AuthMiddlewareStack",
    "session": "SessionMiddlewareStack or AuthMiddlewareStack",
    "cookies": "CookieMiddleware, SessionMiddlewareStack or AuthMiddlewareStack",
}


def explain(error: BaseException, consumer: Any) -> None:
    """Add a note to the exception, if its cause is known.

    Args:
        error: The exception that the consumer raised.
        consumer: The consumer.
    """
    explain_missing_key(error, getattr(consumer, "scope", {}))
    explain_missing_layer(error, consumer)
    if isinstance(error, SynchronousOnlyOperation):
        error.add_note(
            "An async handler uses the async methods of the ORM, such as `await "
            "User.objects.acount()`, or calls a function through `database_sync_to_async`. "
            + see("Threads and the database", "Async consumers")
        )
    elif isinstance(error, TypeError) and "await" in str(error) and _raised_here(error):
        error.add_note(
            f"{type(consumer).__name__} is an asynchronous consumer, and one of its handlers is "
            "'def', so that there was nothing to await. Write 'async def'; `manage.py check` "
            f"names the handler. {see('System checks', 'Handlers')}"
        )


def _raised_here(error: BaseException) -> bool:
    """Return whether this package raised the exception, not a function that it has called."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and _package(last) == "channels_core"


def _package(step: TracebackType) -> str:
    return str(step.tb_frame.f_globals.get("__name__")).partition(".")[0]


def explain_missing_key(error: BaseException, scope: Scope) -> None:
    """Add a note to the `KeyError` for a key that one of our middleware adds to the scope.

    Args:
        error: The exception that the consumer raised.
        scope: The consumer's scope.
    """
    key: Any = error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else None
    if isinstance(key, str) and key in _MIDDLEWARE and key not in scope:
        error.add_note(
            f"The scope has no {key!r}. If that is what was looked for, wrap the application in "
            f"{_MIDDLEWARE[key]}. "
            f"{see('Sockets that end with the login', 'The order of the middleware')}"
        )


def explain_missing_layer(error: BaseException, consumer: Any) -> None:
    """Add a note to the `AttributeError` of a consumer that uses its layer but has none.

    Args:
        error: The exception that the consumer raised.
        consumer: The consumer.
    """
    if (
        not isinstance(error, AttributeError)
        or error.obj is not None
        or not hasattr(BaseChannelLayer, error.name or "")
        or getattr(consumer, "channel_layer", None) is not None
    ):
        return
    alias = consumer.channel_layer_alias
    if alias is None:
        why = "its channel_layer_alias is None"
    else:
        aliases = ", ".join(map(repr, channel_layers.configs)) or "none"
        why = f"CHANNEL_LAYERS has no alias {alias!r}; the aliases there are: {aliases}"
    error.add_note(
        f"{type(consumer).__name__} has no channel layer: {why}. "
        f"{see('Channel layers', 'Configuration')}"
    )
