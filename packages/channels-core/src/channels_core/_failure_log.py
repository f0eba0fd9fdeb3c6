"""Log that a consumer has failed, and record in an exception that it is logged."""

from __future__ import annotations

import logging
from typing import Final

from channels_core._logging import log_repeated
from channels_core.typing import Message, Scope

__all__ = ["log_failure", "log_lost", "mark_as_logged", "text_with_notes", "was_logged"]

logger = logging.getLogger("django.channels.consumer")

_MARK: Final = "_channels_logged"

#: The length of the longest type that is counted by itself.
_LONGEST_KIND: Final = 200


def log_failure(
    consumer: type,
    scope: Scope,
    channel_name: str | None,
    message: Message | None,
    error: Exception,
) -> None:
    """Log an exception of a consumer, with the connection and the type of the message.

    Args:
        consumer: The class of the consumer.
        scope: The connection's scope.
        channel_name: The consumer's channel, if it has one.
        message: The message whose handler raised it; None if there was none. Its payload is not
            logged, since it may be confidential.
        error: The exception.
    """
    in_worker = scope.get("type") == "channel"
    logger.error(
        "%s failed: %s %.200r, channel %s, message type %.200r",
        f"{consumer.__module__}.{consumer.__qualname__}",
        "worker for" if in_worker else "path",
        scope.get("channel" if in_worker else "path"),
        channel_name,
        message.get("type") if message else None,
        exc_info=error,
    )
    mark_as_logged(error)


def log_lost(consumer: type, kind: str | None, fault: str) -> None:
    """Log that a message from the layer is lost; once a minute for each class and message type.

    Args:
        consumer: The class of the consumer.
        kind: The type of the message; None if it has no valid one.
        fault: The whole text.
    """
    if kind is not None and len(kind) > _LONGEST_KIND:
        kind = None
    log_repeated(logger, logging.ERROR, (consumer, kind), "%s", fault)


def mark_as_logged(error: BaseException) -> None:
    """Record in an exception that it is logged."""
    vars(error)[_MARK] = True


def was_logged(error: BaseException) -> bool:
    """Return whether an exception is logged already."""
    return _MARK in vars(error)


def text_with_notes(error: BaseException) -> str:
    """Return the text of an exception with its notes."""
    notes: list[str] = getattr(error, "__notes__", [])
    return ". ".join([str(error).removesuffix("."), *notes]) if notes else str(error)
