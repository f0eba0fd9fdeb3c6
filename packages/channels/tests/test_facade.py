import importlib.abc
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from channels._facade import ForwardingModule, alias, submodules

from interpreter import run

# A small world with a facade `front`: `front.one` is `back.one`, and `front.two` has the names of
# `back.two` and one of `back.three`.
FILES = {
    "back/__init__.py": "",
    "back/one.py": "class Thing: pass\ndef make(): return Thing()",
    "back/two.py": "value = 1\ndef read(): return value",
    "back/three.py": "other = 3",
    "front/__init__.py": "",
    "front/one.py": "from back import one\nimport channels._facade as f\nf.alias(globals(), one)",
    "front/two.py": (
        "'''Two.'''\nfrom back import two\nimport channels._facade as f\n"
        "__all__ = ['other', 'read']\n"
        "f.forward(globals(), two, {'other': 'back.three'})"
    ),
}


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in {"back", "front"}]:
        del sys.modules[name]


def load(name: str) -> Any:  # a type checker cannot know what is in these modules
    return importlib.import_module(name)


class TestAlias:
    def test_all_ways_to_import_it_give_the_owner(self) -> None:
        names: dict[str, ModuleType] = {}
        exec(
            "import front.one; a = front.one\nfrom front import one as b\nimport front.one as c\n"
            "from front.one import Thing\nd = __import__('sys').modules['front.one']",
            names,
        )
        owner = load("back.one")
        assert load("front.one") is owner
        assert all(names[name] is owner for name in "abcd")
        assert names["Thing"] is owner.Thing

    def test_its_name_is_the_owners(self) -> None:
        module = load("front.one")
        assert module.__name__ == "back.one"
        assert module.__spec__ is not None
        assert module.__spec__.name == "back.one"

    def test_a_patch_under_one_name_holds_under_both(self) -> None:
        with mock.patch("front.one.Thing") as thing:
            assert load("back.one").make() is thing.return_value
        assert load("back.one").Thing is not thing

    def test_what_is_pickled_under_one_name_is_read_under_the_other(self) -> None:
        thing = load("front.one").make()
        assert type(pickle.loads(pickle.dumps(thing))) is load("back.one").Thing
        assert pickle.loads(b"cfront.one\nThing\n.") is load("back.one").Thing

    def test_it_is_reloaded_as_its_owner(self) -> None:
        module = load("front.one")
        before = module.Thing
        assert importlib.reload(module) is module is load("back.one") is load("front.one")
        assert module.Thing is not before

    def test_it_comes_back_after_it_was_forgotten(self) -> None:
        module = load("front.one")
        del sys.modules["front.one"]
        assert load("front.one") is module

    def test_its_parent_has_it_before_other_threads_can_import_it(self) -> None:
        class Parent(ModuleType):
            def __setattr__(self, name: str, value: object) -> None:
                seen.append((name, value, sys.modules["parent.child"] is owner))

        seen: list[tuple[str, object, bool]] = []
        owner = ModuleType("owner")
        with mock.patch.dict(sys.modules, {"parent": Parent("parent")}):
            child = sys.modules["parent.child"] = ModuleType("parent.child")
            alias(vars(child), owner)
            assert sys.modules["parent.child"] is owner
        assert seen == [("child", owner, False)]


class Hook(importlib.abc.MetaPathFinder):
    """Inspect each module of the facade when its loader has finished, as import hooks do."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.busy = False

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.busy or not name.startswith("front."):
            return None
        self.busy = True
        spec = importlib.util.find_spec(name)
        self.busy = False
        assert spec is not None
        assert spec.loader is not None
        load_it = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load_it(module)
            self.seen[name] = module

        setattr(spec.loader, "exec_module", exec_module)  # noqa: B010 - on the instance
        return spec


class TestImportHooks:
    """The loader's own module object has the names, whichever object the name leads to later."""

    def test_a_hook_reads_and_patches_the_owner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = Hook()
        monkeypatch.setattr(sys, "meta_path", [hook, *sys.meta_path])
        owner = load("front.one")
        seen = hook.seen["front.one"]
        assert owner is load("back.one") is not seen
        assert seen.Thing is owner.Thing
        assert "Thing" in vars(seen)
        seen.make = "wrapped"
        assert owner.make == "wrapped"

    @pytest.mark.parametrize("name", ["front.one", "front.two"])
    def test_a_module_of_the_loader_alone_can_be_read(self, name: str) -> None:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert name not in sys.modules
        if name == "front.one":
            assert module.Thing is load("back.one").Thing
        else:
            assert (module.value, module.other) == (1, 3)
        assert not hasattr(module, "nope")

    def test_a_lazy_loader_gets_a_module_that_reads_at_the_owner(self) -> None:
        spec = importlib.util.find_spec("front.one")
        assert spec is not None
        assert spec.loader is not None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module: Any = importlib.util.module_from_spec(spec)
        sys.modules["front.one"] = module
        spec.loader.exec_module(module)
        assert "back.one" not in sys.modules
        assert module.Thing is load("back.one").Thing
        assert isinstance(module, ForwardingModule)


