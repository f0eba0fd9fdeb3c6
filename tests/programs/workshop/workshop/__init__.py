"""A program without a website, whose work is done by workers."""
