"""The private parts of `channels_testing.layers`.

`contract` runs a clause; each other module but `first_difference` holds the clauses on one subject.
"""
