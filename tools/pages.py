"""Check the built documentation: `make docs` runs this after the build.

    python -m tools.pages docs/_build/html

- The search finds the words that people look for, on the page that answers.
- The reference has each public name, and both colours of a consumer have the same methods there.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from snowballstemmer import stemmer
from sphinx.util.inventory import InventoryFile

from tools.packages import PACKAGES

__all__ = [
    "TWINS",
    "WANTED",
    "documented",
    "found",
    "main",
    "missing",
    "problems",
    "public_names",
    "unequal",
]

#: What people search for, and a page that must be among what is found.
WANTED: Final = {
    "troubleshooting": "faq",
    "presence": "topics/presence",
    "typing indicator": "faq",
    "403": "faq",
    "SynchronousOnlyOperation": "faq",
    "React": "faq",
    "HTMX": "faq",
    "Celery": "faq",
    "notifications": "faq",
    "group_send": "topics/channel-layers",
    "close code": "reference/tables",
    "CHANNELS_DRAIN_TIMEOUT": "reference/settings",
}

_WEBSOCKET: Final = "channels_core.generic.websocket."
#: Pairs of classes with the same methods.
TWINS: Final = (
    (f"{_WEBSOCKET}WebsocketConsumer", f"{_WEBSOCKET}AsyncWebsocketConsumer"),
    (f"{_WEBSOCKET}JsonWebsocketConsumer", f"{_WEBSOCKET}AsyncJsonWebsocketConsumer"),
    ("channels_core.consumer.SyncConsumer", "channels_core.consumer.AsyncConsumer"),
    (
        "channels_core.generic.groups.SyncGroupMember",
        "channels_core.generic.groups.AsyncGroupMember",
    ),
)


def found(index: Mapping[str, Any], words: str) -> set[str]:
    """Return the pages with all of these words, as the search of the pages finds them.

    Args:
        index: What `searchindex.js` has.
        words: What a reader types.
    """
    query = words.lower()
    # Sphinx leaves numbers out of the words, so they are entries of the index.
    entries = {
        index["docnames"][hit[0]]
        for entry, hits in index["indexentries"].items()
        if query in entry.lower() and len(query) >= len(entry) / 2
        for hit in hits
    }
    stem = stemmer("english").stemWord
    pages: set[str] | None = None
    for word in re.findall(r"\w+", query):
        numbers: set[int] = set()
        for table in ("terms", "titleterms"):
            # The search looks for the stem, and for the word as it is.
            for term in {stem(word), word}:
                hit = index[table].get(term, [])
                numbers |= {hit} if isinstance(hit, int) else set(hit)
        here = {index["docnames"][number] for number in numbers}
        pages = here if pages is None else pages & here
    return entries | (pages or set())


def public_names() -> dict[str, Any]:
    """Return what the public modules of the packages offer, by its full name.

    The modules of `channels` are those of the other packages.
    """
    names = {}
    for package in PACKAGES:
        for path in sorted(package.source.rglob("*.py")):
            parts = path.relative_to(package.source.parent).with_suffix("").parts
            dotted = parts[:-1] if parts[-1] == "__init__" else parts
            if package.name == "channels" or any(part.startswith("_") for part in dotted):
                continue
            module = import_module(".".join(dotted))
            for name in getattr(module, "__all__", ()):
                if not name.startswith("_"):
                    names[f"{module.__name__}.{name}"] = getattr(module, name)
    return names


def missing(explained: Iterable[str], public: Mapping[str, Any]) -> list[str]:
    """Return the public names that the reference does not have, under none of their modules.

    Args:
        explained: The names in the reference.
        public: Objects by their public names; one object may have several.
    """
    explained = set(explained)
    there = {(id(public[name]), name.rpartition(".")[2]) for name in explained & public.keys()}
    return [
        name for name, value in public.items() if (id(value), name.rpartition(".")[2]) not in there
    ]


def unequal(explained: Iterable[str]) -> list[str]:
    """Return the members that the reference has for one of two twins only."""
    explained = set(explained)

    def members(owner: str) -> set[str]:
        return {
            name.removeprefix(f"{owner}.") for name in explained if name.startswith(f"{owner}.")
        }

    wrong = [
        f"{one}, {other}: {name}"
        for one, other in TWINS
        for name in sorted(members(one) ^ members(other))
    ]
    return wrong + [one for twins in TWINS for one in twins if not members(one)]


def documented(folder: Path) -> set[str]:
    """Return the names that the reference explains."""
    inventory = InventoryFile.loads((folder / "objects.inv").read_bytes(), uri="")
    kinds = [names for kind, names in inventory.data.items() if kind.startswith("py:")]
    return {name for names in kinds for name in names}


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the pages in a folder; needs the settings of a site."""
    text = (folder / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    names = documented(folder)
    return [
        *(
            f"A search for {words!r} does not find {page}"
            for words, page in WANTED.items()
            if page not in found(index, words)
        ),
        *(f"The reference lacks {name}" for name in missing(names, public_names())),
        *(f"The reference has this for one of two only: {each}" for each in unequal(names)),
    ]


def main() -> None:
    """Check the pages in the folder of the first argument."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=[
            "channels",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
        ]
    )
    django.setup()
    told = problems(Path(sys.argv[1]))
    print("\n".join(told) or "The search and the reference are complete.")
    sys.exit(bool(told))


if __name__ == "__main__":
    main()
