from typing import Any

import pytest

from channels_core._worker.preflight import refused_name, unrouted
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter
from fakes import LocalLayer


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


class Plain:
    """Does not derive from ours, and has its attributes only while an event loop runs."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no running event loop")


class Strict(LocalLayer):
    def require_valid_channel_name(self, name: str, receive: bool = False) -> bool:
        assert name.islower(), "only small letters"
        return True


@pytest.mark.parametrize("layer", [LocalLayer, Plain, Strict])
def test_names_that_layers_take(layer: Any) -> None:
    assert refused_name(layer(), ["jobs", "mail.out"]) is None


@pytest.mark.parametrize(
    ("layer", "name", "words"),
    [
        (LocalLayer, "a b", "The channel layer refuses the name 'a b': Channel name must be"),
        (Plain, "", "The channel layer refuses the name '': Channel name must be"),
        (Strict, "Jobs", "The channel layer refuses the name 'Jobs': only small letters"),
        (LocalLayer, "specific.1!2", "'specific.1!2': a name with a '!' belongs to one"),
    ],
)
def test_names_that_they_refuse(layer: Any, name: str, words: str) -> None:
    told = refused_name(layer(), ["jobs", name])
    assert told is not None
    assert words in told


JOBS = ChannelNameRouter({"jobs": application, "mail": application})


class Own(ProtocolTypeRouter):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Route elsewhere."""


@pytest.mark.parametrize(
    "router",
    [
        application,
        ProtocolTypeRouter({"channel": JOBS}),
        ProtocolTypeRouter({"channel": application}),
        Own({}),
    ],
)
def test_what_is_routed_or_may_be(router: Any) -> None:
    assert unrouted(router, ["mail", "jobs"]) is None


@pytest.mark.parametrize(
    ("router", "words"),
    [
        (
            ProtocolTypeRouter({"websocket": application}),
            "for each of: 'websocket'. Add 'channel': ChannelNameRouter({...})",
        ),
        (
            ProtocolTypeRouter({"channel": JOBS}),
            "has no application for 'male', 'sms'; there is one for each of: 'jobs', 'mail'",
        ),
        (
            ProtocolTypeRouter({"channel": ChannelNameRouter({})}),
            "there is one for each of: nothing",
        ),
    ],
)
def test_what_is_not_routed(router: Any, words: str) -> None:
    told = unrouted(router, ["male", "jobs", "sms"])
    assert told is not None
    assert words in told
