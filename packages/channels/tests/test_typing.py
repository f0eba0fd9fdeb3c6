import channels.typing
from channels.typing import WebsocketScope

import channels_core.typing


def test_it_is_the_module_of_channels_core() -> None:
    assert channels.typing is channels_core.typing


def test_a_scope_has_the_keys_of_routers_and_middleware() -> None:
    assert {"cookies", "session", "url_route", "user"} < WebsocketScope.__optional_keys__
