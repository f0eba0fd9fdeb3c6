"""The test passes, and one that expects another answer fails."""

import unittest

from readme import blocks, configure, run

configure(INSTALLED_APPS=["channels_core"])


def passes(code: str) -> bool:
    """Run the tests of the code, and return whether all of them pass."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(run(code)["ShoutTests"])
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    assert result.testsRun == 1, result
    return result.wasSuccessful()


code = blocks()[0]
assert passes(code)
assert not passes(code.replace("HELLO", "hello"))
