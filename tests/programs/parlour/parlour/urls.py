"""The URLs of the pages."""

from django.urls import re_path

from . import views

urlpatterns = [
    re_path(r"^$", views.index),
    re_path(r"^seat/(?P<name>\w+)/$", views.take_seat),
    re_path(r"^announce/(?P<room>\w+)/$", views.announce),
    re_path(r"^thumbnails/$", views.thumbnails),
]
