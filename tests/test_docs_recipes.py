"""The recipes of the documentation, each as a program."""

import asyncio
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from datastar_py import ServerSentEventGenerator
from datastar_py.consts import ElementPatchMode
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import path
from django_htmx import __file__ as htmx
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from docs.snippets import (
    answers,
    fragments,
    notifying,
    progress,
    queued,
    resuming,
    typing_indicator,
)
from processes import SECONDS
from served import ROOT, SITE
from served_here import Here, files
from tabs import wait_until
from test_docs import Request

SHOWN = ROOT / "docs" / "snippets" / "browser"
CHAT = SITE / "chat" / "static" / "chat"
REACT = ROOT / "tests" / "browser_libraries" / "react"


def use(**options: Any) -> InMemoryChannelLayer:
    layer = InMemoryChannelLayer(**options)
    channel_layers.set("default", layer)
    return layer


@pytest.fixture(autouse=True)
def layer() -> Iterator[InMemoryChannelLayer]:
    """The layer of a test; some tests replace it."""
    before = channel_layers.set("default", None)
    yield use()
    channel_layers.set("default", before)


@pytest.fixture
def cache_sessions(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


def options_of(snippet: Any) -> dict[str, Any]:
    return dict(snippet.CHANNEL_LAYERS["default"]["CONFIG"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cache_sessions")
class TestNotifications:
    @pytest.fixture(autouse=True)
    def layer_with_history(self, layer: InMemoryChannelLayer) -> None:
        use(**options_of(notifying))

    def page(self, user: Any, after: str = "") -> WebsocketCommunicator:
        return WebsocketCommunicator(
            notifying.application,
            f"/notifications/?after={after}",
            headers=[(b"host", b"testserver"), (b"origin", b"http://testserver")],
            user=user,
        )

    async def test_all_pages_of_the_user_get_it(self) -> None:
        anna = await get_user_model().objects.acreate(username="anna")
        ben = await get_user_model().objects.acreate(username="ben")
        pages = [self.page(user) for user in (anna, anna, ben)]
        for page in pages:
            assert (await page.connect())[0]
        await sync_to_async(notifying.notify)(anna.pk, text="hello")
        for page in pages[:2]:
            assert (await page.receive_json_from())["text"] == "hello"
        assert await pages[2].receive_nothing()
        for page in pages:
            await page.disconnect()

    async def test_a_page_that_was_away_gets_what_it_has_missed(self) -> None:
        anna = await get_user_model().objects.acreate(username="anna")
        page = self.page(anna)
        await page.connect()
        await sync_to_async(notifying.notify)(anna.pk, text="one")
        position = (await page.receive_json_from())["position"]
        await page.disconnect()
        await sync_to_async(notifying.notify)(anna.pk, text="two")
        page = self.page(anna, position)
        await page.connect()
        assert (await page.receive_json_from())["text"] == "two"
        await page.disconnect()

    async def test_nothing_is_sent_before_the_commit(self) -> None:
        anna = await get_user_model().objects.acreate(username="anna")

        def roll_back() -> None:
            with transaction.atomic():
                notifying.notify(anna.pk, text="never")
                transaction.set_rollback(True)

        await sync_to_async(roll_back)()
        layer: Any = channel_layers["default"]
        assert (await layer.group_history(notifying.user_group(anna.pk))).messages == []

    async def test_a_visitor_without_a_login_is_refused(self) -> None:
        page = WebsocketCommunicator(
            notifying.application,
            "/notifications/",
            headers=[(b"host", b"testserver"), (b"origin", b"http://testserver")],
        )
        assert (await page.connect())[0] is False


@asynccontextmanager
async def working(application: Any, channel: str) -> AsyncIterator[None]:
    """Do the next job of a channel during the block, as `runworker` does."""
    layer: Any = channel_layers["default"]
    worker = ApplicationCommunicator(application, {"type": "channel", "channel": channel})
    await worker.send_input(await layer.receive(channel))
    yield
    worker.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("cache_sessions")
class TestProgress:
    @pytest.fixture(autouse=True)
    def layer_with_history(self, layer: InMemoryChannelLayer) -> None:
        use(**options_of(progress))

    def begin(self, name: str) -> tuple[str, bytes]:
        """Start a job for a new user; return its id and the user's cookie."""
        user = get_user_model().objects.create(username=name)
        request = RequestFactory().post("/")
        request.user = user
        job = json.loads(progress.start(request).content)["job"]
        client = Client()
        client.force_login(user)
        return job, f"sessionid={client.cookies['sessionid'].value}".encode()

    async def follow(self, job: str, cookie: bytes) -> Request:
        page = Request(progress.application, f"/jobs/{job}/", headers=[(b"cookie", cookie)])
        await page.send()
        assert (await page.begin())[0] == 200
        return page

    async def do_the_job(self, cookie: bytes, job: str) -> None:
        page = await self.follow(job, cookie)
        async with working(progress.application, "reports"):
            for _ in range(6):
                await page.event()
        await page.leave()

    async def test_a_page_sees_each_report(self) -> None:
        job, cookie = await sync_to_async(self.begin)("anna")
        page = await self.follow(job, cookie)
        async with working(progress.application, "reports"):
            told = [json.loads((await page.event())["data"]) for _ in range(6)]
        assert told == [{"done": done, "of": 500} for done in range(0, 501, 100)]
        await page.leave()

    async def test_a_page_that_comes_late_begins_with_the_last_report(self) -> None:
        job, cookie = await sync_to_async(self.begin)("anna")
        await self.do_the_job(cookie, job)
        page = await self.follow(job, cookie)
        assert json.loads((await page.event())["data"]) == {"done": 500, "of": 500}
        await page.leave()

    async def test_another_user_sees_nothing(self) -> None:
        job, cookie = await sync_to_async(self.begin)("anna")
        await self.do_the_job(cookie, job)
        _, cookie = await sync_to_async(self.begin)("ben")
        page = await self.follow(job, cookie)
        await page.leave()
        rest = b""
        while not page.link.output_queue.empty():
            rest += (await page.link.receive_output())["body"]
        assert b"data:" not in rest

    async def test_a_visitor_without_a_login_is_refused(self) -> None:
        page = Request(progress.application, "/jobs/1/")
        await page.send()
        assert (await page.whole())[0] == 401


class Named:
    """Set the user of the scope, as a login does."""

    def __init__(self, inner: Any, name: str) -> None:
        self.inner = inner
        self.user = SimpleNamespace(get_username=lambda: name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return await self.inner({**scope, "user": self.user}, receive, send)


def typing_room(name: str) -> Any:
    return Named(
        URLRouter([path("typing/<slug:name>/", typing_indicator.TypingRoom.as_asgi())]), name
    )


class TestTyping:
    async def test_the_others_are_told(self) -> None:
        anna, ben = (
            WebsocketCommunicator(typing_room(name), "/typing/tea/") for name in ("Anna", "Ben")
        )
        for page in (anna, ben):
            await page.connect()
        await anna.send_json_to({"typing": True})
        assert await ben.receive_json_from() == {"typing": "Anna"}
        assert await anna.receive_nothing()
        for page in (anna, ben):
            await page.disconnect()

    def test_the_page(self, browser: Chrome) -> None:
        html = """
            <input id="text"><p id="indicator"></p>
            <script type="module">
              import {Channel} from "/channel.js";
              window.channel = new Channel("/typing/tea/");
              channel.connect();
              const script = document.createElement("script");
              script.src = "/typing.js";
              document.body.append(script);
            </script>
        """
        pages: dict[str, Path | str] = {
            "/": html,
            "/channel.js": CHAT / "channel.js",
            "/typing.js": SHOWN / "typing.js",
        }
        application = ProtocolTypeRouter({"http": files(pages), "websocket": typing_room("Anna")})
        with Here(application) as site:
            async_to_sync(self.use_the_page)(browser, site)

    async def use_the_page(self, browser: Chrome, site: Here) -> None:
        ben = WebsocketCommunicator(typing_room("Ben"), "/typing/tea/")
        await ben.connect()
        browser.get(site.origin)
        wait_until(browser, lambda page: page.execute_script("return channel.state === 'open'"))
        wait_until(browser, lambda page: page.execute_script("return typeof typing === 'object'"))
        browser.find_element(By.ID, "text").send_keys("hello")
        assert await ben.receive_json_from(SECONDS) == {"typing": "Anna"}
        # Five letters, and one message.
        assert await ben.receive_nothing()
        await ben.send_json_to({"typing": True})

        def shown(text: str) -> Any:
            return lambda page: page.find_element(By.ID, "indicator").text == text

        await sync_to_async(wait_until)(browser, shown("Ben typing"))
        await sync_to_async(wait_until)(browser, shown(""))
        await ben.disconnect()


class TestAnswers:
    @pytest.fixture(autouse=True)
    def layer_with_history(self, layer: InMemoryChannelLayer, settings: Any) -> None:
        use(**options_of(answers))
        settings.ROOT_URLCONF = (path("ask/", answers.ask),)
        settings.ALLOWED_HOSTS = ["*"]

    async def ask(self) -> str:
        body = json.dumps({"question": "why"}).encode()
        page = Request(answers.application, "/ask/", method="POST")
        await page.send(body)
        status, _, content = await page.whole()
        assert status == 200
        return str(json.loads(content)["answer"])

    async def read(self, answer: str, **scope: Any) -> list[dict[str, str]]:
        page = Request(answers.application, f"/answers/{answer}/", **scope)
        await page.send()
        await page.begin()
        events = [await page.event()]
        while events[-1].get("event") != "end":
            events.append(await page.event())
        await page.leave()
        return events

    async def test_an_answer_is_read_from_the_beginning_and_from_the_middle(self) -> None:
        answer = await self.ask()
        async with working(answers.application, "questions"):
            events = await self.read(answer)
        texts = [json.loads(event["data"]).get("text") for event in events]
        assert texts == ["You ", "have ", "asked: ", "why ", None]
        last = events[1]["id"].encode()
        assert await self.read(answer, headers=[(b"last-event-id", last)]) == events[2:]

    def test_a_page_that_is_reloaded_shows_the_whole_answer(
        self, browser: Chrome, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts: queue.SimpleQueue[str] = queue.SimpleQueue()

        async def generate(question: str) -> AsyncIterator[str]:
            while part := await asyncio.to_thread(parts.get):
                yield part

        monkeypatch.setattr(answers, "generate", generate)
        page = files({"/": SHOWN / "answer.html"})

        async def http(scope: Any, receive: Any, send: Any) -> None:
            chosen = page if scope["path"] == "/" else answers.application
            await chosen(scope, receive, send)

        async def do_one_job() -> None:
            async with working(answers.application, "questions"):
                await asyncio.to_thread(ended.wait, SECONDS)

        ended = threading.Event()
        worker = threading.Thread(target=async_to_sync(do_one_job))
        worker.start()

        def wait_for(text: str) -> None:
            wait_until(browser, lambda page: page.find_element(By.ID, "answer").text == text)

        with Here(http) as site:
            browser.get(site.origin)
            browser.find_element(By.ID, "question").send_keys("why\n")
            parts.put("You ")
            wait_for("You")
            browser.refresh()
            wait_for("You")
            parts.put("are here.")
            wait_for("You are here.")
            parts.put("")
            browser.refresh()
            wait_for("You are here.")
            ended.set()
            worker.join(SECONDS)


class TestFrontEnds:
    def serve(self, html: str) -> Here:
        static = Path(htmx).parent / "static" / "django_htmx"
        pages: dict[str, Path | str] = {
            f"/static/django_htmx/{script.relative_to(static).as_posix()}": script
            for script in static.rglob("*.min.js")
        }
        page = files({**pages, "/": SHOWN / html})

        async def http(scope: Any, receive: Any, send: Any) -> None:
            ours = scope["path"] in ("/lines/", "/datastar/")
            await (fragments.application if ours else page)(scope, receive, send)

        return Here(ProtocolTypeRouter({"http": http, "websocket": fragments.application}))

    def lines(self, page: Chrome) -> list[str]:
        return [line.text for line in page.find_elements(By.CSS_SELECTOR, "li")]

    def say(self, text: str) -> None:
        layer: Any = channel_layers["default"]
        async_to_sync(layer.group_send)("htmx", {"type": "room.line", "text": text})

    def wait_for_a_member(self, browser: Chrome) -> None:
        """Return when the page is in the group."""
        layer: Any = channel_layers["default"]
        wait_until(browser, lambda _: layer.groups.get("htmx"))

    def test_htmx_over_a_websocket(self, browser: Chrome) -> None:
        with self.serve("htmx_room.html") as site:
            browser.get(site.origin)
            self.wait_for_a_member(browser)
            text = browser.find_element(By.NAME, "text")
            text.send_keys("<b>hello</b>\n")
            wait_until(browser, lambda page: self.lines(page) == ["<b>hello</b>"])
            assert text.get_property("value") == ""

    @pytest.mark.parametrize("page", ["htmx_lines.html", "htmx_4_lines.html"])
    def test_htmx_with_server_sent_events(self, browser: Chrome, page: str) -> None:
        with self.serve(page) as site:
            browser.get(site.origin)
            self.wait_for_a_member(browser)
            self.say("one")
            self.say("<b>two</b>")
            wait_until(browser, lambda page: self.lines(page) == ["one", "<b>two</b>"])

    async def test_datastar_gets_the_events_of_its_own_package(self) -> None:
        page = Request(fragments.application, "/datastar/")
        await page.send()
        await page.begin()
        await page.part()
        layer: Any = channel_layers["default"]
        await layer.group_send("htmx", {"type": "room.line", "text": "hello"})
        event = (await page.part()).decode()
        theirs = ServerSentEventGenerator.patch_elements(
            "<li>hello</li>", selector="#log", mode=ElementPatchMode.APPEND
        )
        assert event.splitlines() == theirs.splitlines()
        await page.leave()

    def test_react(self, browser: Chrome) -> None:
        use(history={"room.*": {"size": 10, "age": 60}})
        html = """
            <script src="/react.production.min.js"></script>
            <script src="/react-dom.production.min.js"></script>
            <script type="importmap">{"imports": {"react": "/react.js"}}</script>
            <main></main>
            <script type="module">
              import {createElement} from "react";
              import {Room} from "/Room.js";
              window.root = ReactDOM.createRoot(document.querySelector("main"));
              window.show = (name) => root.render(createElement(Room, {name}));
              show("tea");
            </script>
        """
        pages: dict[str, Path | str] = {
            "/": html,
            "/channel.js": CHAT / "channel.js",
            **{f"/{name}": SHOWN / name for name in ("Room.js", "useChannel.js")},
            **{f"/{script.name}": script for script in REACT.glob("*.js")},
        }
        rooms = URLRouter([path("room/<slug:name>/", resuming.Room.as_asgi())])
        with Here(ProtocolTypeRouter({"http": files(pages), "websocket": rooms})) as site:
            browser.get(site.origin)

            def status(text: str) -> None:
                wait_until(browser, lambda page: page.find_element(By.TAG_NAME, "p").text == text)

            status("open")
            browser.find_element(By.NAME, "text").send_keys("hello\n")
            wait_until(browser, lambda page: self.lines(page) == ["hello"])
            site.stop()
            status("Next attempt in 1 s")
            site.start()
            status("open")
            browser.find_element(By.NAME, "text").send_keys("again\n")
            wait_until(browser, lambda page: self.lines(page) == ["hello", "again"])
            layer: Any = channel_layers["default"]
            browser.execute_script("show('coffee')")
            wait_until(browser, lambda _: not layer.groups.get("room.tea"))
            wait_until(browser, lambda _: layer.groups.get("room.coffee"))
            browser.execute_script("root.unmount()")
            wait_until(browser, lambda _: not layer.groups.get("room.coffee"))


@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks is new in Django 6.0")
@pytest.mark.django_db(transaction=True)
class TestTasks:
    async def test_a_task_of_django_tells_its_user(self, settings: Any) -> None:
        from docs.snippets import django_tasks

        use(**options_of(notifying))
        settings.TASKS = {
            "default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}
        }
        anna = await get_user_model().objects.acreate(username="anna")
        page = TestNotifications().page(anna)
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        await page.connect()
        request = RequestFactory().post("/")
        request.user = anna
        response = await sync_to_async(django_tasks.start)(request)
        assert response.status_code == 202
        assert (await page.receive_json_from())["text"] == "Your report with 500 rows is ready."
        await page.disconnect()


@pytest.mark.django_db
def test_a_function_of_a_queue_tells_its_user(django_capture_on_commit_callbacks: Any) -> None:
    layer = use(**options_of(notifying))
    with django_capture_on_commit_callbacks(execute=True):
        assert queued.build_report(7, 500) == {"rows": 500}
    [told] = layer.group_history_sync("user.7").messages
    assert told["notification"] == {"text": "Your report with 500 rows is ready."}
