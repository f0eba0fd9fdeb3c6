"""Alias of `channels_http.staticfiles`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_http import staticfiles

if TYPE_CHECKING:
    from channels_http.staticfiles import *  # noqa: F403 - all of the owner's names

alias(globals(), staticfiles)
