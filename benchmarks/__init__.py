"""Benchmarks against the published Channels: see README.md."""
