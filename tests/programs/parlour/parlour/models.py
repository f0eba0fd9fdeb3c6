"""Tokens for visitors without cookies, and thumbnails."""

from django.conf import settings
from django.db import models


class Token(models.Model):
    """A key that stands for a user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    key = models.CharField(max_length=40)

    def __str__(self):
        return self.key


class Thumbnail(models.Model):
    """A picture made small, by the worker."""

    picture = models.CharField(max_length=100)

    def __str__(self):
        return self.picture
