"""Alias of `channels_core.worker`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import worker

if TYPE_CHECKING:
    from channels_core.worker import *  # noqa: F403 - all of the owner's names

alias(globals(), worker)
