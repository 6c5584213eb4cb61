"""POST /media/notify/{job}/{token}: an asynchronous provider says that a job has news.

The path's token is unguessable and of this job alone; where the vendor signs its calls, the driver
checks the signature too. What is said is not believed: the job is only made due, and asked for
itself. So a call that is false, repeated or out of order costs one question. One thing is learnt:
the id of the work, where the provider took an order whose answer never came.
"""

import hmac
from hashlib import sha256

import structlog
from django.conf import settings
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from catalog.api import current_sync
from ccapi.core import ids, sealing
from ccapi.core.errors import JobNotFound
from media_jobs import plan, queue
from media_jobs.drivers import replicate
from media_jobs.drivers.replicate import BadNotice
from media_jobs.models import Job
from media_jobs.types import State

log = structlog.get_logger(__name__)

# Who checks the signature of which provider's calls, by protocol.
SIGNED = {"replicate": replicate.verify}
# What they call the work that they tell of.
NOTICED = {"replicate": replicate.noticed}
LABEL = b"ccapi/media-jobs/notify/v1"


def url(job: Job) -> str:
    """Where a provider may tell of this job; "" where we cannot be reached from outside."""
    if not settings.CCAPI_PUBLIC_URL:
        return ""
    path = reverse("media_notify", args=[job.public_id, token(job)])
    return str(settings.CCAPI_PUBLIC_URL) + path


def token(job: Job) -> str:
    key, _ = sealing.derived(settings.CCAPI_MASTER_KEY, LABEL)
    return hmac.new(key, job.pk.bytes, sha256).hexdigest()[:40]


@csrf_exempt
@require_POST
def view(request: HttpRequest, job: str, secret: str) -> HttpResponse:
    """Answers 204 for what it believes, 404 for everything else. Raises: JobNotFound."""
    pk = ids.parse_job_id(job)
    found = None if pk is None else Job.objects.filter(pk=pk).first()
    if (
        found is None
        or not hmac.compare_digest(token(found), secret)
        or not _is_signed(found, request)
    ):
        log.warning("notify.refused", job=job[:40])
        raise JobNotFound("There is no such job.")
    _learn_id(found, request.body)
    due = Job.objects.filter(pk=found.pk, state=State.PROCESSING, lease_until=None)
    if due.exclude(started=None).update(due_at=Now(), queued_until=None):
        queue.enqueue(found)
    return HttpResponse(status=204)


def _learn_id(job: Job, body: bytes) -> None:
    """Which work it is, of an order that was not answered."""
    if job.started is None or job.started["upstream"]["upstream_id"]:
        return
    noticed = NOTICED.get(_protocol(job))
    if noticed is None or not (upstream_id := noticed(body)):
        return
    job.started["upstream"]["upstream_id"] = upstream_id
    unheard = Job.objects.filter(pk=job.pk, state=State.PROCESSING, lease_until=None)
    unheard.filter(started__upstream__upstream_id="").update(started=job.started)


def _protocol(job: Job) -> str:
    """Of the provider that has the work."""
    return next(
        (
            offered.offer.provider.protocol
            for _, offered in plan.read(current_sync(), job.plan)
            if job.started is not None and offered.offer.id == job.started["offer"]
        ),
        "",
    )


def _is_signed(job: Job, request: HttpRequest) -> bool:
    """Where its vendor signs, and the operator has named the secret: whether this is signed."""
    protocol = _protocol(job)
    secret = settings.CCAPI_NOTIFY_SECRETS.get(protocol, "")
    verify = SIGNED.get(protocol)
    if not secret or verify is None:
        return True
    try:
        verify(
            {name.lower(): value for name, value in request.headers.items()}, request.body, secret
        )
    except BadNotice:
        return False
    return True
