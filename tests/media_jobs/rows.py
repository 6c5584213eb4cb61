"""A job's row for tests that need no worker."""

from datetime import timedelta

from django.utils import timezone

from accounts import api as accounts
from accounts.models import ApiKey
from ccapi.core.ids import uuid7
from media_jobs.models import Job


def job(**columns: object) -> Job:
    """Of an organization of its own, unless it is told whose it is."""
    if "organization_id" not in columns:
        public_id = accounts.create_organization("Acme", "owner@acme.example")
        key = accounts.create_key(public_id, name="first")
        columns["organization_id"] = accounts.organization_pk(public_id)
        columns["key_id"] = ApiKey.objects.get(public_id=key.key).pk
    given: dict[str, object] = {
        "id": uuid7(),
        "endpoint": "images.generate",
        "base_url": "http://testserver",
        "requested_models": ["acme/one"],
        "operation": "text-to-image",
        "count": 1,
        "response_format": "url",
        "plan": [],
        "hold_nano": 1,
        "hold_price_version": 1,
        "deadline_at": timezone.now() + timedelta(hours=1),
    }
    made = Job(**{**given, **columns})
    made.save(force_insert=True)
    made.refresh_from_db()
    return made
