"""The addresses of the pages."""

from django.contrib.auth.decorators import login_required
from django.urls import path, re_path
from django.views.generic import TemplateView

from chat import views
from chat.names import ROOM_NAME

feed = TemplateView.as_view(template_name="chat/feed.html")
where = TemplateView.as_view(template_name="chat/where.html")
urlpatterns = [
    path("", views.index, name="index"),
    path("accounts/sign-up/", views.sign_up, name="sign_up"),
    re_path(
        rf"^rooms/(?P<room>{ROOM_NAME})/$", views.room, name="room"
    ),
    path("feed/", login_required(feed), name="feed"),
    path("where/", where, name="where"),
]
