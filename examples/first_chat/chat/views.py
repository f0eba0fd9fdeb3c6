"""The two pages of the site."""

from django.db.models import Max
from django.shortcuts import redirect, render

from chat.forms import RoomForm
from chat.models import Message


def index(request):
    form = RoomForm(request.GET or None)
    if form.is_valid():
        return redirect("room", room=form.cleaned_data["room"])
    rooms = Message.objects.values_list("room", flat=True)
    rooms = rooms.annotate(last=Max("id")).order_by("-last")[:10]
    context = {"form": form, "rooms": rooms}
    status = 400 if form.is_bound else 200
    return render(request, "chat/index.html", context, status=status)


def room(request, room):
    return render(request, "chat/room.html", {"room": room})
