"""A site that is watched: sockets and a view, to be run under a tracer."""
