"""What the log says of a consumer that failed."""

import logging
from typing import Final

from channels_core._logging import log_repeated
from channels_core.typing import Message, Scope

__all__ = ["log_failure", "log_lost", "mark_as_logged", "was_logged"]

logger = logging.getLogger("django.channels.consumer")

_MARK: Final = "_channels_logged"


def log_failure(
    consumer: type,
    scope: Scope,
    channel_name: str | None,
    message: Message | None,
    error: Exception,
) -> None:
    """Log an exception with its place.

    Args:
        consumer: The class of the consumer.
        scope: The connection's scope.
        channel_name: The consumer's channel, if it has one.
        message: The message whose handler raised it; None if there was none. Its payload stays
            out: it may hold what must not be in a log.
        error: The exception.
    """
    in_worker = scope.get("type") == "channel"
    logger.error(
        "%s failed: %s %r, channel %s, message type %r",
        f"{consumer.__module__}.{consumer.__qualname__}",
        "worker for" if in_worker else "path",
        scope.get("channel" if in_worker else "path"),
        channel_name,
        message.get("type") if message else None,
        exc_info=error,
    )
    mark_as_logged(error)


def log_lost(consumer: type, message: Message, fault: str) -> None:
    """Log that a message from the layer cannot be handled; once a minute for the class and type.

    Args:
        consumer: The class of the consumer.
        message: The message.
        fault: What is wrong, as a whole sentence.
    """
    log_repeated(logger, logging.ERROR, (consumer, message["type"]), "%s", fault)


def mark_as_logged(error: BaseException) -> None:
    """Take note, in an exception, that it needs no other place in the log."""
    vars(error)[_MARK] = True


def was_logged(error: BaseException) -> bool:
    """Tell whether an exception is in the log already."""
    return _MARK in vars(error)
