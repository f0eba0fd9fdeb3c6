"""The public names of modules, and the documented interface of Channels."""

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest

from documented_api import DEVIATIONS, STUBS
from facade import ALIASES, FORWARDED
from interface import Fact, difference, facts
from public_names import NAMES
from tools.packages import PACKAGES


def public_modules() -> Iterator[str]:
    """Yield the public modules of all distributions."""
    for package in PACKAGES:
        for path in sorted(package.source.rglob("*.py")):
            parts = path.relative_to(package.source.parent).with_suffix("").parts
            dotted = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in dotted):
                yield ".".join(dotted)


class TestNames:
    def test_each_public_module_is_listed(self) -> None:
        assert sorted([*NAMES, *ALIASES]) == sorted(public_modules())

    @pytest.mark.parametrize("name", NAMES)
    def test_each_name_that_a_module_offers_is_listed(self, name: str) -> None:
        module = import_module(name)
        assert sorted(module.__all__) == NAMES[name]
        assert [public for public in NAMES[name] if not hasattr(module, public)] == []

    @pytest.mark.parametrize("name", FORWARDED)
    def test_a_module_of_several_owners_offers_what_they_offer(self, name: str) -> None:
        owner, others = FORWARDED[name]
        assert NAMES[name] == sorted([*NAMES[owner], *others])
        for public, other in others.items():
            assert public in NAMES[other]


@pytest.mark.parametrize("generation", STUBS)
class TestInterface:
    def test_it_is_the_documented_one_but_for_what_is_listed(self, generation: str) -> None:
        found = {str(fact): told for fact in facts(STUBS[generation]) if (told := difference(fact))}
        assert found.keys() == DEVIATIONS[generation].keys(), found

    def test_its_names_are_public(self, generation: str) -> None:
        deviations = DEVIATIONS[generation]
        for fact in facts(STUBS[generation]):
            if len(fact.path) == 1 and str(fact) not in deviations:
                assert fact.path[0] in import_module(fact.module).__all__


OURS = """
class Base: pass
class Thing(Base):
    size = 3
    def plain(self, a, b=1, c=None): pass
    async def coloured(self): pass
    @classmethod
    def of(cls, *args): pass
    @property
    def whole(self): pass
    def only(self, *, b): pass
thing = Thing()
same = Thing
number = 7
"""

EQUAL = [
    "class Thing(Base): ...",
    "class Thing:\n size = 3",
    "class Thing:\n size = ...",
    "class Thing:\n def plain(self, a, b=1): ...",
    "class Thing:\n def plain(self, a, b, c): ...",
    "class Thing:\n async def coloured(self): ...",
    "class Thing:\n def only(self, *, b): ...",
    "class Thing:\n def plain(self, a, *, c=None, b=1): ...",
    "class Thing:\n @classmethod\n def of(cls, *args): ...",
    "class Thing:\n @property\n def whole(self): ...",
    "thing = Thing()",
    "same = Thing",
]

DIFFERENT = {
    "nothing = ...": "it is missing",
    "class Thing(Other, ABC): ...": "it does not inherit from ABC, Other",
    "class Thing:\n size = 4": "it is 3, not 4",
    "class Thing:\n def nothing(self): ...": "it is missing",
    "class Thing:\n def plain(self, b, a): ...": "parameter 1 is not b",
    "class Thing:\n def plain(self, a, b=2): ...": "parameter 2 is not b=2",
    "class Thing:\n def plain(self, a=0): ...": "parameter 1 is not a=0",
    "class Thing:\n def plain(self): ...": "it also requires a",
    "class Thing:\n def plain(self, a, b=1, c=None, d=None): ...": "parameter 4 is not d=None",
    "class Thing:\n def plain(self, a, **kwargs): ...": "it does not take any **kwargs",
    "class Thing:\n def coloured(self): ...": "it has the other colour",
    "class Thing:\n def of(self, *args): ...": "it is a classmethod, not a function",
    "class Thing:\n @property\n def plain(self): ...": "it is a function, not a property",
    "class Thing:\n def only(self, b): ...": "parameter 1 is not b",
    "class Thing:\n def only(self, *, b=1): ...": "it does not take b=1 by name",
    "class Thing:\n def coloured(self, *, b): ...": "it has the other colour",
    "class Thing:\n async def coloured(self, *, b): ...": "it does not take b by name",
    "class Thing:\n def plain(self, a, *, d=1): ...": "it does not take d=1 by name",
    "number = Thing()": "it is 7, not Thing()",
    "same = Base": "it is <class 'ours.Thing'>, not Base",
}


def last(stub: str) -> Fact:
    return [*facts({"ours": stub})][-1]


class TestComparison:
    @pytest.fixture(autouse=True)
    def ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("ours")
        exec(OURS, vars(module))
        monkeypatch.setitem(sys.modules, "ours", module)

    @pytest.mark.parametrize("stub", EQUAL)
    def test_differences_that_no_program_notices(self, stub: str) -> None:
        assert difference(last(stub)) is None

    @pytest.mark.parametrize("stub", DIFFERENT)
    def test_differences_that_a_program_notices(self, stub: str) -> None:
        assert difference(last(stub)) == DIFFERENT[stub]
