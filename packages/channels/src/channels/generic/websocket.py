"""Alias of `channels_core.generic.websocket`."""

from typing import TYPE_CHECKING

import channels.consumer  # noqa: F401 - import hooks wait for it by this name
from channels._facade import alias

from channels_core.generic import websocket

if TYPE_CHECKING:
    from channels_core.generic.websocket import *  # noqa: F403 - all of the owner's names

alias(globals(), websocket)
