"""Alerts as the admin shows them: one row for a kind and a subject, however often it happens."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils import timezone

# An alert that was not heard of again for so long is no longer shown beside its subject.
RECENT = timedelta(hours=24)


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> Self:
        """Those that nobody has resolved and that were seen in the last day."""
        return self.filter(resolved_at=None, last_seen__gte=timezone.now() - RECENT)


class Alert(models.Model):
    kind = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField(db_index=True)
    told_at = models.DateTimeField(help_text="When it was last sent by e-mail or webhook.")
    count = models.PositiveIntegerField(default=1, help_text="How many cool-downs it lasted.")
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        db_table = "alert"
        ordering = ("-last_seen",)
        constraints = (models.UniqueConstraint(name="alert_once", fields=("kind", "subject")),)

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
