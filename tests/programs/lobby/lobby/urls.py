"""The URLs of the pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("announce/<slug:room>/", views.announce),
]
