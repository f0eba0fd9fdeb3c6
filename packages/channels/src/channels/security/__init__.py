"""Protection of sockets against requests from other sites."""

__all__: list[str] = []
