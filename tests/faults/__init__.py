"""Trials of faults, with real servers, a real Redis, and clients that reconnect."""
