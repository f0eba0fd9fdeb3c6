"""The mistakes of the page about troubleshooting, made in a small site."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from selenium.webdriver import Chrome

from mistakes import Mistaken
from processes import SECONDS
from served import ROOT

PAGE: Final = ROOT / "docs" / "topics" / "troubleshooting.md"
DAPHNE: Final = ("-m", "daphne", "-p", "{port}", "mysite.asgi:application")
UVICORN: Final = ("-m", "uvicorn", "--port", "{port}", "mysite.asgi:application")
WSGI_PROGRAM: Final = """
from wsgiref.simple_server import make_server
from mysite.wsgi import application
make_server("127.0.0.1", {port}, application).serve_forever()
"""
LAYER: Final = '{"BACKEND": "channels.layers.InMemoryChannelLayer"}'
NO_REDIS: Final = (
    '{"BACKEND": "channels_layers_redis.RedisChannelLayer", '
    '"CONFIG": {"hosts": ["redis://127.0.0.1:1"]}}'
)
NO_LAYER: Final = [("CHANNEL_LAYERS", "CHANNEL_LAYER")]
ACCEPT: Final = "        await self.accept()\n"
GUARD: Final = [
    ("import AuthMiddlewareStack", "import AuthMiddlewareStack, login_required"),
    ("(URLRouter(routes))", "(login_required(URLRouter(routes)))"),
]
NOBODY_ENDS_IT: Final = [
    ("from datetime", "import asyncio\nfrom datetime"),
    (
        "        await self.channel_layer",
        "        await asyncio.Future()\n        await self.channel_layer",
    ),
]

Trial: TypeAlias = Callable[[Path], tuple[list[str], str]]


def serving(
    *messages: str,
    server: tuple[str, ...] = (),
    wait: str = "",
    answers: int = 0,
    path: str = "/ws/chat/",
    origin: str | None = "",
    patience: float = SECONDS,
    **changes: list[tuple[str, str]],
) -> Trial:
    """Return a function that serves the site with changes, visits it, and returns what is seen."""

    def trial(folder: Path) -> tuple[list[str], str]:
        with Mistaken(folder, **changes).serve(*server) as served:
            seen = served.visit(
                *messages, path=path, origin=origin, answers=answers, open_timeout=patience
            )
            if wait:
                served.wait_for(wait)
        return seen, served.output

    return trial


def running(*command: str, module: bool = False, **changes: list[tuple[str, str]]) -> Trial:
    """Return a function that runs a command of the site with changes, and returns its output."""

    def trial(folder: Path) -> tuple[list[str], str]:
        return [], Mistaken(folder, **changes).run(*command, module=module)

    return trial


def adding(line: str) -> list[tuple[str, str]]:
    """Return the change that adds a line to the consumer's `connect`."""
    return [(ACCEPT, f"{ACCEPT}        {line}\n")]


