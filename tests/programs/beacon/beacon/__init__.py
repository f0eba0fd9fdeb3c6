"""A site with WebSockets and a view, to run under a tracer."""
