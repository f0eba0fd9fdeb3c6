"""A task of Django 6.0 that tells its user when it is done."""

from functools import partial
from typing import Any

# begin tasks
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.tasks import task

from docs.snippets.queued import build_report


@task
def report(pk: int, rows: int) -> dict[str, Any]:
    """Run in the queue."""
    return build_report(pk, rows)


# end of tasks


@login_required
def start(request: HttpRequest) -> HttpResponse:
    """Start the task as soon as the transaction is committed."""
    pk: Any = request.user.pk
    transaction.on_commit(partial(report.enqueue, pk=pk, rows=500))
    return HttpResponse(status=202)
