"""Alias of `channels_core.signals`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import signals

if TYPE_CHECKING:
    from channels_core.signals import *  # noqa: F403 - all of the owner's names

alias(globals(), signals)
