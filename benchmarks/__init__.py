"""What is measured, against whom and how: see README.md."""
