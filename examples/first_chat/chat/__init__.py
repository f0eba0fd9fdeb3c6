"""Rooms in which the visitors of the site write to each other."""
