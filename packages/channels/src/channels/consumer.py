"""Alias of `channels_core.consumer`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import consumer

if TYPE_CHECKING:
    from typing import TypeAlias

    from channels_core.applications import ConsumerApplication
    from channels_core.consumer import *  # noqa: F403 - all of the owner's names
    from channels_core.typing import Scope, UrlRoute

    # The names in the stubs of types-channels, which programs import for annotations.
    _ASGIApplicationProtocol: TypeAlias = ConsumerApplication
    _ChannelScope: TypeAlias = Scope
    _URLRoute: TypeAlias = UrlRoute

alias(globals(), consumer)
