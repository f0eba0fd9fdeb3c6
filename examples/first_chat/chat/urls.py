"""The addresses of the pages."""

from django.urls import path, re_path

from chat import views
from chat.names import ROOM_NAME

urlpatterns = [
    path("", views.index, name="index"),
    re_path(
        rf"^rooms/(?P<room>{ROOM_NAME})/$", views.room, name="room"
    ),
]
