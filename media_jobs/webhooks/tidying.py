"""What is over goes: bodies after a day, rows after `CCAPI_WEBHOOK_LOG_S`, old secrets at once."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from media_jobs.webhooks.models import Delivery, Secret

PAYLOAD_AGE = timedelta(days=1)
BATCH = 1000


def tidy() -> int:
    """How many deliveries were deleted."""
    Secret.objects.filter(ends_at__lte=Now()).delete()
    over = Delivery.objects.exclude(state=Delivery.State.PENDING)
    over.filter(Q(payload__isnull=False), finished_at__lte=Now() - PAYLOAD_AGE).update(payload=None)
    old = over.filter(finished_at__lte=Now() - timedelta(seconds=settings.CCAPI_WEBHOOK_LOG_S))
    count = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        old.filter(pk__in=batch).delete()
        count += len(batch)
    return count
