"""Alias of `channels_http.handlers`, under the name that programs know."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_http import handlers

if TYPE_CHECKING:
    from channels_http.handlers import *  # noqa: F403 - all of the owner's names

alias(globals(), handlers)
