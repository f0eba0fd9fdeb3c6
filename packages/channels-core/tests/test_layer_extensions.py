import re
from typing import Any

import pytest

from channels_core.exceptions import ChannelsError, InvalidChannelLayerError, MessagesMissed
from channels_core.layer_extensions import (
    HistoryLimits,
    Position,
    QueueLimits,
    checked_exclude,
    checked_member,
    compile_history,
    compile_queues,
    find_limits,
    format_position,
    group_tag,
    lacks,
    new_epoch,
    parse_position,
    require_queue_name,
)

ROOMS = {"room.*": {"size": 200, "age": 600}, "log": {"size": 5, "age": 0.5}}


def test_the_first_pattern_that_matches_a_name_gives_its_limits() -> None:
    patterns = compile_history(
        [
            ("room.1", {"size": 1, "age": 1}),
            (re.compile(r"(room|desk)\."), {"size": 2, "age": 2}),
        ]
    )
    assert find_limits(patterns, "room.1") == HistoryLimits(size=1, age=1)
    assert find_limits(patterns, "room.10") == HistoryLimits(size=2, age=2)
    assert find_limits(patterns, "desk.1") == HistoryLimits(size=2, age=2)
    assert find_limits(patterns, "a.room.1") is None


def test_a_glob_matches_the_whole_name() -> None:
    patterns = compile_history(ROOMS)
    assert find_limits(patterns, "log") == HistoryLimits(size=5, age=0.5)
    assert find_limits(patterns, "log.1") is None


def test_compiled_limits_can_be_compiled_again() -> None:
    compiled = compile_history(ROOMS)
    assert compile_history(compiled) == compiled
    queues = compile_queues({"thumbnails": {}})
    assert compile_queues(queues) == queues


def test_no_option_has_no_limits() -> None:
    assert [compile_history(None), compile_history({}), compile_queues(None)] == [[], [], []]


def test_queues_have_defaults() -> None:
    patterns = compile_queues(
        {"thumbnails": {}, "mail": {"tries": 5}, "pdf": {"redeliver_after": 9}}
    )
    assert find_limits(patterns, "thumbnails") == QueueLimits(redeliver_after=60, tries=3)
    assert find_limits(patterns, "mail") == QueueLimits(redeliver_after=60, tries=5)
    assert find_limits(patterns, "pdf") == QueueLimits(redeliver_after=9, tries=3)


@pytest.mark.parametrize(
    "wildcard", ["q*", "*", "?.dead", "[q].dead", re.compile("q"), re.compile(r".+\.dead$")]
)
def test_a_wildcard_for_queues_is_not_for_dead_letters(wildcard: Any) -> None:
    once = compile_queues([(wildcard, {})])
    for patterns in (once, compile_queues(once)):
        assert find_limits(patterns, "q.dead") is None
        assert find_limits(patterns, "q.dead.dead") is None
    history = compile_history([(wildcard, {"size": 1, "age": 1})])
    assert find_limits(history, "q.dead") == HistoryLimits(size=1, age=1)


