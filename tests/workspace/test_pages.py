"""What `make docs` checks after the build."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools import pages
from tools.pages import TWINS, found, missing, public_names, unequal

INDEX: dict[str, Any] = {
    "docnames": ["faq", "topics/presence"],
    "terms": {"type": [0, 1], "indic": 0, "presenc": 1},
    "titleterms": {"presenc": [1]},
    "indexentries": {"403": [[0, "x", True]], "a long entry with 403": [[1, "y", True]]},
}


class TestSearch:
    @pytest.mark.parametrize(
        ("words", "hits"),
        [
            ("typing", {"faq", "topics/presence"}),
            ("Typing indicator", {"faq"}),
            ("presence", {"topics/presence"}),
            ("403", {"faq"}),
            ("typing elephant", set()),
            ("404", set()),
        ],
    )
    def test_all_words_count_by_their_stems(self, words: str, hits: set[str]) -> None:
        assert found(INDEX, words) == hits


class TestReference:
    def test_a_name_counts_under_any_of_its_modules(self) -> None:
        one, other = object(), object()
        public = {"a.one": one, "a.b.one": one, "a.other": other}
        assert missing({"a.b.one"}, public) == ["a.other"]
        assert missing(public, public) == []

    def test_equal_values_of_other_names_do_not_count(self) -> None:
        assert missing({"a.one"}, {"a.one": None, "a.other": None}) == ["a.other"]

    def test_twins_have_the_same_members(self) -> None:
        all_of_them = [f"{one}.send" for twins in TWINS for one in twins]
        assert unequal(all_of_them) == []
        first, second = TWINS[0]
        assert unequal([*all_of_them, f"{first}.close"]) == [f"{first}, {second}: close"]
        assert unequal(all_of_them[2:]) == [first, second]

    def test_names_of_our_packages_are_found(self) -> None:
        names = public_names()
        assert "channels_core.routing.URLRouter" in names
        assert not [name for name in names if name.startswith("channels.") or "._" in name]


def test_problems_end_with_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(INDEX)})")
    (tmp_path / "objects.inv").write_text("")
    monkeypatch.setattr(pages, "documented", lambda path: {"channels_core.routing.URLRouter"})
    problems = pages.problems(tmp_path)
    assert "A search for 'React' does not find faq" in problems
    assert "The reference lacks channels_core.routing.URLRouter" not in problems
    assert "The reference lacks channels_core.routing.ProtocolTypeRouter" in problems
