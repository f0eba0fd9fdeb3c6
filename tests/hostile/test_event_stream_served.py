"""Fields of events that a stranger chooses, on real servers."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked

#: What ends a line for some reader, or looks like it.
ENDS = (
    "\n",
    "\r",
    "\r\n",
    "\n\r",
    "\n\n",
    "\r\r",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
)
INJECTED = ("event: evil", "id: evil", "retry: 1", "data: evil", ": evil", "data")


def events(stream: str) -> Iterator[dict[str, str]]:
    """Yield the events of a stream as a browser reads them.

    Source: HTML standard, section 9.2.6, "Interpreting an event stream".
    """
    fields: dict[str, str] = {}
    lines: list[str] = []
    for line in re.split(r"\r\n|\n|\r", stream):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if lines:
                yield fields | {"data": "\n".join(lines)}
            fields, lines = {}, []
        elif name == "data":
            lines.append(value)
        elif name in {"event", "id", "retry"}:
            fields[name] = value


def stream(site: Attacked, query: str, **headers: str) -> list[dict[str, str]]:
    status, _, body = site.get(f"/events/?{query}", **headers)
    assert status == 200
    return list(events(body.decode()))


def as_lines(text: str) -> str:
    """Return a text as a page gets it."""
    return re.sub(r"\r\n|\r", "\n", text)


def test_a_line_end_in_a_field_begins_no_other_field(
    site: Attacked, record_property: Callable[[str, object], None]
) -> None:
    texts = [f"good{end}{line}{end}{end}" for end in ENDS for line in INJECTED]
    record_property("inputs", 3 * len(texts))
    for text in texts:
        [event, _] = stream(site, f"data={quote(text)}")
        assert event == {"data": as_lines(text)}
        for field in ("event", "id"):
            [event, _] = stream(site, f"data=good&{field}={quote(text)}")
            # A field with one line is sent as it is, and an event with another is refused.
            assert event in ({"data": "good", field: text}, {"data": "refused"}), text
            assert "evil" not in {name: event[name] for name in event if name != field}.values()


@given(st.text(max_size=40), st.sampled_from(["data", "event", "id"]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_in_a_field(site: Attacked, text: str, field: str) -> None:
    found = stream(
        site, f"data=good&{field}={quote(text)}" if field != "data" else f"data={quote(text)}"
    )
    assert len(found) == 2
    assert found[1] == {"event": "last", "data": ""}
    assert found[0].keys() <= {"data", field}


@given(st.binary(max_size=40))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_the_last_event_id(site: Attacked, value: bytes) -> None:
    value = value.translate(None, bytes(range(32)) + b"\x7f")
    headers = {"Last-Event-ID": value.decode("latin-1")}
    status, _, body = site.get("/events/?data=good", **headers)
    if status == 400:
        assert site.server == "daphne"  # which strips some characters, and refuses what is left
        return
    assert [event.get("event") for event in events(body.decode())] == [None, "last"]
