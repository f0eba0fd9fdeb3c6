"""Faults of more than one process, tried for real: servers, Redis, clients that come back."""
