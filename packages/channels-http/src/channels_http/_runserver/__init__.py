"""Private parts of `runserver`; not beside it, where Django lists modules as commands."""

__all__: list[str] = []
