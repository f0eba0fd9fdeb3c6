"""The private parts of `worker` and of the `runworker` command."""

__all__: list[str] = []
