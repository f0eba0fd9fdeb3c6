"""The entries of guests."""

from typing import ClassVar

from django.db import models

__all__ = ["Entry"]


class Entry(models.Model):
    """One entry."""

    text = models.CharField(max_length=200)

    objects: ClassVar[models.Manager["Entry"]] = models.Manager()

    def __str__(self) -> str:
        return self.text
