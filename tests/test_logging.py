"""The loggers of all packages keep slow handlers out of the event loop."""

import re

from channels_core._logging import LOGGERS
from tools.packages import PACKAGES


def test_the_list_has_every_logger() -> None:
    paths = [path for package in PACKAGES for path in package.source.rglob("*.py")]
    named = re.compile(r'getLogger\(\s*"(django\.channels\.[\w.]+)"')
    used = {name for path in paths for name in named.findall(path.read_text())}
    assert len(used) >= 10
    assert used == set(LOGGERS)
