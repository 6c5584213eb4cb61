"""What goes in and out of `/keys`: the shapes, and what can be said of a value by itself.

Whether the caller may is `accounts.keyring`.
"""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts import keys
from accounts.keyring import scope_of
from accounts.models import ApiKey
from ccapi.core import peer
from ccapi.core.strict import Answer, Epoch, Flag, QuerySerializer, StrictSerializer, Text, Whole

INTEGER_MAX = 2_147_483_647  # of PostgreSQL's integer
MODELS_MAX = 500
NETWORKS_MAX = 100
PAGE_MAX = 100
OVERLAP_S_MAX = 24 * 3600
# A catalog id. Whether the catalog has it is not asked: models come and go, a key's list stays.
MODEL = r"^[a-z0-9][a-z0-9_-]{0,63}/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,134}$"


class Future(serializers.DateTimeField):
    """An instant to come; without an offset it is UTC."""

    default_error_messages = {  # noqa: RUF012 — REST framework's own way
        "past": "This has passed. To end a key now, DELETE it."
    }

    def to_internal_value(self, value: Any) -> datetime:  # noqa: ANN401 — JSON is anything
        found = super().to_internal_value(value)
        if found <= timezone.now():
            self.fail("past")
        return found


class NetworkField(serializers.CharField):
    """An address, or a network in CIDR form; told as the network that it is."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 — REST framework's own
        super().__init__(max_length=43, **options)

    def to_internal_value(self, data: Any) -> str:  # noqa: ANN401 — JSON is anything
        text = super().to_internal_value(data)
        try:
            return str(peer.network(text))
        except ValueError as error:
            raise serializers.ValidationError(f"This is no network: {error}.") from error


class LimitsSerializer(Answer):
    """A key's own limits, beside the organization's. 0: none of its own."""

    rpm = serializers.IntegerField(help_text="Requests a minute.")
    tpm = serializers.IntegerField(help_text="Tokens a minute.")
    concurrent = serializers.IntegerField(help_text="Requests at once.")

    def to_representation(self, instance: ApiKey) -> dict[str, int]:
        limits = scope_of(instance).limits
        return {"rpm": limits.rpm, "tpm": limits.tpm, "concurrent": limits.concurrent}


class KeySerializer(Answer):
    """A key, without its secret."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    prefix = serializers.SerializerMethodField(help_text="How its secret begins.")
    last4 = serializers.CharField(help_text="How its secret ends.")
    allowed_models = serializers.ListField(
        child=serializers.CharField(), help_text="Catalog ids; empty: all."
    )
    allowed_ips = serializers.ListField(
        child=serializers.CharField(),
        help_text="Addresses and networks that it may be used from; empty: everywhere.",
    )
    limits = LimitsSerializer(source="*")
    manages_keys = serializers.BooleanField(
        help_text="Whether it may make, change and revoke keys that can do no more than itself."
    )
    created = Epoch(source="created_at", help_text="Seconds since 1970.")
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")

    def get_prefix(self, key: ApiKey) -> str:
        return keys.PREFIX + key.prefix


class NewKeySerializer(KeySerializer):
    """A key with its secret, which no other answer has."""

    key = serializers.SerializerMethodField(help_text="The secret. Store it now: told once.")

    def get_key(self, _key: ApiKey) -> str:
        secret: str = self.context["secret"]
        return secret


class RotatedKeySerializer(NewKeySerializer):
    old_key_expires_at = serializers.DateTimeField(
        source="old_mac_until", help_text="Until when the secret before is good."
    )


class KeyListSerializer(Answer):
    object = serializers.CharField(default="list")
    data = KeySerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash
    next_cursor = serializers.CharField(allow_null=True)


class KeyListQuery(QuerySerializer):
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=20)
    cursor = serializers.CharField(default=None, help_text="next_cursor of the page before.")


def _limit(what: str) -> Whole:
    return Whole(
        min_value=0,
        max_value=INTEGER_MAX,
        allow_null=True,
        required=False,
        help_text=f"{what} 0 or null: the organization's limit alone.",
    )


class LimitsFields(StrictSerializer):
    rpm = _limit("Requests a minute.")
    tpm = _limit("Tokens a minute.")
    concurrent = _limit("Requests at once.")


class KeyChangeSerializer(StrictSerializer):
    """The body of PATCH: what is not named stays."""

    name = Text(max_length=200, required=False)
    allowed_models = serializers.ListField(
        child=serializers.RegexField(
            MODEL, error_messages={"invalid": "This is no catalog id (provider/model)."}
        ),
        max_length=MODELS_MAX,
        required=False,
        help_text="Catalog ids; empty: all.",
    )
    allowed_ips = serializers.ListField(
        child=NetworkField(),
        max_length=NETWORKS_MAX,
        required=False,
        help_text="Addresses and networks (`203.0.113.0/24`, `2001:db8::/48`) that it may be used"
        " from, as we see them; empty: everywhere. Mind your own: a key that shuts itself out"
        " cannot change that.",
    )
    limits = LimitsFields(required=False)
    expires_at = Future(allow_null=True, required=False, help_text="null: never.")


class KeyCreateSerializer(KeyChangeSerializer):
    """The body of POST: what is not named is as in the key that asks."""

    name = Text(max_length=200)
    manages_keys = Flag(
        required=False, help_text="Whether the new key may itself make and change keys."
    )


class RotationSerializer(StrictSerializer):
    overlap_seconds = Whole(
        min_value=0,
        max_value=OVERLAP_S_MAX,
        default=0,
        help_text="How much longer the secret before is good; 0: not at all.",
    )
