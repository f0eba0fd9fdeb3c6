"""Alias of `channels_http.management.commands.runserver`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_http.management.commands import runserver

if TYPE_CHECKING:
    from channels_http.management.commands.runserver import *  # noqa: F403 - all of the owner's names

alias(globals(), runserver)