#: By heading: what the browser sees, and how to make the mistake.
MISTAKES: Final[dict[str, tuple[list[str], Trial]]] = {
    "Not Found, and the server is Django's": (
        ["status 404"],
        serving(settings=[('    "channels",\n', "")]),
    ),
    "ASGI_APPLICATION is not set": (
        ["status 404"],
        serving(settings=[('ASGI_APPLICATION = "mysite.asgi.application"\n', "")]),
    ),
    # The server speaks HTTP/1.0, which a client of WebSockets does not count as an answer.
    "The site is served by WSGI": (["no answer"], serving(server=("-c", WSGI_PROGRAM))),
    "The order of INSTALLED_APPS": (
        [],
        running(
            "check",
            settings=[('    "channels",\n', ""), ('    "chat",\n', '    "channels", "chat",\n')],
        ),
    ),
    "No route found": (["status 403"], serving(path="/ws/chat")),
    "It has no Origin header": (["status 403"], serving(origin=None)),
    "Its origin is not allowed": (["status 403"], serving(origin="https://example.org")),
    "Refused with status 401": (["status 403"], serving(asgi=GUARD)),
    "Rejected, and no other line": (
        ["status 403"],
        serving(consumers=[("self.accept()", "self.close()")]),
    ),
    "SynchronousOnlyOperation": (
        ["code 1011"],
        serving(answers=1, consumers=adding("await self.send_json(User.objects.count())")),
    ),
    "KeyError: 'user'": (
        ["code 1011"],
        serving(
            answers=1,
            asgi=[("AuthMiddlewareStack(URLRouter(routes))", "URLRouter(routes)")],
            consumers=adding("await self.send_json(self.scope['user'].username)"),
        ),
    ),
    "'NoneType' object has no attribute 'group_send'": (
        ["code 1011"],
        serving('"hi"', answers=1, settings=NO_LAYER, consumers=[('    groups = ["chat"]\n', "")]),
    ),
    "Group name must be": (
        ["code 1011"],
        serving('"hi"', answers=1, consumers=[('group_send("chat"', 'group_send("chat room"')]),
    ),
    "Cannot cross a channel layer": (
        ["code 1011"],
        serving(
            '"hi"', answers=1, consumers=[('"text": content', '"text": "", "at": datetime.now()')]
        ),
    ),
    "Object NoneType can't be used in 'await' expression": (
        ["code 1011"],
        serving(
            '"hi"',
            answers=1,
            consumers=[
                ("async def receive_json", "def receive_json"),
                ("await self.channel_layer.group_send", "print"),
            ],
        ),
    ),
    "Connect returned without a call of accept()": (
        ["no answer"],
        serving(patience=1, wait="returned without", consumers=[(ACCEPT, "        pass\n")]),
    ),
    "Coroutine 'ChatConsumer.connect' was never awaited": (
        ["no answer"],
        serving(
            patience=1,
            wait="returned without",
            consumers=[("ChatConsumer(Async", "ChatConsumer(")],
        ),
    ),
    "Coroutine was never awaited": (
        [],
        serving(
            '"hi"',
            wait="was never awaited",
            consumers=[("await self.send_json", "self.send_json")],
        ),
    ),
    "No handler for message type": (
        [],
        serving('"hi"', wait="no handler", consumers=[('"chat.message"', '"chat.mesage"')]),
    ),
    "The channel layer fails": (
        ["status 403"],
        serving(
            settings=[
                (LAYER, NO_REDIS),
            ]
        ),
    ),
    "The aliases in CHANNEL_LAYERS are": (
        [],
        running("check", settings=[('"default": {"BACKEND', '"defualt": {"BACKEND')]),
    ),
    "The channel layer cannot be built": (
        [],
        running("check", settings=[("InMemoryChannelLayer", "InMemoryChanelLayer")]),
    ),
    "Expected an ASGI application; call as_asgi()": (
        [],
        running("check", routing=[("as_asgi()", "as_asgi")]),
    ),
    "Settings are not configured": (
        [],
        running(
            "uvicorn",
            "mysite.asgi:application",
            module=True,
            asgi=[
                ("from chat.routing import routes\n", ""),
                ("import os\n", "import os\nfrom chat.routing import routes\n"),
            ],
        ),
    ),
    "Took too long to shut down and was killed": (
        [],
        serving(
            '"hi"',
            server=(*DAPHNE, "--application-close-timeout", "1"),
            wait="took too long",
            consumers=NOBODY_ENDS_IT,
        ),
    ),
}


def quotes() -> dict[str, list[str]]:
    """Return the lines that the page quotes, by heading."""
    found: dict[str, list[str]] = {}
    text = PAGE.read_text().partition("\n## ")[2]
    for section in re.split(r"(?m)^#{2,3} ", text):
        heading, _, body = section.partition("\n")
        for block in re.findall(r"(?ms)^```text\n(.*?)^```", body):
            found.setdefault(heading, []).extend(block.splitlines())
    return found


def is_in(line: str, output: str) -> bool:
    """Return whether the output has the line; three dots stand for any text."""
    pattern = ".*".join(re.escape(part) for part in line.split("..."))
    return re.search(pattern, output) is not None


def test_every_quote_is_of_a_mistake() -> None:
    assert sorted(quotes()) == sorted(MISTAKES)


