"""The private parts of `channels_auth.checks`."""
