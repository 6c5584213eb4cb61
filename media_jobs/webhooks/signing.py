"""Secrets of organizations, and signatures made with them.

A secret is `whsec_` and 32 random bytes, sealed at rest. After a rotation the one before goes on
signing beside the new one for as long as was asked, so that receivers can change over.
"""

import base64
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks import Webhook

from ccapi.core import sealing
from ccapi.core.ids import uuid7
from media_jobs.webhooks.models import Secret

LABEL = b"ccapi/webhooks/secret/v1"
SECRET_BYTES = 32


def secret_of(organization_id: int) -> tuple[Secret, str]:
    """The secret that stays, made on first use, and its text."""
    row = Secret.objects.filter(organization=organization_id, ends_at=None).first()
    if row is None:
        made, _ = _made(organization_id)
        Secret.objects.bulk_create([made], ignore_conflicts=True)
        row = Secret.objects.get(organization=organization_id, ends_at=None)
    return row, _opened(row)


@transaction.atomic
def rotate(organization_id: int, *, overlap_s: int) -> tuple[Secret, str]:
    """A new secret; the one before signs for `overlap_s` more, any older one does not.

    The caller has seen to it that an organization's changes take turns.
    """
    own = Secret.objects.filter(organization=organization_id)
    own.filter(ends_at__isnull=False).delete()
    if overlap_s:
        own.update(ends_at=timezone.now() + timedelta(seconds=overlap_s))
    else:
        own.delete()
    made, text = _made(organization_id)
    made.save(force_insert=True)
    made.refresh_from_db()
    return made, text


def old_until(organization_id: int) -> datetime | None:
    """Until when the secret before signs as well."""
    ending = Secret.objects.filter(organization=organization_id, ends_at__gt=Now()).first()
    return ending.ends_at if ending else None


def headers(
    organization_id: int, *, event_id: str, payload: bytes, now: datetime
) -> dict[str, str]:
    """Standard Webhooks' headers, signed with every secret that is good at this time."""
    secret_of(organization_id)
    good = Secret.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=Now()), organization=organization_id
    )
    text = payload.decode()
    signatures = [
        Webhook(_opened(row)).sign(event_id, now, text)
        for row in good.order_by(F("ends_at").desc(nulls_first=True))
    ]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _made(organization_id: int) -> tuple[Secret, str]:
    text = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    row = Secret(id=uuid7(), organization_id=organization_id)
    row.ciphertext = sealing.seal(text.encode(), _place(row), label=LABEL)
    return row, text


def _opened(row: Secret) -> str:
    return sealing.unseal(bytes(row.ciphertext), _place(row), label=LABEL).decode()


def _place(row: Secret) -> bytes:
    return sealing.place("webhook_secret", row.id, "ciphertext", row.organization_id)
