"""The desk of the site, for staff: announce something, and disconnect a member."""

from collections import defaultdict

from asgiref.sync import async_to_sync
from channels.auth import disconnect_user
from channels.layers import BaseChannelLayer, get_channel_layer
from django.contrib.auth.decorators import user_passes_test
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from chat.announcing import announce
from chat.forms import MessageForm
from chat.models import active_rooms
from chat.saying import room_group

__all__ = ["desk", "disconnect"]

# The close code for the page. With 4401, it would show a logout.
DISCONNECTED = 4403


def is_staff(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Return whether the user is staff; send visitors to the login, and refuse other members."""
    if isinstance(user, User) and not user.is_staff:
        raise PermissionDenied
    return user.is_authenticated


@user_passes_test(is_staff)
def desk(request: HttpRequest) -> HttpResponse:
    """Show who is connected, and announce what staff writes: docs/topics/channel-layers.md."""
    form = MessageForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        # From a view, a command or a job, a message reaches the consumers in the same way.
        async_to_sync(announce)(form.cleaned_data["text"])
        return redirect("desk")
    rooms = async_to_sync(rooms_of_members)()
    members = User.objects.exclude(last_login=None).order_by("-last_login")[:50]
    context = {
        "form": form,
        "members": [(member, rooms[member.username]) for member in members],
        # Otherwise anybody may be connected.
        "knows_members": "members" in layer_of_site().extensions,
    }
    return render(request, "chat/desk.html", context, status=400 if form.is_bound else 200)


def layer_of_site() -> BaseChannelLayer:
    """Return the channel layer."""
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    return layer


async def rooms_of_members() -> dict[str, list[str]]:
    """Return in which rooms each member is, if the layer knows that: docs/topics/presence.md."""
    found: dict[str, list[str]] = defaultdict(list)
    layer = layer_of_site()
    if "members" in layer.extensions:
        async for room in active_rooms()[:50]:
            for member in await layer.group_members(room_group(room)):
                if member["connections"]:
                    found[member["id"]].append(room)
    return found


@user_passes_test(is_staff)
@require_POST
def disconnect(request: HttpRequest, member: int) -> HttpResponse:
    """Close all WebSockets of a member, in all processes: docs/topics/logged-in-sockets.md."""
    disconnect_user(get_object_or_404(User, pk=member), DISCONNECTED)
    return redirect("desk")
