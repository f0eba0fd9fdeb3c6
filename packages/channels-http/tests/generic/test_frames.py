from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_http.generic import _frames


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


def test_one_with_all_its_fields() -> None:
    assert _frames.event("a\nb", "news", "7", 3000) == (
        b"event: news\nid: 7\nretry: 3000\ndata: a\ndata: b\n\n"
    )


def test_data_may_be_left_out() -> None:
    assert _frames.event(identity="7") == b"id: 7\n\n"
    assert _frames.event("") == b"data: \n\n"


LINE = st.text().filter(lambda text: not set(text) & set("\r\n\0") and text.isprintable())


@given(st.text(), st.none() | LINE, st.none() | LINE, st.none() | st.integers(0, 10**9))
def test_what_is_sent_is_what_a_browser_reads(
    data: str, name: str | None, identity: str | None, retry: int | None
) -> None:
    data = data.encode(errors="replace").decode()
    [event] = parse(_frames.event(data, name, identity, retry))
    assert event.pop("data") == data.replace("\r\n", "\n").replace("\r", "\n")
    expected = {"event": name, "id": identity, "retry": None if retry is None else str(retry)}
    assert event == {key: value for key, value in expected.items() if value is not None}


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r\nb", "a\0b", 7])
def test_a_field_of_one_line_has_one(text: str) -> None:
    with pytest.raises(ValueError, match="name is a str of one line"):
        _frames.event("", text)
    with pytest.raises(ValueError, match="id is a str of one line"):
        _frames.event("", None, text)


@pytest.mark.parametrize("retry", [-1, 1.5, "3", True])
def test_a_time_is_milliseconds(retry: int) -> None:
    with pytest.raises(ValueError, match="int of milliseconds"):
        _frames.event("", retry=retry)


@given(st.text())
def test_a_comment_is_nothing_to_a_browser(text: str) -> None:
    text = text.encode(errors="replace").decode()
    assert list(parse(_frames.comment(text) + _frames.event("a"))) == [{"data": "a"}]
