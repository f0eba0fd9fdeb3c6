from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core import checks
from django.test import override_settings

from channels_core._checks.layers import layer_of
from channels_core.checks import check_layers, check_worker_layer
from channels_core.documentation import see
from channels_core.layers import channel_layers
from fakes import LocalLayer, Picky

GOOD = {"BACKEND": "fakes.LocalLayer"}
BROKEN: dict[str, Any] = {"BACKEND": "nowhere.Layer"}


class OneProcess(LocalLayer):
    reaches_other_processes: ClassVar[bool | None] = False


class Derived(OneProcess):
    """A program's subclass of a layer within one process."""


class Shared(OneProcess):
    reaches_other_processes: ClassVar[bool | None] = True


class Proxy:
    """Does not derive from ours, and has its attributes only while an event loop runs."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no running event loop")


def found(layers: Any) -> list[checks.CheckMessage]:
    with override_settings(CHANNEL_LAYERS=layers):
        messages = check_layers()
    for message in messages:
        assert message.level == checks.ERROR
        assert see("Channel layers", "Configuration") in str(message.hint)
    return messages


@pytest.mark.parametrize(
    "layers",
    [
        None,
        {},
        {"default": GOOD},
        {"default": GOOD, "other": {"BACKEND": "fakes.Picky", "CONFIG": {"capacity": 7}}},
    ],
)
def test_it_says_nothing_of_layers_that_work(layers: Any) -> None:
    assert found(layers) == []


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("fakes.LocalLayer", "CHANNEL_LAYERS must be a dict; its type is str."),
        ([GOOD], "CHANNEL_LAYERS must be a dict; its type is list."),
        (
            {"default": "fakes.LocalLayer"},
            "CHANNEL_LAYERS['default'] must be a dict; its type is str.",
        ),
        ({"a": {}}, "CHANNEL_LAYERS['a'] has no 'BACKEND'; it has nothing."),
        (
            {"a": {"backend": "secret", "CONFIG": {}}},
            "CHANNEL_LAYERS['a'] has no 'BACKEND'; it has 'backend', 'CONFIG'.",
        ),
        (
            {"a": {"BACKEND": LocalLayer}},
            "CHANNEL_LAYERS['a']['BACKEND'] must be a str; its type is type.",
        ),
    ],
)
def test_it_tells_of_a_setting_of_another_shape(layers: Any, told: str) -> None:
    [message] = found(layers)
    assert message.id == "channels_core.E001"
    assert message.msg == told
    assert "{'default': {'BACKEND': " in str(message.hint)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (BROKEN, "'nowhere.Layer': ModuleNotFoundError: No module named 'nowhere'."),
        ({"BACKEND": "fakes.Lair"}, 'ImportError: Module "fakes" does not define a "Lair"'),
        ({"BACKEND": "fakes"}, "ImportError: fakes doesn't look like a module path."),
        ({"BACKEND": "fakes.Picky", "CONFIG": {"fail": True}}, "'fakes.Picky': KeyError: 'hosts'."),
        ({"BACKEND": "fakes.LocalLayer", "CONFIG": {"a": 1}}, "unexpected keyword argument 'a'."),
        ({"BACKEND": "fakes.LocalLayer", "CONFIG": 3}, "TypeError: "),
        ({"BACKEND": "unfit_layer.Layer"}, "'unfit_layer.Layer': ValueError: no such day."),
        ({"BACKEND": "gone_layer.Layer"}, "'gone_layer.Layer': SystemExit: gone."),
    ],
)
def test_it_tells_why_a_layer_cannot_be_built(
    config: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfit_layer.py").write_text("raise ValueError('no such day') from KeyError('day')")
    (tmp_path / "gone_layer.py").write_text("raise SystemExit('gone')")
    monkeypatch.syspath_prepend(tmp_path)
    [message] = found({"default": GOOD, "cache": config})
    assert message.id == "channels_core.E002"
    assert message.msg.startswith("The channel layer 'cache' cannot be built from ")
    assert told in message.msg


def test_it_tells_of_each_layer() -> None:
    assert [message.id for message in found({"a": BROKEN, "b": GOOD, "c": {}})] == [
        "channels_core.E002",
        "channels_core.E001",
    ]


class Ignores(LocalLayer):
    """A layer that takes any option."""

    def __init__(self, **_: Any) -> None:
        super().__init__()


class Knows(Ignores):
    extensions: ClassVar[list[str]] = ["acks", "history"]


class KnowsByItself(Proxy):
    def __init__(self, **_: Any) -> None:
        self.extensions = ["acks", "history"]


class PassesOn(Proxy):
    def __init__(self, **_: Any) -> None:
        """Take any option."""


JOBS: dict[str, Any] = {"queues": {"jobs": {}}, "history": {"rooms": {}}}


@pytest.mark.parametrize("kind", [Ignores, PassesOn])
def test_it_warns_of_a_layer_that_ignores_an_option(kind: type) -> None:
    backend = f"{__name__}.{kind.__name__}"
    with override_settings(CHANNEL_LAYERS={"work": {"BACKEND": backend, "CONFIG": JOBS}}):
        channel_layers.set("work", kind())
        history, queues = check_layers()
    assert (history.id, queues.id) == ("channels_core.W012", "channels_core.W012")
    assert queues.level == checks.WARNING
    assert queues.msg == (
        f"CHANNEL_LAYERS['work']['CONFIG'] has 'queues', which {backend} ignores: its `extensions` "
        "do not have 'acks'."
    )
    assert "do not have 'history'" in history.msg


@pytest.mark.parametrize(
    ("kind", "options"), [(Knows, JOBS), (KnowsByItself, JOBS), (Ignores, {"queues": {}})]
)
def test_it_says_nothing_of_options_that_are_used(kind: type, options: dict[str, Any]) -> None:
    backend = f"{__name__}.{kind.__name__}"
    with override_settings(CHANNEL_LAYERS={"work": {"BACKEND": backend, "CONFIG": options}}):
        channel_layers.set("work", kind())
        assert check_layers() == []


def test_it_keeps_no_layer() -> None:
    with override_settings(CHANNEL_LAYERS={"default": GOOD}):
        assert check_layers() == []
        assert check_worker_layer() == []
        assert channel_layers.backends == {}


def test_it_builds_none_that_is_there() -> None:
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "fakes.Picky"}}):
        layer = channel_layers["default"]
        assert isinstance(layer, Picky)
        assert layer_of("default") is layer


class TestWorkerLayer:
    @pytest.mark.parametrize("kind", [OneProcess, Derived])
    def test_it_warns_of_one_within_a_process(self, kind: type) -> None:
        backend = f"{__name__}.{kind.__name__}"
        with override_settings(CHANNEL_LAYERS={"work": {"BACKEND": backend}}):
            channel_layers.set("work", kind())
            [message] = check_worker_layer("work")
        assert message.id == "channels_core.W004"
        assert message.level == checks.WARNING
        assert f"The channel layer 'work' ({backend}) works within one process" in message.msg
        assert "channels_redis.core.RedisChannelLayer" in str(message.hint)
        assert see("Workers", "An example") in str(message.hint)

    @pytest.mark.parametrize("kind", [LocalLayer, Shared, Proxy])
    def test_it_says_nothing_of_others(self, kind: Any) -> None:
        with override_settings(CHANNEL_LAYERS={"default": GOOD}):
            channel_layers.set("default", kind())
            assert check_worker_layer() == []

    @pytest.mark.parametrize("layers", [{}, {"default": BROKEN}])
    def test_nor_of_one_that_is_not_there(self, layers: Any) -> None:
        with override_settings(CHANNEL_LAYERS=layers):
            assert check_worker_layer() == []
