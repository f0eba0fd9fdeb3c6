"""The pages of the chat: one for everybody, and others for members only."""

from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.views import welcome
from chat.forms import MessageForm, RoomForm
from chat.models import HISTORY, Message, Reading, active_rooms
from chat.saying import say

__all__ = ["feed", "index", "parrot", "plain_room", "room"]


def index(request: HttpRequest) -> HttpResponse:
    """Welcome a visitor; show a member the rooms, or redirect to the one that was entered."""
    if not isinstance(request.user, User):
        return welcome(request)
    form = RoomForm(request.GET or None)
    if form.is_valid():
        return redirect("room", room=form.cleaned_data["room"])
    context = {"form": form, "rooms": rooms_of(request.user)}
    return render(request, "chat/index.html", context, status=400 if form.is_bound else 200)


def rooms_of(member: User, here: str = "") -> list[dict[str, Any]]:
    """Return the latest rooms, each with the number of messages that the member has not read."""
    names = list(active_rooms()[:10])
    if here and here not in names:
        names.insert(0, here)
    read = dict(Reading.objects.filter(member=member).values_list("room", "last"))
    rooms = []
    for name in names:
        messages = Message.objects.filter(room=name, id__gt=read.get(name, 0))
        if name not in read:
            messages = messages.filter(sent_at__gt=member.date_joined)
        rooms.append({"name": name, "unread": 0 if name == here else messages.count()})
    return rooms


@login_required
def room(request: HttpRequest, room: str) -> HttpResponse:
    """Show the page of a room; the messages arrive over its WebSocket."""
    assert isinstance(request.user, User)  # the decorator has seen to it
    newest = Message.objects.filter(room=room).aggregate(last=Max("id"))
    page = {"room": room, "member": request.user.username, "history": HISTORY, **newest}
    context = {
        "room": room,
        "page": page,
        "rooms": rooms_of(request.user, room),
        "has_worker": settings.HAS_WORKER,
    }
    return render(request, "chat/room.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def plain_room(request: HttpRequest, room: str) -> HttpResponse:
    """Show a room without WebSockets, and accept messages by an ordinary form."""
    form = MessageForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        async_to_sync(say)(room, request.user.get_username(), **form.cleaned_data)
        return redirect("plain-room", room=room)
    newest_first = Message.objects.filter(room=room).order_by("-id")[:HISTORY]
    context = {"room": room, "form": form, "messages": reversed(newest_first)}
    return render(request, "chat/plain_room.html", context, status=400 if form.is_bound else 200)


@login_required
def feed(request: HttpRequest) -> HttpResponse:
    """Show the page that follows all rooms; the messages arrive as a stream of events."""
    return render(request, "chat/feed.html")


@login_required
def parrot(request: HttpRequest) -> HttpResponse:
    """Show the page that asks the parrot; its answer arrives as a stream of events."""
    return render(request, "chat/parrot.html")
