"""Alias of `channels_core.typing`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import typing

if TYPE_CHECKING:
    from channels_core.typing import *  # noqa: F403 - all of the owner's names

alias(globals(), typing)
