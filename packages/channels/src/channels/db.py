"""Alias of `channels_core.db`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import db

if TYPE_CHECKING:
    from channels_core.db import *  # noqa: F403 - all of the owner's names

alias(globals(), db)
