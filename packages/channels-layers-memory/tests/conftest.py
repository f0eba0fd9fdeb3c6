"""Settings of every test in this package."""

from hypothesis import settings

# No limit of time: a machine under load cannot keep one.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
