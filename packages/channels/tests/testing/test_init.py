from interpreter import run


def test_importing_it_brings_no_server_and_needs_no_settings() -> None:
    program = """
import sys
import channels.testing
from django.conf import settings
assert not settings.configured
print(sorted({"daphne", "twisted", "pytest"} & set(sys.modules)))
print(channels.testing.websocket.WebsocketCommunicator is channels.testing.WebsocketCommunicator)
"""
    assert run(program).split() == ["[]", "True"]
