"""The URLs of the pages."""

from django.urls import path, re_path

from chat import desk, views
from chat.names import ROOM_NAME

urlpatterns = [
    path("", views.index, name="index"),
    re_path(rf"^rooms/(?P<room>{ROOM_NAME})/$", views.room, name="room"),
    re_path(rf"^rooms/(?P<room>{ROOM_NAME})/plain/$", views.plain_room, name="plain-room"),
    path("feed/", views.feed, name="feed"),
    path("parrot/", views.parrot, name="parrot"),
    path("desk/", desk.desk, name="desk"),
    path("desk/disconnect/<int:member>/", desk.disconnect, name="disconnect"),
]
