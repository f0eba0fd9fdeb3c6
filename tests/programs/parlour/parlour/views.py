"""The pages, and what they send to the sockets."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse

from .models import Thumbnail, Token


def index(request):
    return HttpResponse("parlour, " + (request.user.username or "stranger"))


def take_seat(request, name):
    """Log a guest in, and give out the token for programs that keep no cookies."""
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
