"""Alias of `channels_core.exceptions`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import exceptions

if TYPE_CHECKING:
    from channels_core.exceptions import *  # noqa: F403 - all of the owner's names

alias(globals(), exceptions)
