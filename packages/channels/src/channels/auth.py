"""Alias of `channels_auth.auth`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_auth import auth

if TYPE_CHECKING:
    from channels_auth.auth import *  # noqa: F403 - all of the owner's names

alias(globals(), auth)
