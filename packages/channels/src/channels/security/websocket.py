"""Alias of `channels_core.security.websocket`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core.security import websocket

if TYPE_CHECKING:
    from channels_core.security.websocket import *  # noqa: F403 - all of the owner's names

alias(globals(), websocket)
