"""What the targets of the Makefile run: one short module for each task."""
