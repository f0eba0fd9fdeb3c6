"""Two users that a program might have: with a UUID for a key, and without a last login."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

__all__ = ["Guest", "Member"]


class Member(AbstractBaseUser):
    """A user whose key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager["Member"]()

    USERNAME_FIELD = "email"


class Guest(AbstractBaseUser):
    """A user who has no field `last_login`, in the way that Django's documentation shows."""

    name = models.CharField(max_length=50, unique=True)
    last_login = None
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager["Guest"]()

    USERNAME_FIELD = "name"
