"""The PostgreSQL server that the tests of channels-auth start, for tests of the tree."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location

import parts
from tools.packages import by_name

__all__ = ["require_postgresql"]


@contextmanager
def require_postgresql() -> Iterator[str]:
    """Run a server and yield the folder of its socket, or skip the test if it is not installed."""
    path = by_name("channels-auth").folder / "tests" / "postgresql.py"
    # Tests of a package cannot be imported by name.
    spec = spec_from_file_location("postgresql_of_auth", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        server = module.running_server()
        with server as folder:
            yield folder
    except module.MissingPart as missing:
        parts.missing(missing)
