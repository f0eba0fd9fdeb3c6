"""The forms that check input of visitors."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from chat.names import ROOM_NAME

__all__ = ["MessageForm", "PositionForm", "RoomForm"]


def require_unicode(value: str) -> None:
    """Refuse half a surrogate pair, which JSON can contain and a database cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("This is not valid Unicode text.") from error


class TextField(forms.CharField):
    """A field that accepts only text: JSON may contain a number or a list instead."""

    def to_python(self, value: Any) -> str | None:
        """Refuse anything else, instead of converting it by `str()`."""
        if not isinstance(value, str | None):
            raise ValidationError("This is not text.")
        return super().to_python(value)


class RoomForm(forms.Form):
    """Check the name of the room that a visitor enters."""

    room = forms.RegexField(
        rf"^{ROOM_NAME}\Z",
        error_messages={
            "invalid": "A room's name has up to 50 letters, digits, dots, hyphens or underscores, "
            "and starts with a letter or a digit."
        },
    )


class MessageForm(forms.Form):
    """Check what a member wrote."""

    text = TextField(max_length=500, validators=[require_unicode])
    # What the page calls this message, until it has the id.
    ref = forms.UUIDField(required=False)


class PositionForm(forms.Form):
    """Check the id of the last message that a client has; a new client has none."""

    after = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
