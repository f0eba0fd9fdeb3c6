"""The lines of the rooms."""

from typing import ClassVar

from django.db import models


class Line(models.Model):
    """One line in one room."""

    room = models.CharField(max_length=50)
    text = models.TextField()

    objects: ClassVar[models.Manager["Line"]] = models.Manager()

    def __str__(self) -> str:
        return self.text
