"""A program without a website: all it does is done by workers."""
