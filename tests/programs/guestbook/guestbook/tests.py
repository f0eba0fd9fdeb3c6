"""Tests that need a server, each with its own WebSockets."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from django.db import connections
from django.test import override_settings
from websockets import Origin
from websockets.sync.client import ClientConnection, connect

from .models import Entry

# A safety net, for a machine under load.
SECONDS = 60


class LiveTestCase(ChannelsLiveServerTestCase):
    databases = "__all__"
    serialized_rollback = True
    serve_in_thread = os.environ.get("GUESTBOOK_WAY") == "thread"
    start_method = None if serve_in_thread else os.environ.get("GUESTBOOK_WAY")

    def socket(self, path: str, **headers: str) -> ClientConnection:
        return connect(
            f"{self.live_server_ws_url}/{path}/",
            origin=Origin(self.live_server_url),
            additional_headers=headers,
            open_timeout=SECONDS,
            proxy=None,
        )

    @staticmethod
    def ask(socket: ClientConnection, content: Any) -> Any:
        socket.send(json.dumps(content))
        return json.loads(socket.recv(SECONDS))


class DatabaseTests(LiveTestCase):
    def test_the_server_uses_those_of_the_tests(self) -> None:
        with self.socket("desk") as desk:
            desk.recv(SECONDS)
            process, *names = self.ask(desk, "where")
        assert names == [str(connections[alias].settings_dict["NAME"]) for alias in connections]
        assert (process == os.getpid()) == self.serve_in_thread
        if folder := os.environ.get("GUESTBOOK_SEEN"):
            Path(folder, Path(names[0]).name.partition("?")[0]).touch()

    def test_what_the_server_writes(self) -> None:
        Entry.objects.create(text="by the test")
        with self.socket("desk") as desk:
            desk.recv(SECONDS)
            assert self.ask(desk, "by the server") == 2
        for alias in connections:
            assert Entry.objects.using(alias).filter(text="by the server").exists()

    def test_it_is_gone_in_the_next_test(self) -> None:
        for alias in connections:
            assert not Entry.objects.using(alias).exists()
        with self.socket("desk") as desk:
            desk.recv(SECONDS)
            assert self.ask(desk, "the first one") == 1


class RoomTests(LiveTestCase):
    def test_everybody_is_told(self) -> None:
        with self.socket("room") as one, self.socket("room") as other:
            for number in range(10):
                one.send(json.dumps(number))
                other.send(json.dumps(number))
            told = [
                [json.loads(socket.recv(SECONDS)) for _ in range(20)] for socket in (one, other)
            ]
        assert sorted(told[0]) == sorted([*range(10), *range(10)])
        assert told[0] == told[1]
        assert Entry.objects.count() == 20

    def test_a_user_is_known(self) -> None:
        self.client.force_login(User.objects.create_user("ada"))
        cookie = self.client.cookies["sessionid"].OutputString().partition(";")[0]
        with self.socket("desk", Cookie=cookie) as desk:
            assert json.loads(desk.recv(SECONDS)) == ["en", "ada"]


class PageTests(LiveTestCase):
    fixtures = ["entries.json"]

    def get(self, path: str) -> str:
        with urlopen(f"{self.live_server_url}{path}", timeout=SECONDS) as answer:
            return str(answer.read().decode())

    def test_pages(self) -> None:
        assert self.get("/") == "from a fixture"

    def test_static_files(self) -> None:
        assert self.get("/static/guestbook/style.css") == "body { color: teal }\n"


@override_settings(LANGUAGE_CODE="nl")
class SettingsTests(LiveTestCase):
    def test_they_reach_the_server(self) -> None:
        with self.socket("desk") as desk:
            assert json.loads(desk.recv(SECONDS)) == ["nl", ""]
