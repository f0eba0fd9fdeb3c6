"""Which package owns each module of `channels`."""

from typing import Final

__all__ = ["ALIASES", "FORWARDED", "OWN"]

#: The modules that are aliases, with their owners.
ALIASES: Final = {
    "channels.auth": "channels_auth.auth",
    "channels.consumer": "channels_core.consumer",
    "channels.db": "channels_core.db",
    "channels.exceptions": "channels_core.exceptions",
    "channels.generic.http": "channels_http.generic.http",
    "channels.generic.sse": "channels_http.generic.sse",
    "channels.generic.websocket": "channels_core.generic.websocket",
    "channels.http": "channels_http.handlers",
    "channels.management.commands.runserver": "channels_http.management.commands.runserver",
    "channels.management.commands.runworker": "channels_core.management.commands.runworker",
    "channels.middleware": "channels_core.middleware",
    "channels.routing": "channels_core.routing",
    "channels.security.websocket": "channels_core.security.websocket",
    "channels.sessions": "channels_auth.sessions",
    "channels.signals": "channels_core.signals",
    "channels.staticfiles": "channels_http.staticfiles",
    "channels.testing.application": "channels_testing.application",
    "channels.testing.http": "channels_testing.http",
    "channels.testing.live": "channels_testing.live",
    "channels.testing.websocket": "channels_testing.websocket",
    "channels.typing": "channels_core.typing",
    "channels.utils": "channels_core.legacy",
    "channels.worker": "channels_core.worker",
}

#: The modules with names of several owners: all names of one, and single names of others.
FORWARDED: Final = {
    "channels.layers": (
        "channels_core.layers",
        {"InMemoryChannelLayer": "channels_layers_memory.layer"},
    ),
}

#: The modules that are there themselves.
OWN: Final = (
    "channels",
    "channels.apps",
    "channels.generic",
    "channels.management",
    "channels.management.commands",
    "channels.security",
    "channels.testing",
)
