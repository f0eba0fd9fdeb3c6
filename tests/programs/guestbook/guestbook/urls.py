"""The pages of the site."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from .models import Entry

__all__ = ["urlpatterns"]


def entries(request: HttpRequest) -> HttpResponse:
    """Show all entries, and count the visits."""
    request.session["looks"] = request.session.get("looks", 0) + 1
    return HttpResponse("\n".join(map(str, Entry.objects.order_by("pk"))))


urlpatterns = [path("", entries)]
