"""What the pages about capacity, monitoring and platforms show."""

import asyncio
import os
import re
import sys
from typing import Any

import pytest
import yaml
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter
from websockets.exceptions import InvalidStatus

from docs.snippets import load_test, monitoring, outside
from served import ROOT, SITE
from served_here import Here
from test_docs import Client, fetch

DEPLOY = SITE / "deploy"


class Echo(AsyncWebsocketConsumer):
    """Send each text back; refuse or fail if the path says so."""

    async def connect(self) -> None:
        if self.scope["path"] == "/refuse/":
            await self.close()
            return
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise LookupError
        await self.send(text_data=text_data)


def monitored_site() -> Any:
    async def views(scope: Any, receive: Any, send: Any) -> None:
        await monitoring.respond(send, 200, "a view")

    return monitoring.monitored(views, Echo.as_asgi())


class TestLoadTest:
    def test_the_script_prints_the_figures_of_the_page(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Here(ProtocolTypeRouter({"websocket": Echo.as_asgi()})) as site:
            url = f"ws://127.0.0.1:{site.port}/ws/echo/"
            arguments = [url, "--connections", "60", "--origin", site.origin]
            arguments += ["--pid", str(os.getpid()), "--compression", "deflate"]
            monkeypatch.setattr(sys, "argv", ["load_test.py", *arguments])
            load_test.main()
        printed = capsys.readouterr().out
        names = re.findall(r"(?m)^(.*?)  +[\d,.-]+$", printed)
        page = (ROOT / "docs" / "topics" / "capacity.md").read_text()
        [shown] = re.findall(r"(?ms)^```text\n(.*?)^```", page)
        assert names == re.findall(r"(?m)^(.*?)  +[\d,.-]+$", shown)
        assert len(names) == 5
        assert printed.splitlines()[0].endswith(" 60.0")

    def test_without_a_process(self) -> None:
        with Here(ProtocolTypeRouter({"websocket": Echo.as_asgi()})) as site:
            url = f"ws://127.0.0.1:{site.port}/"
            figures = asyncio.run(load_test.measure(url, connections=2, origin=site.origin))
        assert figures["KiB for a connection"] == 0


class TestMonitoring:
    @pytest.fixture
    def application(self) -> Any:
        return monitored_site()

    async def test_the_process_is_alive_and_ready(self, application: Any) -> None:
        assert (await fetch(application, "/health/alive/"))[0] == 200
        assert (await fetch(application, "/health/ready/"))[::2] == (200, b"ready")
        assert (await fetch(application, "/other/"))[2] == b"a view"

    @pytest.mark.parametrize("silent", [True, False])
    async def test_it_is_alive_but_not_ready_if_the_layer_fails(
        self, application: Any, silent: bool
    ) -> None:
        class Away(InMemoryChannelLayer):
            async def ping(self) -> None:
                if silent:
                    await asyncio.Future()
                raise ConnectionError

        before = channel_layers.set("default", Away())
        try:
            status, _, body = await fetch(application, "/health/ready/")
            assert (status, body) == (503, b"the channel layer does not answer")
            assert (await fetch(application, "/health/alive/"))[0] == 200
        finally:
            channel_layers.set("default", before)

    async def test_connections_are_counted(self, application: Any) -> None:
        async def numbers() -> dict[str, float]:
            lines = (await fetch(application, "/health/metrics/"))[2].decode().splitlines()
            return {name: float(number) for name, number in map(str.split, lines)}

        here = Client(application)
        await here.connect()
        refused = Client(application, path="/refuse/")
        assert (await refused.connect())["type"] == "websocket.close"
        await refused.leave()
        failing = Client(application)
        await failing.connect()
        await failing.send("fail")
        with pytest.raises(LookupError):
            await failing.link.wait()
        told = await numbers()
        assert told["channels_connections_open"] == 1
        assert told["channels_handshakes_accepted_total"] == 2
        assert told['channels_connections_total{end="refused"}'] == 1
        assert told['channels_connections_total{end="failed"}'] == 1
        assert told["channels_event_loop_lag_seconds"] >= 0
        await here.leave()
        told = await numbers()
        assert told["channels_connections_open"] == 0
        assert told['channels_connections_total{end="closed"}'] == 1

    def test_a_look_from_outside(self) -> None:
        with Here(ProtocolTypeRouter({"websocket": Echo.as_asgi()})) as site:
            outside.check(f"ws://127.0.0.1:{site.port}/", site.origin)
            with pytest.raises(InvalidStatus):
                outside.check(f"ws://127.0.0.1:{site.port}/refuse/", site.origin)


class TestKubernetes:
    """The file for Kubernetes, which no cluster runs here."""

    @pytest.fixture
    def deployments(self) -> dict[str, Any]:
        parts = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
        return {part["metadata"]["name"] + "." + part["kind"]: part for part in parts}

    def container(self, deployments: dict[str, Any], name: str) -> Any:
        [container] = deployments[f"{name}.Deployment"]["spec"]["template"]["spec"]["containers"]
        return container

    def test_the_worker_runs_what_its_unit_runs(self, deployments: dict[str, Any]) -> None:
        unit = (DEPLOY / "chat-worker.service").read_text()
        [command] = re.findall(r"(?m)^ExecStart=\S+/python (.*)$", unit)
        assert self.container(deployments, "chat-worker")["args"] == ["python", *command.split()]

    def test_a_process_has_time_to_end(self, deployments: dict[str, Any]) -> None:
        compose = (DEPLOY / "compose.yaml").read_text()
        [given] = re.findall(r"(?m)^  stop_grace_period: (\d+)s", compose)
        pause = self.container(deployments, "chat-web")["lifecycle"]["preStop"]["exec"]["command"]
        for name in ("chat-web", "chat-worker"):
            spec = deployments[f"{name}.Deployment"]["spec"]["template"]["spec"]
            assert spec["terminationGracePeriodSeconds"] >= int(given) + int(pause[1])

    async def test_the_probes_ask_what_the_page_about_monitoring_answers(
        self, deployments: dict[str, Any]
    ) -> None:
        application = monitored_site()
        web = self.container(deployments, "chat-web")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = web[probe]["httpGet"]
            assert asked["port"] == web["ports"][0]["containerPort"]
            assert (await fetch(application, asked["path"]))[0] == 200
        image = (DEPLOY / "Dockerfile").read_text()
        assert f"EXPOSE {web['ports'][0]['containerPort']}" in image

    def test_labels_and_selectors_agree(self, deployments: dict[str, Any]) -> None:
        for name in ("chat-web", "chat-worker"):
            spec = deployments[f"{name}.Deployment"]["spec"]
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        service = deployments["chat-web.Service"]["spec"]
        assert service["selector"] == {"app": "chat-web"}
