"""An organization's own jobs: the only way in which views and routes reach one."""

from django.db.models import QuerySet

from ccapi.core import ids
from ccapi.core.errors import JobNotFound
from media_jobs.models import Job

SHOWN = 64  # characters of a customer's text that an error repeats


def of(organization_id: int) -> QuerySet[Job]:
    return Job.objects.filter(organization_id=organization_id)


def find(organization_id: int, public_id: str) -> Job:
    """Raises: JobNotFound, for another organization's too."""
    pk = ids.parse_job_id(public_id)
    job = None if pk is None else of(organization_id).filter(pk=pk).first()
    if job is None:
        raise JobNotFound(
            f"There is no job {public_id[:SHOWN]!r}. GET /images/jobs lists yours.",
            details={"job": public_id[:SHOWN]},
        )
    return job
