"""The progress of a job that a worker does."""

# The settings have a layer, so `get_channel_layer()` does not return None.
# mypy: disable-error-code="union-attr"

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from channels.auth import AuthMiddlewareStack, login_required
from channels.consumer import SyncConsumer
from channels.generic.sse import AsyncSseConsumer
from channels.http import AsgiHandler
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.contrib.auth import decorators
from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path

# begin settings
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"history": {"job.*": {"size": 1, "age": 3600}}},
    },
}
# end of settings


@decorators.login_required
def start(request: HttpRequest) -> JsonResponse:
    """Send a job to the worker, and return its id."""
    job = uuid4().hex
    # Only this user may follow it: the name of the group contains the user.
    group = f"job.{request.user.pk}.{job}"
    message = {"type": "report.build", "group": group, "rows": 500}
    get_channel_layer().send_on_commit("reports", message)
    return JsonResponse({"job": job})


class Reports(SyncConsumer):
    """Do the job, in a worker, and say how far it is."""

    def report_build(self, message: Mapping[str, Any]) -> None:
        rows = message["rows"]
        for done in range(0, rows + 1, 100):
            # Here a hundred rows are written.
            event = {"type": "job.progress", "done": done, "of": rows}
            self.channel_layer.group_send_sync(message["group"], event)


class Progress(AsyncSseConsumer):
    """Send a page how far its job is, beginning with the last report."""

    async def connect(self) -> None:
        job = self.scope["url_route"]["kwargs"]["job"]
        # A position that the layer does not know stands for everything that it has kept.
        await self.join_group(f"job.{self.scope['user'].pk}.{job}", after="the beginning")

    async def job_progress(self, event: Mapping[str, Any]) -> None:
        await self.send_event({"done": event["done"], "of": event["of"]})


# begin application
members: Any = AuthMiddlewareStack(login_required(Progress.as_asgi(), raise_exception=True))

application = ProtocolTypeRouter(
    {
        "http": URLRouter([path("jobs/<slug:job>/", members), re_path("", AsgiHandler())]),
        "channel": ChannelNameRouter({"reports": Reports.as_asgi()}),
    }
)
# end of application
