"""Read a stream of events as browsers do, and write what may be in one."""

from collections.abc import Iterator

from hypothesis import strategies as st

__all__ = ["LINE", "TEXT", "parse"]

#: One line: whatever UTF-8 can encode, also what Python, but no browser, takes for its end.
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))

#: Any number of them, with every kind of end.
TEXT = st.lists(LINE | st.sampled_from(["\0", "\r", "\n", "\r\n"])).map("".join)


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
