"""Alias of `channels_core.middleware`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import middleware

if TYPE_CHECKING:
    from channels_core.middleware import *  # noqa: F403 - all of the owner's names

alias(globals(), middleware)
