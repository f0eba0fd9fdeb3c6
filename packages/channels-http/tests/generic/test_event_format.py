from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_http.generic._sse import event_format
from event_streams import LINE, TEXT, parse


def test_one_with_all_its_fields() -> None:
    assert event_format.event("a\nb", "news", "7", 3000) == (
        b"event: news\nid: 7\nretry: 3000\ndata: a\ndata: b\n\n"
    )


def test_data_may_be_left_out() -> None:
    assert event_format.event(identity="7") == b"id: 7\n\n"
    assert event_format.event("") == b"data: \n\n"


@pytest.mark.parametrize("text", ["a", "a\nb"])
def test_data_may_be_a_str_of_another_class(text: str) -> None:
    class Kind(str, Enum):  # noqa: UP042 - a `StrEnum` is formatted as its value
        ONE = text

    assert event_format.event(Kind.ONE) == event_format.event(text)


FIELDS = st.tuples(TEXT, st.none() | LINE, st.none() | LINE, st.none() | st.integers(0, 10**9))


@given(st.lists(FIELDS, max_size=4))
def test_what_is_sent_is_what_a_browser_reads(
    sent: list[tuple[str, str | None, str | None, int | None]],
) -> None:
    expected = []
    for data, name, identity, retry in sent:
        fields = {
            "data": data.replace("\r\n", "\n").replace("\r", "\n"),
            "event": name,
            "id": identity,
            "retry": None if retry is None else str(retry),
        }
        expected.append({key: value for key, value in fields.items() if value is not None})
    assert list(parse(b"".join(event_format.event(*fields) for fields in sent))) == expected


@pytest.mark.parametrize("character", ["\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_is_no_line_end_to_a_browser_ends_no_line(character: str) -> None:
    text = f"a{character}b"
    assert list(parse(event_format.event(text, text, text))) == [
        {"event": text, "id": text, "data": text}
    ]


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r\nb", "a\0b", 7])
def test_a_field_of_one_line_has_one(text: str) -> None:
    with pytest.raises(ValueError, match="name is a str of one line"):
        event_format.event("", text)
    with pytest.raises(ValueError, match="id is a str of one line"):
        event_format.event("", None, text)


@pytest.mark.parametrize("retry", [-1, 1.5, "3", True])
def test_a_time_is_milliseconds(retry: int) -> None:
    with pytest.raises(ValueError, match="int of milliseconds"):
        event_format.event("", retry=retry)


@given(TEXT)
def test_a_comment_is_nothing_to_a_browser(text: str) -> None:
    assert list(parse(event_format.comment(text) + event_format.event("a"))) == [{"data": "a"}]
