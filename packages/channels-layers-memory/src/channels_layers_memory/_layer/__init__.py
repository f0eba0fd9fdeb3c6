"""The private parts of `layer`, the public module."""
