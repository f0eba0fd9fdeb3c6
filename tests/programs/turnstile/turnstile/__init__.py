"""WebSockets whose handshakes log in and out."""
