"""The forms that check what members send."""

from django import forms
from django.core.exceptions import ValidationError

from chat.names import ROOM_NAME


class TextField(forms.CharField):
    """A field for values from JSON, which may be of any type."""

    def to_python(self, value):
        if not isinstance(value, str | None):
            raise ValidationError("This is not text.")
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            # JSON can contain half a character, a database cannot.
            raise ValidationError("This is not Unicode.") from error
        return super().to_python(value)


class RoomForm(forms.Form):
    room = forms.RegexField(
        rf"^{ROOM_NAME}\Z",
        error_messages={
            "invalid": "Up to 50 letters, digits, dots, hyphens or "
            "underscores, and first a letter or a digit."
        },
    )


class MessageForm(forms.Form):
    text = TextField(max_length=500)