@pytest.mark.parametrize("heading", MISTAKES)
def test_the_page_quotes_what_the_developer_sees(heading: str, tmp_path: Path) -> None:
    expected, trial = MISTAKES[heading]
    seen, output = trial(tmp_path)
    # Python 3.14 says it in other words.
    of_others = "object NoneType can't be used in 'await' expression"
    output = output.replace("'NoneType' object can't be awaited", of_others)
    assert [line for line in quotes()[heading] if not is_in(line, output)] == [], output
    assert seen == expected


def test_the_site_without_a_mistake_works(tmp_path: Path) -> None:
    site = Mistaken(tmp_path, routing=[("ChatConsumer.as_asgi()", "ChatConsumer")])
    with site.serve() as served:
        assert served.visit('"hi"', answers=1) == ['"hi"']
    assert "Starting ASGI/Channels version" in served.output


def test_other_servers_send_the_status(tmp_path: Path) -> None:
    seen, output = serving(server=UVICORN, asgi=GUARD)(tmp_path)
    assert seen == ["status 401"]
    assert "websocket '/ws/chat/' was refused with status 401" in output


def test_apps_are_not_loaded_yet(tmp_path: Path) -> None:
    early = 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"\n'
    changes = [
        ("from chat.routing import routes\n", ""),
        ("import os\n", f"{early}from chat.routing import routes\n"),
    ]
    output = Mistaken(tmp_path, asgi=changes).run("uvicorn", "mysite.asgi:application", module=True)
    assert "Apps aren't loaded yet." in output


def test_a_login_that_ends_closes_with_4401(tmp_path: Path) -> None:
    site = Mistaken(
        tmp_path,
        asgi=[
            (
                "(URLRouter(routes))",
                "(URLRouter(routes), ends_with_login=True, revalidate_every=0.2)",
            )
        ],
    )
    site.run("migrate")
    make = (
        "from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, BACKEND_SESSION_KEY\n"
        "from django.contrib.auth.models import User\n"
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "user = User.objects.create_user('anna')\n"
        "session = SessionStore()\n"
        "session[SESSION_KEY] = str(user.pk)\n"
        "session[BACKEND_SESSION_KEY] = 'django.contrib.auth.backends.ModelBackend'\n"
        "session[HASH_SESSION_KEY] = user.get_session_auth_hash()\n"
        "session.save()\n"
        "print('key:', session.session_key)\n"
    )
    [key] = re.findall(r"key: (\w+)", site.run("shell", "-c", make))
    end = "from django.contrib.sessions.models import Session; Session.objects.all().delete()"
    with site.serve() as served:
        seen = served.visit(
            '"hi"',
            answers=2,
            between=lambda: site.run("shell", "-c", end),
            additional_headers={"Cookie": f"sessionid={key}"},
        )
    assert seen == ['"hi"', "code 4401"]


def test_a_message_of_another_process_vanishes_without_an_error(tmp_path: Path) -> None:
    send = (
        "from channels.layers import get_channel_layer\n"
        "get_channel_layer().group_send_sync('chat', {'type': 'chat.message', 'text': 'lost'})\n"
        "print('sent')\n"
    )
    site = Mistaken(tmp_path)
    outputs = []
    with site.serve() as served:
        seen = served.visit(
            '"one"',
            '"two"',
            answers=2,
            between=lambda: outputs.append(site.run("shell", "-c", send)),
        )
    assert seen == ['"one"', '"two"']
    assert "sent" in outputs[0]
    assert "Error" not in outputs[0]


def test_the_browsers_console_has_the_status(browser: Chrome, tmp_path: Path) -> None:
    with Mistaken(tmp_path).serve() as served:
        browser.get(f"http://127.0.0.1:{served.port}/")
        browser.execute_async_script(
            "const end = arguments[0];"
            "const socket = new WebSocket(`ws://${location.host}/ws/nowhere/`);"
            "socket.onclose = ({code}) => end(code);"
        )
    log = browser.get_log("browser")  # type: ignore[no-untyped-call] # selenium's
    [text] = [str(entry["message"]) for entry in log if "ws://" in entry["message"]]
    [quoted] = re.findall(r"(?m)^  (WebSocket connection to .*)$", PAGE.read_text())
    assert is_in(quoted.replace("/ws/chat/", "/ws/nowhere/"), text)
