"""What the log says of a consumer that failed."""

import logging

from channels_core.typing import Message, Scope

__all__ = ["log_failure"]

logger = logging.getLogger("django.channels.consumer")


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
    logger.error(
        "%s failed: path %r, channel %s, message type %r",
        f"{consumer.__module__}.{consumer.__qualname__}",
        scope.get("path"),
        channel_name,
        message.get("type") if message else None,
        exc_info=error,
    )
