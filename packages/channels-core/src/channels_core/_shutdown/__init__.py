"""How the connections of a process end when its server is told to stop."""

__all__: list[str] = []
