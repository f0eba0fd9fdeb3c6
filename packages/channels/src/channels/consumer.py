"""Alias of `channels_core.consumer`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import consumer

if TYPE_CHECKING:
    from channels_core.consumer import *  # noqa: F403 - all of the owner's names

alias(__name__, consumer)
