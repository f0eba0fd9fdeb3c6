"""Alias of `channels_testing.http`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_testing import http

if TYPE_CHECKING:
    from channels_testing.http import *  # noqa: F403 - all of the owner's names

alias(globals(), http)
