"""Pages that show logins."""

from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, JsonResponse


def who(request: HttpRequest) -> HttpResponse:
    """Show the user, and the content of the session besides the login."""
    cart = request.session.get("cart", [])
    return JsonResponse({"user": request.user.get_username(), "cart": cart})


def stored(request: HttpRequest) -> HttpResponse:
    """Show all sessions by their keys, without changing them."""
    return JsonResponse({one.session_key: one.get_decoded() for one in Session.objects.all()})
