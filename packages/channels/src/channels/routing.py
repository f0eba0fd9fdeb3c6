"""Alias of `channels_core.routing`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import routing

if TYPE_CHECKING:
    from channels_core.routing import *  # noqa: F403 - all of the owner's names

alias(__name__, routing)
