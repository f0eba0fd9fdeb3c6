"""The tables of the reference: each is compared with the code that it describes."""

import inspect
import re
from importlib import import_module

import pytest

import channels_core.exceptions
from channels_auth._close_codes import UNAUTHORIZED, close_code_of
from channels_core._logging import LOGGERS
from channels_core.close_codes import portable_close_code, require_valid_close_code
from channels_layers_memory import InMemoryChannelLayer
from channels_layers_redis import RedisChannelLayer
from public_names import NAMES
from served import ROOT
from tools.packages import PACKAGES

REFERENCE = ROOT / "docs" / "reference"
SETTINGS = (REFERENCE / "settings.md").read_text()
TABLES = (REFERENCE / "tables.md").read_text()
SOURCES = {
    path: path.read_text() for package in PACKAGES for path in sorted(package.source.rglob("*.py"))
}


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table, without the table's head."""
    lines = [line.strip("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")] for line in lines[1:]]


class TestSettings:
    def test_each_setting_of_channels_is_there(self) -> None:
        code = next(text for path, text in SOURCES.items() if path.name == "_settings.py")
        read = set(re.findall(r'"(CHANNELS_\w+)"', code))
        told = {cells[0].strip("`") for cells in rows(section(SETTINGS, "Settings of Channels"))}
        assert told == read | {"ASGI_APPLICATION", "CHANNEL_LAYERS"}

    def test_the_defaults_are_true(self) -> None:
        from channels_core import _settings

        told = {
            cells[0].strip("`"): cells[1].strip("`")
            for cells in rows(section(SETTINGS, "Settings of Channels"))
        }
        assert float(told["CHANNELS_DRAIN_TIMEOUT"]) == _settings.drain_timeout()
        assert float(told["CHANNELS_GROUP_RENEWAL"]) == _settings.DEFAULT_GROUP_RENEWAL
        assert int(told["CHANNELS_LOOKUP_THREADS"]) == _settings.lookup_threads()
        assert told["CHANNELS_MAX_MESSAGE_SIZE"] == str(_settings.max_message_size())
        assert told["CHANNELS_JSON_CODEC"] == str(_settings.json_codec())
        assert 10 <= _settings.sync_threads() <= 32

    @pytest.mark.parametrize(
        ("layer", "column"), [(InMemoryChannelLayer, 1), (RedisChannelLayer, 2)]
    )
    def test_the_options_of_a_layer_are_those_of_its_class(self, layer: type, column: int) -> None:
        told = {
            cells[0].strip("`"): cells[column].strip("`").replace('"', "'")
            for cells in rows(section(SETTINGS, "CHANNEL_LAYERS"))
            if cells[column]
        }
        parameters = inspect.signature(layer).parameters.values()
        taken = {one.name: repr(one.default) for one in parameters if one.name != "kwargs"}
        assert told == taken

    def test_each_setting_of_django_that_is_read_is_there(self) -> None:
        text = "".join(SOURCES.values())
        read = set(re.findall(r"(?<!\w)settings\.([A-Z][A-Z_]+)\b", text))
        read |= set(re.findall(r'getattr\(settings, "([A-Z][A-Z_]+)"', text))
        # Which module has the settings is not a setting.
        read -= {"SETTINGS_MODULE"}
        told = set(re.findall(r"`([A-Z][A-Z_]+)`", SETTINGS))
        assert len(read) > 20
        assert read <= told


class TestLoggers:
    levels = ("debug", "info", "warning", "error")

    def test_each_logger_is_there_once(self) -> None:
        told = [cells[0].strip("`") for cells in rows(section(TABLES, "Loggers"))]
        assert told == sorted(LOGGERS)

    @pytest.mark.parametrize("cells", rows(section(TABLES, "Loggers")), ids=lambda row: row[0])
    def test_the_levels_are_those_of_the_code(self, cells: list[str]) -> None:
        name = cells[0].strip("`")
        used = set()
        for text in SOURCES.values():
            for variable in re.findall(rf'(\w+)(?:: Final)? = logging\.getLogger\("{name}"', text):
                used |= set(re.findall(rf"\b{variable}\.(\w+)\(\n?", text))
                used |= {
                    level.lower()
                    for level in re.findall(rf"\(\s*{variable},\s*logging\.(\w+)", text)
                }
        if name == "django.channels.server":
            # Its command logs what this module chooses.
            [text] = [text for path, text in SOURCES.items() if path.name == "access_log.py"]
            used = {level.lower() for level in re.findall(r"logging\.([A-Z]+)", text)}
        used = {level.replace("exception", "error") for level in used} & set(self.levels)
        ordered = sorted(used, key=self.levels.index)
        first, _, last = cells[1].partition(" to ")
        assert [first, last or first] == [ordered[0], ordered[-1]]


class TestExceptions:
    def test_each_public_exception_is_there(self) -> None:
        found: dict[type[BaseException], set[str]] = {}
        for module in NAMES:
            for name in NAMES[module]:
                value = getattr(import_module(module), name)
                if isinstance(value, type) and issubclass(value, BaseException):
                    found[value] = {*found.get(value, ()), f"{module}.{name}"}
        ours = {one: names for one, names in found.items() if one.__module__.startswith("channels")}
        told = {cells[0]: cells[1].strip("`") for cells in table_of_exceptions()}
        assert len(told) == len(ours)
        for exception, names in ours.items():
            [name] = names & set(told)
            foreign = [
                base.__name__
                for base in exception.__bases__
                if base is not Exception and base not in ours
            ]
            assert told[name] == "".join(foreign)

    def test_each_is_an_error_or_a_signal(self) -> None:
        for cells in table_of_exceptions():
            module, _, name = cells[0].rpartition(".")
            bases = (
                channels_core.exceptions.ChannelsError,
                channels_core.exceptions.ConsumerSignal,
            )
            assert issubclass(getattr(import_module(module), name), bases)


def table_of_exceptions() -> list[list[str]]:
    """Return the rows of all tables of exceptions, with the names of their modules."""
    found = []
    for part in section(TABLES, "Exceptions").split("\n### In ")[1:]:
        module, _, text = part.partition("\n")
        found += [[f"{module}.{name.strip('`')}", *rest] for name, *rest in rows(text)]
    return found


class TestCloseCodes:
    def test_each_code_that_channels_sends_is_there(self) -> None:
        text = "".join(SOURCES.values())
        codes = {int(code) for code in re.findall(r": Final = (1\d{3})  # IANA", text)}
        codes |= {
            int(c) for c in re.findall(r'(?:InvalidFrame|ChannelOverflow)\(.*", (1\d{3})\)', text)
        }
        codes |= {int(code) for code in re.findall(r"self\.code = (1\d{3})$", text, re.MULTILINE)}
        codes |= {
            close_code_of(int(status)) for status in re.findall(r"close_code_of\((\d+)\)", text)
        }
        codes |= {UNAUTHORIZED}
        sent, _ = section(TABLES, "Close codes").split("These come from")
        assert {int(cells[0]) for cells in rows(sent)} == codes
        for code, on_daphne, *_ in rows(sent):
            require_valid_close_code(int(code))
            allowed = {int(code), portable_close_code(int(code))}
            assert {int(one) for one in on_daphne.split(" or ")} <= allowed
