"""What the pages tell of logins."""

from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, JsonResponse


def who(request: HttpRequest) -> HttpResponse:
    """Name the user, and what is in the session beside the login."""
    cart = request.session.get("cart", [])
    return JsonResponse({"user": request.user.get_username(), "cart": cart})


def stored(request: HttpRequest) -> HttpResponse:
    """Show all sessions by their keys, and touch none."""
    return JsonResponse({one.session_key: one.get_decoded() for one in Session.objects.all()})
