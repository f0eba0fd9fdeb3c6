"""Alias of `channels_http.generic.http`."""

from typing import TYPE_CHECKING

import channels.consumer  # noqa: F401 - import hooks wait for it by this name
from channels._facade import alias

from channels_http.generic import http

if TYPE_CHECKING:
    from channels_http.generic.http import *  # noqa: F403 - all of the owner's names

alias(globals(), http)
