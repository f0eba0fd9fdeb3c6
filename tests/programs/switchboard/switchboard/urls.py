"""The paths of the views."""

from django.urls import path

from . import views

urlpatterns = [path("ring/", views.ring)]
