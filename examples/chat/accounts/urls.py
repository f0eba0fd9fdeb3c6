"""The URLs of the account pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts import views

urlpatterns = [
    path("sign-up/", views.sign_up, name="sign-up"),
    path("guest/", views.welcome, name="guest"),
    path("log-in/", views.LogInView.as_view(), name="log-in"),
    path("log-in/exchange/", views.exchange, name="exchange"),
    path("log-out/", LogoutView.as_view(), name="log-out"),
]
