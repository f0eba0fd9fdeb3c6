"""Alias of `channels_testing.websocket`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_testing import websocket

if TYPE_CHECKING:
    from channels_testing.websocket import *  # noqa: F403 - all of the owner's names

alias(globals(), websocket)
