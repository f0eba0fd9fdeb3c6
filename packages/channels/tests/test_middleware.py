import channels.middleware
from asgiref.testing import ApplicationCommunicator
from channels.middleware import BaseMiddleware

import channels_core.middleware
from channels_core.typing import Receive, Scope, Send


class Stamp(BaseMiddleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope | {"stamp": "seen"}, receive, send)


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "told", "stamp": scope["stamp"]})


def test_it_is_the_module_of_the_core() -> None:
    assert channels.middleware is channels_core.middleware


async def test_a_middleware_under_this_name_adds_to_the_scope() -> None:
    link = ApplicationCommunicator(Stamp(tell), {"type": "any"})
    assert await link.receive_output() == {"type": "told", "stamp": "seen"}
    await link.wait()
