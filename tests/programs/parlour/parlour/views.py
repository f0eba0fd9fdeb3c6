"""The pages, and their messages to the WebSockets."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse

from .models import Thumbnail, Token


def index(request):
    return HttpResponse("parlour, " + (request.user.username or "stranger"))


def take_seat(request, name):
    """Log in a guest, and return the token for programs without cookies."""
    user, created = User.objects.get_or_create(username=name)
    if created:
        Token.objects.create(user=user, key="token-of-%s" % name)
    auth.login(request, user)
    return JsonResponse({"token": Token.objects.get(user=user).key})


def announce(request, room):
    async_to_sync(get_channel_layer().group_send)(
        "chat_%s" % room, {"type": "chat.message", "message": "dinner is served"}
    )
    return HttpResponse("announced")


def thumbnails(request):
    return JsonResponse({"made": [str(one) for one in Thumbnail.objects.order_by("pk")]})
