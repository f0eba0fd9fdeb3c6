import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import ConnectionStateError
from channels_http.generic._http.response import Response, ResponseState, as_bytes


def test_a_response_in_parts() -> None:
    response = Response(head=False)
    states = [response.state]
    start = response.start(200, {"A": "b"})
    states.append(response.state)
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"A", b"b")]}
    assert response.body("ä", more_body=True)["body"] == "ä".encode()
    states.append(response.state)
    assert response.body(memoryview(b"b"), more_body=False) == {
        "type": "http.response.body",
        "body": b"b",
        "more_body": False,
    }
    states.append(response.state)
    assert states == [
        ResponseState.WAITING,
        ResponseState.OPEN,
        ResponseState.OPEN,
        ResponseState.ENDED,
    ]


def test_head_has_the_headers_only() -> None:
    start, body = Response(head=True).whole(200, b"abc", None)
    assert start["headers"] == []
    assert body["body"] == b""


def test_nothing_is_taken_for_sent_that_could_not_be_built() -> None:
    response = Response(head=False)
    with pytest.raises(TypeError):
        response.whole(200, None, None)
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        response.whole(200, b"", {"a": "\n"})
    with pytest.raises(ConnectionStateError, match="before send_headers"):
        response.body(b"", more_body=False)
    assert response.state is ResponseState.WAITING


@pytest.mark.parametrize("status", [99, 1000, "200", None])
def test_a_status_is_a_number(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 999"):
        Response(head=False).start(status, None)


@given(st.text() | st.binary())
def test_a_body_is_text_or_bytes(body: str | bytes) -> None:
    if isinstance(body, str):
        body = body.encode(errors="replace").decode()
    assert as_bytes(body) == (body.encode() if isinstance(body, str) else body)


def test_how_the_body_is_cut_up_is_the_servers_affair() -> None:
    headers = {"Transfer-Encoding": "chunked", "X-A": "b"}
    start, _ = Response(head=False).whole(200, b"abc", headers)
    assert start["headers"] == [(b"X-A", b"b")]


@pytest.mark.parametrize(("head", "status"), [(True, 200), (False, 204), (False, 304)])
def test_a_program_may_have_it_all_as_it_gives_it(head: bool, status: int) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    start, part = Response(head=head, as_given=True).whole(status, b"abc", headers)
    assert start["headers"] == [(b"Transfer-Encoding", b"chunked")]
    assert part["body"] == b"abc"


@pytest.mark.parametrize("status", [204, 304])
def test_some_responses_have_no_body(status: int) -> None:
    start, part = Response(head=False).whole(status, b"abc", None)
    assert start["headers"] == []
    assert part["body"] == b""