class TestSubmodules:
    def test_it_imports_what_is_asked_for(self) -> None:
        read = submodules("back", {"one"})
        assert "back.one" not in sys.modules
        assert read("one") is load("back.one")

    def test_other_names_are_missing(self) -> None:
        with pytest.raises(AttributeError, match=r"^module 'back' has no attribute 'two'$"):
            submodules("back", {"one"})("two")


class TestForward:
    def test_it_reads_at_the_owner(self) -> None:
        module = load("front.two")
        load("back.two").value = 2
        assert (module.value, module.read(), module.other) == (2, 2, 3)

    def test_it_sets_and_deletes_at_the_owner(self) -> None:
        module = load("front.two")
        module.value = 5
        module.other = 6
        assert (load("back.two").read(), load("back.three").other) == (5, 6)
        del module.value
        del module.other
        assert not hasattr(load("back.two"), "value")
        assert not hasattr(load("back.three"), "other")

    def test_special_names_are_its_own(self) -> None:
        module = load("front.two")
        assert isinstance(module, ForwardingModule)
        assert module.__name__ == "front.two"
        assert module.__doc__ == "Two."
        assert module.__all__ == ["other", "read"]
        module.__note__ = "own"
        assert "__note__" not in vars(load("back.two"))
        del module.__note__
        assert not hasattr(module, "__note__")

    def test_a_missing_name_is_reported_for_this_module(self) -> None:
        module = load("front.two")
        with pytest.raises(AttributeError, match=r"^module 'front.two' has no attribute 'nope'$"):
            _ = module.nope
        with pytest.raises(ImportError, match=r"^cannot import name 'nope' from 'front.two' "):
            exec("from front.two import nope")

    def test_it_imports_the_others_when_they_are_named(self) -> None:
        module = load("front.two")
        assert module.read() == 1
        assert "back.three" not in sys.modules
        assert module.other == 3
        assert "back.three" in sys.modules

    def test_its_namespace_is_that_of_its_owners(self) -> None:
        module = load("front.two")
        assert {"value", "read", "other"} <= vars(module).keys()
        assert {"value", "read", "other"} <= {*dir(module)}
        del module.other
        assert "other" not in vars(module)

    @pytest.mark.parametrize("create", [False, True])
    @pytest.mark.parametrize(("name", "owner"), [("value", "back.two"), ("other", "back.three")])
    def test_a_patch_is_undone_as_it_was(self, name: str, owner: str, create: bool) -> None:
        before = getattr(load(owner), name)
        with mock.patch(f"front.two.{name}", "patched", create=create):
            assert getattr(load(owner), name) == "patched"
        assert getattr(load(owner), name) == before

    def test_it_can_be_reloaded(self) -> None:
        module = load("front.two")
        assert importlib.reload(module) is module is load("front.two")
        assert (module.read(), module.other) == (1, 3)


def test_threads_that_import_at_once_all_get_the_owners() -> None:
    """In a new interpreter that switches between its threads all the time."""
    run("""
import sys, threading
from concurrent.futures import ThreadPoolExecutor

sys.setswitchinterval(1e-6)
names = [
    "consumer", "db", "exceptions", "layers", "middleware", "routing", "utils",
    "generic.websocket", "security.websocket",
]
together = threading.Barrier(8)

def load(first):
    together.wait()
    found = {}
    for name in names[first:] + names[:first]:
        exec(f"import channels.{name}\\nfound[name] = channels.{name}")
    return found

with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(load, range(8)))
assert all(result == results[0] for result in results)
for name, module in results[0].items():
    assert module.__name__ == {
        "layers": "channels.layers", "utils": "channels_core.legacy",
    }.get(name, f"channels_core.{name}")
""")
