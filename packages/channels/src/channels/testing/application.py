"""Alias of `channels_testing.application`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_testing import application

if TYPE_CHECKING:
    from channels_testing.application import *  # noqa: F403 - all of the owner's names

alias(globals(), application)
