"""The WebSocket answers what it gets."""

from readme import Socket, blocks, configure, run, wait_for

configure(INSTALLED_APPS=["channels_core"])
application = run(blocks()[0])["application"]


async def visit() -> None:
    socket = Socket(application, "/echo/")
    await socket.open()
    await socket.send("hello")
    assert await socket.receive() == "hello"
    await socket.close()


wait_for(visit())
