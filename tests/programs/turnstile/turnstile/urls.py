"""The URLs of the pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("who/", views.who),
    path("stored/", views.stored),
]
