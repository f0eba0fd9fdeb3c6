"""Alias of `channels_auth.sessions`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_auth import sessions

if TYPE_CHECKING:
    from channels_auth.sessions import *  # noqa: F403 - all of the owner's names

alias(globals(), sessions)
