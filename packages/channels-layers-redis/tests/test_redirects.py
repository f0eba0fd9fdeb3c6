import pytest
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from channels_layers_redis._layer.redirects import known


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("MOVED 3999 127.0.0.1:6381", MovedError),
        ("ASK 3999 127.0.0.1:6381", AskError),
        ("TRYAGAIN Multiple keys request during rehashing of slot", TryAgainError),
        ("CLUSTERDOWN Hash slot not served", ClusterDownError),
    ],
)
def test_an_answer_of_a_cluster_is_known(said: str, kind: type[ResponseError]) -> None:
    """As redis-py 5 raises it."""
    found = known(ResponseError(said))
    assert type(found) is kind
    if isinstance(found, AskError):
        assert (found.slot_id, found.host, found.port) == (3999, "127.0.0.1", 6381)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("wrong number of arguments"),
        NoScriptError("No matching script"),
        MovedError("3999 127.0.0.1:6381"),
    ],
)
def test_any_other_stays_as_it_is(error: ResponseError) -> None:
    assert known(error) is error
