"""The stream has the events of the countdown, and ends."""

import json

from asgiref.testing import ApplicationCommunicator
from readme import LIMIT, blocks, configure, run, scope, wait_for

configure(INSTALLED_APPS=["channels_http"])
application = run(blocks()[0])["application"]


async def visit() -> None:
    link = ApplicationCommunicator(application, scope("http", "/countdown/", method="GET"))
    await link.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await link.receive_output(timeout=LIMIT)
    assert start["status"] == 200, start
    text = ""
    while True:
        part = await link.receive_output(timeout=LIMIT)
        text += part.get("body", b"").decode()
        if not part.get("more_body"):
            break
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data")]
    assert [json.loads(event)["seconds"] for event in events] == [3, 2, 1], text
    await link.wait(timeout=LIMIT)


wait_for(visit())
