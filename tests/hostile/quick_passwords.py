"""The settings of the example site, with a check of passwords that takes no time."""

from chatsite.settings import *  # noqa: F403 (all settings that are not changed here)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
