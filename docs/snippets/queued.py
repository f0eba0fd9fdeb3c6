"""What a task of a queue tells a user: the same with Celery and with Django's tasks."""

from typing import Any

from docs.snippets.notifying import notify


def build_report(pk: int, rows: int) -> dict[str, Any]:
    """Write a report, and tell its user."""
    # Here the rows are written.
    notify(pk, text=f"Your report with {rows} rows is ready.")
    return {"rows": rows}
