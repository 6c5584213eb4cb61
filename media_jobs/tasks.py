"""The tasks of a worker. Each may come twice, late or never: what it does is idempotent."""

import structlog

from media_jobs import performing, queue, sealed, sweeper
from media_jobs.artefacts.api import delete_due, sweep_orphans
from media_jobs.webhooks import api as webhooks

log = structlog.get_logger(__name__)

DELIVERIES = 100  # at once, in the one task that delivers


@queue.app.task(name=queue.PERFORM)
def perform(job: str) -> None:
    """Take a job one step on."""
    found = queue.job_of(job)
    if found is None:
        log.warning("task.no_job", job=job[:40])
        return
    performing.perform(found.pk)


@queue.app.task(name=queue.ASK)
def ask(job: str) -> None:
    """The same, where that is quick; what has become a call goes to those who make calls."""
    found = queue.job_of(job)
    if found is None:
        log.warning("task.no_job", job=job[:40])
    elif queue.task_for(found) == queue.ASK:
        performing.perform(found.pk)
    elif not found.is_over:
        queue.enqueue(found)


@queue.app.task(name=queue.SWEEP)
def sweep() -> None:
    """Send again what nobody took."""
    sent = sweeper.sweep()
    if sent:
        log.info("jobs.swept", sent=sent)


@queue.app.task(name=queue.DELIVER)
def deliver_webhooks() -> None:
    """Deliver what is due; where another worker is at it already, nothing is left to do."""
    webhooks.deliver_due(DELIVERIES)


@queue.app.task(name=queue.TIDY)
def tidy() -> None:
    """Delete what has had its time: pictures, deliveries, and inputs of jobs that are over."""
    delete_due()
    sweep_orphans()
    webhooks.tidy()
    left = sealed.delete_left()
    if left:
        log.warning("inputs.deleted_late", count=left)
