"""What the page about security says of others, compared with what is pinned here."""

import re

from packaging.version import Version

from served import ROOT

PAGE = (ROOT / "docs" / "topics" / "security.md").read_text()


def test_daphne_is_pinned_in_a_version_with_the_repairs_that_the_page_names() -> None:
    told = re.findall(r"(?m)^\| CVE-[\d-]+ \| Daphne before ([\d.]+)", PAGE)
    assert len(told) == 2
    for constraints in (ROOT / "constraints").glob("django-*.txt"):
        [pinned] = re.findall(r"(?m)^daphne==([\d.]+)", constraints.read_text())
        assert Version(pinned) >= max(map(Version, told))


def test_each_boundary_has_a_section_or_a_page() -> None:
    table = PAGE.partition("## Trust boundaries")[2].partition("\n## ")[0]
    targets = re.findall(r"\[\]\(#([\w-]+)\)", table)
    headings = {
        re.sub(r"\W+", "-", heading.lower()) for heading in re.findall(r"(?m)^## (.+)$", PAGE)
    }
    assert len(targets) == 4
    assert headings.issuperset(targets)
