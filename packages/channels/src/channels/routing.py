"""Alias of `channels_core.routing`."""

from typing import TYPE_CHECKING

from channels._facade import alias

from channels_core import routing

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from channels_core.routing import *  # noqa: F403 - all of the owner's names

    # As the stubs of types-channels name it, which programs cast their routes to. Any: `path()`
    # returns what Django's types say, and that passes.
    _ExtendedURLPattern: TypeAlias = Any

alias(globals(), routing)
