"""A job's row, and its input beside it, sealed and short-lived.

What may follow which state is `media_jobs.states`; who may write is decided by the fence. The
job's id is its request's: hold, settlement and receipt have the same.
"""

from django.db import models
from django.db.models import CheckConstraint, F, Index, Q
from django.db.models.functions import Now

from ccapi.core import ids
from media_jobs.states import ENDS, OPEN
from media_jobs.types import State

_OPEN = sorted(state.value for state in OPEN)
_ENDS = sorted(state.value for state in ENDS)


class Job(models.Model):
    """One order of pictures, from its acceptance to its end.

    `plan` has the offers in the order in which they are tried, each with the price version that
    it is charged at (`media_jobs.plan`). `tries` counts performances since the last one that came
    to something. `fence` grows with each claim: an effect of an older one is refused. `due_at` is
    when somebody should look at the job, `queued_until` until when a message for it is believed
    to be with the broker. `place` is the asynchronous provider at which the job has a place, from
    before that takes the work; `waits_for`, the one in whose line it stands (`media_jobs.places`).
    """

    id = models.UUIDField(primary_key=True)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    key = models.ForeignKey(
        "accounts.ApiKey", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    endpoint = models.TextField()
    base_url = models.TextField()  # where this customer reaches us
    requested_models = models.JSONField()
    operation = models.TextField()
    count = models.IntegerField()
    response_format = models.TextField()
    end_user = models.TextField(db_default="")
    webhook_url = models.TextField(db_default="")
    plan = models.JSONField()
    hold_nano = models.BigIntegerField()
    hold_price_version = models.BigIntegerField()

    state = models.TextField(
        choices=[(state.value, state.value) for state in State], db_default=State.PENDING.value
    )
    is_async = models.BooleanField(db_default=False)  # of the offer that is at work, or served
    model = models.TextField(db_default="")
    provider = models.TextField(db_default="")
    attempts = models.JSONField(db_default=[])
    tries = models.IntegerField(db_default=0)
    owner = models.TextField(db_default="")
    lease_until = models.DateTimeField(null=True)
    fence = models.BigIntegerField(db_default=0)
    due_at = models.DateTimeField(db_default=Now())
    queued_until = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField()
    started = models.JSONField(null=True)  # of an asynchronous provider: what asking it again needs
    place = models.BigIntegerField(null=True)  # no key: it outlives what the catalog has
    waits_for = models.BigIntegerField(null=True)
    polls = models.IntegerField(db_default=0)
    progress = models.FloatField(null=True)
    estimated_s = models.FloatField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)

    error = models.JSONField(null=True)
    results = models.JSONField(db_default=[])
    dropped = models.JSONField(db_default=[])
    cost_nano = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "media_job"
        constraints = [
            CheckConstraint(
                name="media_job_state_known",
                condition=Q(state__in=[state.value for state in State]),
            ),
            CheckConstraint(
                name="media_job_ends_once",
                condition=Q(state__in=_ENDS, finished_at__isnull=False)
                | Q(state__in=_OPEN, finished_at__isnull=True),
            ),
            CheckConstraint(
                name="media_job_delivered",
                condition=~Q(state=State.COMPLETED.value)
                | (Q(cost_nano__isnull=False) & ~Q(results=[])),
            ),
            CheckConstraint(
                name="media_job_failed_with_reason",
                condition=~Q(state=State.FAILED.value) | Q(error__isnull=False),
            ),
            CheckConstraint(
                name="media_job_lease_of_work",
                condition=Q(lease_until__isnull=True) | Q(state=State.PROCESSING.value),
            ),
            CheckConstraint(
                name="media_job_charge_within_hold",
                condition=Q(cost_nano__isnull=True) | Q(cost_nano__lte=F("hold_nano")),
            ),
            CheckConstraint(name="media_job_count", condition=Q(count__gt=0)),
        ]
        indexes = [
            Index(fields=["organization", "-id"], name="media_job_newest"),
            Index(fields=["due_at"], name="media_job_due", condition=Q(state__in=_OPEN)),
            Index(fields=["organization"], name="media_job_open", condition=Q(state__in=_OPEN)),
            Index(
                fields=["place"],
                name="media_job_places",
                condition=Q(state=State.PROCESSING.value, place__isnull=False),
            ),
            Index(
                fields=["waits_for", "id"],
                name="media_job_line",
                condition=Q(state=State.PROCESSING.value, waits_for__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return ids.job_id(self.id)

    @property
    def is_over(self) -> bool:
        return self.state in ENDS


class SealedInput(models.Model):
    """What is asked, with its pictures, encrypted (`media_jobs.sealed`).

    Deleted with the job's end; what is left of it, a day later at the latest.
    """

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="sealed_input"
    )
    ciphertext = models.BinaryField()

    class Meta:
        db_table = "media_job_input"

    def __str__(self) -> str:
        return f"input of {self.job_id}"
