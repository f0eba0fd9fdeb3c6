"""Django's views behind consumers."""

from typing import Any

from channels.http import AsgiHandler
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path, reverse


# begin health
async def health(scope: Any, receive: Any, send: Any) -> Any:
    """Tell a load balancer that the server is up, without a view and its middleware."""
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"up"})


# end of health


# begin routes
application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("health/", health),
                re_path(r"", AsgiHandler()),
            ]
        ),
    }
)
# end of routes


def about(request: HttpRequest) -> HttpResponse:
    """Say where this page is."""
    return HttpResponse(f"This page is at {reverse('about')}")


urlpatterns = [path("about/", about, name="about")]
