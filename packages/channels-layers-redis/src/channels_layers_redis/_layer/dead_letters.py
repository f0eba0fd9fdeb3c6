"""Read messages of channels that any process may read; a dead letter tells why it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from channels_core.layer_extensions import DEAD_SUFFIX

if TYPE_CHECKING:
    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._scripts.waiting import Taken

__all__ = ["with_reason"]


def with_reason(codec: Codec, channel: str, taken: Taken) -> dict[str, Any]:
    """Return a message; with the key `dead` if it is a dead letter.

    Args:
        codec: Unpacks it.
        channel: The channel from which it was taken.
        taken: The message, as it was in Redis.

    Raises:
        ValueError: It cannot be read.
    """
    message = codec.unpack(taken.message)
    letter = taken.dead
    if letter is not None:
        error = codec.unpack(letter.error)["error"] if letter.error else ""
        message["dead"] = {
            "channel": channel.removesuffix(DEAD_SUFFIX),
            "error": error or f"was not acknowledged within {letter.seconds:g} seconds",
            "attempts": letter.attempts,
        }
    return message
