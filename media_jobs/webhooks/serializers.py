"""What goes in and out of `/webhooks`."""

from rest_framework import serializers

from ccapi.core.strict import Answer, Epoch, QuerySerializer, StrictSerializer, Whole
from media_jobs.webhooks.models import Delivery, Secret

PAGE_MAX = 100
OVERLAP_S = 24 * 3600


class WebhookSecretSerializer(Answer):
    object = serializers.CharField(default="webhook_secret")
    secret = serializers.SerializerMethodField(
        help_text="What signatures are verified with (Standard Webhooks): `whsec_…`."
    )
    created = Epoch(source="created_at", help_text="Seconds since 1970.")
    old_secret_expires_at = serializers.SerializerMethodField(
        help_text="Until when the secret before signs as well; null: it does not."
    )

    def get_secret(self, _row: Secret) -> str:
        secret: str = self.context["secret"]
        return secret

    def get_old_secret_expires_at(self, _row: Secret) -> str | None:
        found = self.context["old_until"]
        return found.isoformat().replace("+00:00", "Z") if found else None


class SecretRotationSerializer(StrictSerializer):
    overlap_seconds = Whole(
        min_value=0,
        max_value=7 * 24 * 3600,
        default=OVERLAP_S,
        help_text="How much longer the secret before signs beside the new one; 0: not at all.",
    )


class WebhookAttemptSerializer(Answer):
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="null: nothing came back.")
    error = serializers.CharField(help_text="Why nothing came back.")
    answer = serializers.CharField(help_text="How the body of the answer begins.")


class DeliverySerializer(Answer):
    """One event on its way to one URL."""

    id = serializers.CharField(source="public_id")
    object = serializers.CharField(default="webhook_delivery")
    event = serializers.CharField(source="event_id", help_text="Its `webhook-id`.")
    url = serializers.CharField()
    state = serializers.ChoiceField(choices=Delivery.State.values)
    attempts_count = serializers.IntegerField()
    last_status = serializers.IntegerField(allow_null=True)
    last_error = serializers.CharField()
    created = Epoch(source="created_at", help_text="Seconds since 1970.")
    next_attempt_at = serializers.SerializerMethodField(help_text="null: there is none.")
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_next_attempt_at(self, row: Delivery) -> str | None:
        if row.state != Delivery.State.PENDING:
            return None
        return row.due_at.isoformat().replace("+00:00", "Z")


class DeliveryDetailSerializer(DeliverySerializer):
    attempts = WebhookAttemptSerializer(many=True, source="last_attempts")


class DeliveryListSerializer(Answer):
    object = serializers.CharField(default="list")
    data = DeliverySerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash
    next_cursor = serializers.CharField(allow_null=True)


class DeliveryListQuery(QuerySerializer):
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=20)
    cursor = serializers.CharField(default=None, help_text="next_cursor of the page before.")
    state = serializers.ChoiceField(
        choices=Delivery.State.values, default=None, help_text="Only these."
    )
    event = serializers.CharField(default=None, help_text="Only of this `webhook-id`: a job's id.")


class DisabledUrlSerializer(Answer):
    id = serializers.CharField(source="public_id")
    url = serializers.CharField()
    created = Epoch(source="created_at", help_text="When it answered 410, in seconds since 1970.")


class DisabledUrlListSerializer(Answer):
    object = serializers.CharField(default="list")
    data = DisabledUrlSerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash
