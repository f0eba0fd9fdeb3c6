"""Sockets whose handshakes change who is logged in."""
