"""The code behind the Makefile: one module for each task."""
