from typing import Any

import pytest

from channels_core._checks.origins import check_openness, check_patterns
from channels_core.consumer import AsyncConsumer
from channels_core.documentation import see
from channels_core.security.websocket import AllowedHostsOriginValidator, OriginValidator


def told(application: Any) -> list[str]:
    messages = list(check_patterns(application))
    assert all(message.id == "channels_core.W007" for message in messages)
    assert all(see("Security", "Origins") in str(message.hint) for message in messages)
    return [message.msg for message in messages]


def test_each_pattern_with_a_wildcard_inside_is_told() -> None:
    patterns = ["example.com", "*.example.com", "https://*.example.com", "*", ""]
    assert told(OriginValidator(AsyncConsumer, patterns)) == [
        f"OriginValidator: '{given}' is not a pattern for origins: a wildcard must stand alone. "
        f"For a domain and its subdomains, write '{better}'. As it is, it matches nothing."
        for given, better in [
            ("*.example.com", ".example.com"),
            ("https://*.example.com", "https://.example.com"),
        ]
    ]


@pytest.mark.parametrize("name", ["valid_origin", "validate_origin", "match_allowed_origin"])
def test_a_program_may_match_in_its_own_way(name: str) -> None:
    kind: Any = type("Own", (OriginValidator,), {name: lambda self, *args: True})
    assert told(kind(AsyncConsumer, ["*.example.com"])) == []


def test_what_a_program_puts_there_later_is_not_told() -> None:
    validator = OriginValidator(AsyncConsumer, [])
    validator.allowed_origins = ["http://"]
    assert told(validator) == []


def test_hosts_of_the_settings_are_djangos_affair(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*.example.com"]
    assert told(AllowedHostsOriginValidator(AsyncConsumer)) == []


def test_other_applications_have_no_patterns() -> None:
    assert told(AsyncConsumer.as_asgi()) == []


def is_open(application: Any) -> bool:
    messages = list(check_openness(application))
    assert all(message.id == "channels_core.W010" for message in messages)
    assert all(see("Security", "Origins") in str(message.hint) for message in messages)
    return bool(messages)


def test_a_validator_that_refuses_nobody_is_told(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.com", "*"]
    assert is_open(AllowedHostsOriginValidator(AsyncConsumer))
    assert is_open(OriginValidator(AsyncConsumer, ["example.com", " * "]))
    assert not is_open(AllowedHostsOriginValidator(AsyncConsumer, same_origin=True))
    assert not is_open(OriginValidator(AsyncConsumer, ["*"], same_origin=True))
    assert not is_open(OriginValidator(AsyncConsumer, ["example.com", "*.example.com"]))
    assert not is_open(AsyncConsumer.as_asgi())
    settings.ALLOWED_HOSTS = ["example.com"]
    assert not is_open(AllowedHostsOriginValidator(AsyncConsumer))


def test_a_program_may_decide_in_its_own_way() -> None:
    kind: Any = type("Own", (OriginValidator,), {"valid_origin": lambda self, *args: False})
    assert not is_open(kind(AsyncConsumer, ["*"]))
