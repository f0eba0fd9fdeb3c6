"""The messages of `channels_auth._disconnection.messages` for one group."""

from typing import Any

from channels_auth._disconnection.messages import (
    disconnect_messages,
    revalidate_messages,
    user_groups,
)
from channels_core.typing import Message

__all__ = ["disconnect_message", "revalidate_message", "user_group"]


def disconnect_message(group: str, *arguments: Any, **options: Any) -> Message:
    [message] = disconnect_messages([group], *arguments, **options)
    return message


def revalidate_message(group: str) -> Message:
    [message] = revalidate_messages([group])
    return message


def user_group(user: Any) -> str:
    [group] = user_groups(user)
    return group
