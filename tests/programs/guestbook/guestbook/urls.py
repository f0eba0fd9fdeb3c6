"""Pages beside the sockets."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from .models import Entry

__all__ = ["urlpatterns"]


def entries(request: HttpRequest) -> HttpResponse:
    """Show all that is written, and count who looks."""
    request.session["looks"] = request.session.get("looks", 0) + 1
    return HttpResponse("\n".join(map(str, Entry.objects.order_by("pk"))))


urlpatterns = [path("", entries)]