@pytest.mark.parametrize(
    "name",
    [
        "q-1.dead",
        re.compile(r"q-1\.dead"),
        re.compile(r"^q\-1\.dead$"),
        re.compile(r"\Aq-1.dead\Z"),
    ],
)
def test_the_name_of_dead_letters_is_for_them(name: Any) -> None:
    once = compile_queues([("q*", {}), (name, {"tries": 5})])
    for patterns in (once, compile_queues(once)):
        assert find_limits(patterns, "q-1.dead") == QueueLimits(redeliver_after=60, tries=5)
        assert find_limits(patterns, "q-1") == QueueLimits(redeliver_after=60, tries=3)
        assert find_limits(patterns, "q-2.dead") is None


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        (5, TypeError, "history must be a dict of limits by pattern, not 5"),
        ("room.*", TypeError, "history must be a dict of limits by pattern, not 'room.*'"),
        (
            ["room.*"],
            TypeError,
            "history must have pairs of a pattern and its limits, not 'room.*'",
        ),
        ({5: {}}, TypeError, "globs or compiled patterns of text as keys, not 5"),
        ({re.compile(b"a"): {}}, TypeError, "globs or compiled patterns of text as keys, not re."),
        ({"a": 200}, TypeError, "history['a'] must be a dict with 'size' and 'age', not 200"),
        (
            {"a": {"size": 200}},
            ValueError,
            "history['a'] must have 'size' and 'age', and no other key, not {'size': 200}",
        ),
        ({"a": {"size": 2, "age": 1, "ttl": 3}}, ValueError, "and no other key, not {'size': 2"),
        (
            {"a": {"size": 0, "age": 1}},
            ValueError,
            "history['a']['size'] must be a positive whole number, not 0",
        ),
        ({"a": {"size": 1.5, "age": 1}}, TypeError, "must be a positive whole number, not 1.5"),
        ({"a": {"size": True, "age": 1}}, TypeError, "must be a positive whole number, not True"),
        (
            {re.compile("a"): {"size": 1, "age": -1}},
            ValueError,
            "history['a']['age'] must be a positive number of seconds, not -1",
        ),
        ({"a": {"size": 1, "age": float("inf")}}, ValueError, "number of seconds, not inf"),
        ({"a": {"size": 1, "age": float("nan")}}, ValueError, "number of seconds, not nan"),
        ({"a": {"size": 1, "age": "9"}}, TypeError, "a positive number of seconds, not '9'"),
    ],
)
def test_an_option_that_is_wrong_is_named(option: object, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        compile_history(option)


def test_the_option_of_queues_is_named_too() -> None:
    with pytest.raises(ValueError, match=re.escape("queues['a'] must have 'redeliver_after' and")):
        compile_queues({"a": {"retries": 3}})
    with pytest.raises(TypeError, match=re.escape("queues['a']['tries'] must be a positive whole")):
        compile_queues({"a": {"tries": 2.5}})


def test_a_position_is_read_as_it_was_written() -> None:
    tag, epoch = group_tag("room.1"), new_epoch()
    assert parse_position(format_position(tag, epoch, 12)) == Position(tag, epoch, 12)
    assert parse_position(format_position(tag, epoch, 0)) == Position(tag, epoch, 0)


def test_the_tag_depends_on_the_group_only_and_epochs_differ() -> None:
    assert group_tag("room.1") == group_tag("room.1") == "f2799d93"
    assert group_tag("room.2") != group_tag("room.1")
    assert len({new_epoch() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"0123abcd.0123abcd.1",
        "",
        "1",
        "0123abcd.0123abcd",
        "0123abcd.0123abcd.",
        "0123abcd.0123abcd.-1",
        "0123abcd.0123abcd.01",
        "0123abcd.0123abcd.1 ",
        "0123abcd.0123abcd.1\n",
        "0123ABCD.0123abcd.1",
        "0123abcd.0123abcd.\u0661",
        "0123abcd.0123abcd.1.2",
        "0123abcd.0123abcd." + "9" * 20,
        "x" * 100_000,
    ],
)
def test_a_malformed_position_is_none(value: object) -> None:
    assert parse_position(value) is None


def test_a_member_is_copied() -> None:
    member: dict[str, Any] = {"id": 5, "name": "Zoë", "tags": ["a", 1, 2.5, None, True, {}]}
    copied = checked_member(member)
    assert copied == member
    copied["tags"][5]["new"] = 1
    assert member["tags"][5] == {}


@pytest.mark.parametrize(
    ("member", "error", "text"),
    [
        (None, TypeError, "A member must be a dict with an 'id', not None"),
        ({"name": "Ann"}, ValueError, "A member must have an 'id', but has the keys ['name']"),
        ({"id": 1, "connections": 2}, ValueError, "must not have a key 'connections'"),
        ({"id": ""}, ValueError, "The 'id' of a member must not be empty"),
        ({"id": None}, TypeError, "The 'id' of a member must be a str or an int, not None"),
        ({"id": True}, TypeError, "The 'id' of a member must be a str or an int, not True"),
        ({"id": 1, 2: 3}, TypeError, "A member must have keys of type str, not 2"),
        (
            {"id": 1, "a": [{"b": (1,)}]},
            TypeError,
            "member['a'][0]['b'] must be a value that JSON has, not (1,)",
        ),
        ({"id": 1, "a": {"b": {2: 3}}}, TypeError, "member['a']['b'] must have keys of type str"),
        ({"id": 1, "a": float("nan")}, ValueError, "A member must be what JSON can hold"),
        ({"id": "\ud800"}, ValueError, "A member must be what JSON can hold"),
        ({"id": 1, "a": "x" * 4096}, ValueError, "takes at most 4096 bytes as JSON, not 4111"),
    ],
)
def test_a_member_that_is_wrong_is_named(member: object, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        checked_member(member)


def test_a_member_that_holds_itself_is_refused() -> None:
    member: dict[str, Any] = {"id": 1}
    member["self"] = member
    with pytest.raises(ValueError, match="nested too deeply"):
        checked_member(member)


def test_exclude_takes_any_collection_of_names() -> None:
    assert checked_exclude(["a", "b"]) == checked_exclude({"a", "b"}) == {"a", "b"}
    assert checked_exclude(()) == set()


@pytest.mark.parametrize(
    ("exclude", "text"),
    [
        ("specific.a!b", "exclude must be a collection of channel names, not 'specific.a!b'"),
        (None, "exclude must be a collection of channel names, not None"),
        ([None], "exclude must have channel names of type str, not None"),
    ],
)
def test_exclude_that_is_wrong_is_named(exclude: object, text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        checked_exclude(exclude)


def test_the_error_of_a_missing_extension_names_the_layer() -> None:
    class Plain:
        pass

    error = lacks(Plain(), "history", "join_group(after=...)")
    assert isinstance(error, InvalidChannelLayerError)
    assert str(error) == "Plain has no 'history', which join_group(after=...) needs"


def test_missed_messages_are_an_error_of_channels() -> None:
    assert issubclass(MessagesMissed, ChannelsError)


def test_the_dead_letters_of_a_queue_have_a_valid_name() -> None:
    require_queue_name("a" * 94, 100)
    require_queue_name("a" * 94 + ".dead", 100)
    with pytest.raises(
        TypeError, match=r"must have at most 94 characters, .*, but it has 95: 'aaa"
    ):
        require_queue_name("a" * 95, 100)
