"""Alias of `channels_testing.live`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_testing import live

if TYPE_CHECKING:
    from channels_testing.live import *  # noqa: F403 - all of the owner's names

alias(globals(), live)
