"""Alias of `channels_core.routing`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import routing

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from channels_core.routing import *  # noqa: F403 - all of the owner's names

    # The name in the stubs of types-channels, which programs cast their routes to. It is Any, so
    # that what Django's `path()` returns is accepted.
    _ExtendedURLPattern: TypeAlias = Any

alias(globals(), routing)
