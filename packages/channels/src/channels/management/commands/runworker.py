"""Alias of `channels_core.management.commands.runworker`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core.management.commands import runworker

if TYPE_CHECKING:
    from channels_core.management.commands.runworker import *  # noqa: F403 - all of the owner's names

alias(globals(), runworker)
