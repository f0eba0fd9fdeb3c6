"""Read a stream of events as browsers do."""

from collections.abc import Iterator

__all__ = ["parse"]


def parse(stream: bytes) -> Iterator[dict[str, str]]:
    """Read a stream as the HTML standard says that browsers do (9.2.6)."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    data: list[str] = []
    fields: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                yield {**fields, "data": "\n".join(data)}
            elif fields:
                yield fields
            data, fields = [], {}
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        else:
            fields[name] = value
