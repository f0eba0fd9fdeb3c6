"""The two pages of the site."""

from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from chat.forms import RoomForm
from chat.models import Message

__all__ = ["index", "room"]


def index(request: HttpRequest) -> HttpResponse:
    """Show the rooms in use, and redirect to the one that a visitor entered."""
    form = RoomForm(request.GET or None)
    if form.is_valid():
        return redirect("room", room=form.cleaned_data["room"])
    rooms = Message.objects.values_list("room", flat=True).annotate(last=Max("id"))
    context = {"form": form, "rooms": rooms.order_by("-last")[:10]}
    return render(request, "chat/index.html", context, status=400 if form.is_bound else 200)


def room(request: HttpRequest, room: str) -> HttpResponse:
    """Show the page of a room; the messages arrive over its WebSocket."""
    return render(request, "chat/room.html", {"room": room})
