import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core._layers.names import explain_invalid_name, local_prefix
from channels_core.layers import BaseChannelLayer

CHANNEL_NAME = BaseChannelLayer.channel_name_regex
GROUP_NAME = BaseChannelLayer.group_name_regex


@pytest.mark.parametrize("name", ["a", "chat.room-1_2", "A" * 99])
def test_a_plain_name_is_one_of_groups_and_channels(name: str) -> None:
    assert GROUP_NAME.match(name)
    assert CHANNEL_NAME.match(name)


@pytest.mark.parametrize("name", ["specific.x!y", "a!", "a!b-c_d.e"])
def test_a_mark_of_a_process_is_for_channels_only(name: str) -> None:
    assert CHANNEL_NAME.match(name)
    assert not GROUP_NAME.match(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "٣", "a!b!c", "!a", "a:b"])
def test_anything_else_is_none(name: str) -> None:
    assert not GROUP_NAME.match(name)
    assert not CHANNEL_NAME.match(name)


@pytest.mark.parametrize(
    ("name", "channel", "explanation"),
    [
        (5, False, "it is a int, not a str: 5"),
        (None, True, "it is a NoneType, not a str: None"),
        ("", False, "it is empty"),
        ("aaaaaaaaaa", False, "it has 10 characters: 'aaaaaaaaaa'"),
        ("a b", False, "character 2 is ' ': 'a b' (3 characters)"),
        ("a!b", False, "character 2 is '!': 'a!b' (3 characters)"),
        ("a!b!", True, "character 4 is '!': 'a!b!' (4 characters)"),
        ("!a", True, "character 1 is '!': '!a' (2 characters)"),
        ("a!é", True, "character 3 is 'é': 'a!é' (3 characters)"),
        ("ab", True, "it does not match the layer's pattern: 'ab'"),
    ],
)
def test_the_fault_of_a_name_is_told(name: object, channel: bool, explanation: str) -> None:
    assert explain_invalid_name(name, limit=10, channel=channel) == explanation


@given(st.text(st.sampled_from("ab.!-_ é\n1"), max_size=12), st.booleans())
def test_the_explanation_and_the_pattern_agree(name: str, channel: bool) -> None:
    pattern = CHANNEL_NAME if channel else GROUP_NAME
    matches = pattern.fullmatch(name) is not None and len(name) < 10
    explanation = explain_invalid_name(name, limit=10, channel=channel)
    assert explanation.startswith("it does not match the layer's pattern") == matches


def test_a_pattern_is_compiled_once() -> None:
    assert BaseChannelLayer.group_name_regex is GROUP_NAME
    assert BaseChannelLayer().group_name_regex is GROUP_NAME


def test_the_prefix_of_a_local_name_goes_up_to_its_mark() -> None:
    assert local_prefix("specific.x!y") == "specific.x!"
    assert local_prefix("plain") == "plain"
