"""What one visitor of the room writes, the other one reads."""

from readme import Socket, blocks, configure, run, wait_for

code, settings, *_ = blocks()
configure(
    INSTALLED_APPS=[
        "channels",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    **{name: value for name, value in run(settings).items() if name.isupper()},
)
application = run(code)["application"]


async def visit() -> None:
    writer, reader = Socket(application, "/room/"), Socket(application, "/room/")
    await writer.open()
    await reader.open()
    await writer.send("hello")
    assert await reader.receive() == "hello"
    assert await writer.receive() == "hello"
    await writer.close()
    await reader.close()


wait_for(visit())
