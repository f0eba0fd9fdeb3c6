"""The pages of the chat, for members only."""

from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_required
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from chat.forms import MessageForm, RoomForm
from chat.models import HISTORY, Message
from chat.saying import say

__all__ = ["feed", "index", "plain_room", "room"]


@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Show the rooms in use, and redirect to the one that a member entered."""
    form = RoomForm(request.GET or None)
    if form.is_valid():
        return redirect("room", room=form.cleaned_data["room"])
    rooms = Message.objects.values_list("room", flat=True).annotate(last=Max("id"))
    context = {"form": form, "rooms": rooms.order_by("-last")[:10]}
    return render(request, "chat/index.html", context, status=400 if form.is_bound else 200)


@login_required
def room(request: HttpRequest, room: str) -> HttpResponse:
    """Show the page of a room; the messages arrive over its WebSocket."""
    return render(request, "chat/room.html", {"room": room})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def plain_room(request: HttpRequest, room: str) -> HttpResponse:
    """Show a room without WebSockets, and accept messages by an ordinary form."""
    form = MessageForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        async_to_sync(say)(room, request.user.get_username(), form.cleaned_data["text"])
        return redirect("plain-room", room=room)
    newest_first = Message.objects.filter(room=room).order_by("-id")[:HISTORY]
    context = {"room": room, "form": form, "messages": reversed(newest_first)}
    return render(request, "chat/plain_room.html", context, status=400 if form.is_bound else 200)


@login_required
def feed(request: HttpRequest) -> HttpResponse:
    """Show the page that follows all rooms; the messages arrive as a stream of events."""
    return render(request, "chat/feed.html")
