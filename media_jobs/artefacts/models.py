"""Whose an artefact is. Its bytes are in the storage, under a path that its name gives."""

from django.db import models
from django.db.models import CheckConstraint, F, Index, Q
from django.db.models.functions import Length, Now
from django.db.models.lookups import Exact


class Artefact(models.Model):
    name = models.TextField(primary_key=True)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    request_id = models.UUIDField()
    media_type = models.TextField()  # as its maker said
    bytes = models.BigIntegerField()
    sha256 = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "artefact"
        constraints = [
            CheckConstraint(name="artefact_bytes_some", condition=Q(bytes__gt=0)),
            CheckConstraint(name="artefact_sha256_length", condition=Exact(Length("sha256"), 32)),
            CheckConstraint(
                name="artefact_ends_later", condition=Q(expires_at__gt=F("created_at"))
            ),
        ]
        indexes = [
            Index(fields=["expires_at"], name="artefact_due"),
            Index(fields=["organization", "-created_at"], name="artefact_newest"),
        ]

    def __str__(self) -> str:
        return self.name
