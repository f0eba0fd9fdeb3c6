"""Log out while WebSockets of the same session save it, and show the old cookie afterwards.

`PYTHONPATH=tests python -m hostile.logout_races` prints for each session engine in how many of the
tries the old cookie names the user again. In each try three connections of one session change a key
of it as fast as they can, until a view ends the session. Each engine has a process of its own.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

#: For each row of the table, the engine and the cache under it.
ENGINES: Final = {
    "db": ("db", None),
    "cached_db": ("cached_db", "redis.RedisCache"),
    "cache over Redis": ("cache", "redis.RedisCache"),
    "cache over files": ("cache", "filebased.FileBasedCache"),
    "cache over locmem": ("cache", "locmem.LocMemCache"),
    "file": ("file", None),
    "signed_cookies": ("signed_cookies", None),
}

#: The columns: whether the program saves itself, with `asave`; and `ends_with_login`.
WAYS: Final = {
    "save": (False, False),
    "asave": (True, False),
    "save, ends with login": (False, True),
    "asave, ends with login": (True, True),
}

_CONNECTIONS: Final = 3
#: Seconds from the first change to the logout, at least and at most, and after it.
_BEFORE: Final = (0.02, 0.06)
_AFTER: Final = 0.05


def end_session(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import logout

    logout(request)
    return HttpResponse()


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))


urlpatterns = [path("logout/", end_session), path("who/", who)]


@contextmanager
def _site(name: str) -> Iterator[None]:
    """Set Django up with an engine, and with a user in its database."""
    engine, cache = ENGINES[name]
    with (
        tempfile.TemporaryDirectory(prefix="logout-races-") as folder,
        _location(cache, folder) as location,
    ):
        settings.configure(
            SECRET_KEY="not a secret: it guards nothing but tests",
            ROOT_URLCONF=__name__ if __name__ != "__main__" else "hostile.logout_races",
            ALLOWED_HOSTS=["testserver"],
            INSTALLED_APPS=[
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django.contrib.sessions",
                "channels",
            ],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
            ],
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": f"{folder}/db.sqlite3",
                    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
                }
            },
            CACHES={"default": {"BACKEND": f"django.core.cache.backends.{cache}", **location}}
            if cache
            else {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
            CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
            SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
            SESSION_FILE_PATH=folder,
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            USE_TZ=True,
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        connection.cursor().execute("PRAGMA journal_mode=WAL")
        yield


@contextmanager
def _location(cache: str | None, folder: str) -> Iterator[dict[str, str]]:
    if cache == "redis.RedisCache":
        from redis_server import RedisServer

        with RedisServer() as server:
            yield {"LOCATION": server.url}
    elif cache == "filebased.FileBasedCache":
        yield {"LOCATION": f"{folder}/cache"}
    else:
        yield {}


def consumer_class(saves_itself: bool) -> Any:
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Counter(AsyncWebsocketConsumer):
        """Change the session with each frame."""

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            session = self.scope["session"]
            session["count"] = session.get("count", 0) + 1
            if saves_itself:
                await session.asave()
            await self.send("")

    return Counter


async def _change(
    application: Any, cookies: dict[str, str], begun: asyncio.Event, finished: asyncio.Event
) -> None:
    """Change the session over one connection, until it is closed or the try is finished."""
    from channels.testing import WebsocketCommunicator

    client = WebsocketCommunicator(application, "/", cookies=cookies)
    await client.connect(timeout=30)
    while not finished.is_set():
        await client.send_to(text_data="")
        if (await client.receive_output(30))["type"] != "websocket.send":
            break
        begun.set()
    await client.disconnect(timeout=30)


async def race(application: Any, client: Any, *, path: str = "/logout/") -> bool:
    """Return whether the old cookie still names the user after a logout during saves.

    Args:
        application: The connections' application.
        client: Django's test client, logged in.
        path: The view that ends the session.
    """
    cookies = {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}
    finished = asyncio.Event()
    begun = [asyncio.Event() for _ in range(_CONNECTIONS)]
    changing = [
        asyncio.create_task(_change(application, cookies, each, finished)) for each in begun
    ]
    for each in begun:
        await asyncio.wait_for(each.wait(), 30)
    await asyncio.sleep(random.uniform(*_BEFORE))
    await asyncio.to_thread(client.post, path)
    await asyncio.sleep(_AFTER)
    finished.set()
    await asyncio.gather(*changing)
    client.cookies.load(cookies)
    shown = await asyncio.to_thread(client.get, "/who/")
    return bool(shown.content != b"AnonymousUser")


async def _races(way: str, tries: int) -> int:
    from channels.auth import AuthMiddlewareStack
    from django.contrib.auth import get_user_model
    from django.test import Client

    saves_itself, ends = WAYS[way]
    application = AuthMiddlewareStack(consumer_class(saves_itself).as_asgi(), ends_with_login=ends)
    users: Any = get_user_model()._default_manager
    user, _ = await users.aget_or_create(username="ann", defaults={"password": "x"})
    undone = 0
    for _ in range(tries):
        client = Client()
        await asyncio.to_thread(client.force_login, user)
        undone += await race(application, client)
    return undone


def _row(name: str, ways: list[str], tries: int) -> str:
    import logging

    logging.disable(logging.CRITICAL)
    with _site(name):
        counts = [asyncio.run(_races(way, tries)) for way in ways]
    return f"| {name} | " + " | ".join(map(str, counts)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=60, help="tries for each number")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this column")
    chosen = parser.parse_args()
    ways = chosen.way or list(WAYS)
    if chosen.engine:
        print(_row(chosen.engine, ways, chosen.tries), flush=True)
        return
    print(f"Old cookies that name the user again after a logout, of {chosen.tries}:\n")
    print("| engine | " + " | ".join(ways) + " |")
    print("|---" * (len(ways) + 1) + "|", flush=True)
    arguments = ["--tries", str(chosen.tries)]
    for way in ways:
        arguments += ["--way", way]
    for name in ENGINES:
        command = [sys.executable, "-m", "hostile.logout_races", "--engine", name, *arguments]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
