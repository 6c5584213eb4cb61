"""A job's input at rest: encrypted, bound to its job, and gone when that has ended."""

from uuid import UUID

import msgspec
from django.db.models import Q
from django.db.models.functions import Now

from ccapi.core import sealing
from media_jobs.models import Job, SealedInput
from media_jobs.states import ENDS
from media_jobs.types import ImageRequest

LABEL = b"ccapi/media-jobs/input/v1"

_encode = msgspec.json.Encoder().encode  # MessagePack could not carry raw JSON
_decode = msgspec.json.Decoder(ImageRequest).decode


def store(job: Job, request: ImageRequest) -> None:
    sealed = sealing.seal(_encode(request), _place(job.pk, job.organization_id), label=LABEL)
    SealedInput.objects.create(job=job, ciphertext=sealed)


def read(job: Job) -> ImageRequest:
    """Raises: SealedInput.DoesNotExist; SealError where it does not open."""
    sealed = bytes(SealedInput.objects.get(job=job).ciphertext)
    where = _place(job.pk, job.organization_id)
    return _decode(sealing.unseal(sealed, where, label=LABEL))


def delete(job_pk: UUID) -> None:
    SealedInput.objects.filter(job=job_pk).delete()


def delete_left() -> int:
    """What an ended job has left, which is nothing unless a deletion was forgotten."""
    ended = Q(job__state__in=sorted(ENDS)) & Q(job__finished_at__lte=Now())
    found, _ = SealedInput.objects.filter(ended).delete()
    return found


def _place(pk: UUID, organization_id: int) -> bytes:
    return sealing.place("media_job_input", pk, "ciphertext", organization_id)
