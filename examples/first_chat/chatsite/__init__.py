"""The project: its settings, its URLs and the application that a server runs."""
