"""The private parts of `channels_testing.application`.

`connections` decides which database connections an application under test uses, and
`lent_connection` is one that works in the test's transaction. `login` logs a user in.
"""
