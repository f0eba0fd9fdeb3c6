"""Alias of `channels_core.legacy`, under the name that programs know."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import legacy

if TYPE_CHECKING:
    from channels_core.legacy import *  # noqa: F403 - all of the owner's names

alias(__name__, legacy)
