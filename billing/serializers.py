"""What goes in and out of `/credits`, `/generations` and `/usage`."""

from typing import Any

from rest_framework import serializers

from billing.reports import GROUPS
from billing.types import STATUSES, Outcome, UsageSource
from ccapi.core.strict import Answer, Instant, QuerySerializer

PAGE_MAX = 100
CSV_MAX = 1_000_000
DOLLARS = "US dollars, exact."


def _count(text: str = "") -> serializers.IntegerField:
    return serializers.IntegerField(help_text=text)


def _dollars() -> serializers.CharField:
    return serializers.CharField(help_text=DOLLARS)


class CreditsSerializer(Answer):
    balance = _dollars()
    held = serializers.CharField(help_text="Set aside for requests that are under way.")
    available = serializers.CharField(help_text="The balance without what is held.")
    currency = serializers.ChoiceField(choices=["USD"])


class AttemptSerializer(Answer):
    model = serializers.CharField()
    provider = serializers.CharField()
    status = _count("HTTP status of the provider; 0: there was none.")
    latency_ms = _count()
    error = serializers.CharField(help_text="An error's code; empty: it served.")
    cost = _dollars()


class UsageSerializer(Answer):
    input_tokens = _count("All, those of caches included.")
    output_tokens = _count("All, those of reasoning included.")
    total_tokens = _count()
    images = _count("Pictures that were delivered.")
    characters = _count("Of text that was spoken, in Unicode code points.")
    image_size = serializers.CharField(required=False)
    image_quality = serializers.CharField(required=False)
    buckets = serializers.DictField(
        child=serializers.IntegerField(), help_text="What was used, by what has a price of its own."
    )
    raw = serializers.JSONField(required=False, help_text="As the provider told it.")


class GenerationSerializer(Answer):
    """The receipt of one request."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["generation"])
    created = _count("Seconds since 1970.")
    model = serializers.CharField()
    requested_model = serializers.CharField()
    provider = serializers.CharField()
    provider_request_id = serializers.CharField()
    protocol = serializers.CharField()
    endpoint = serializers.CharField()
    stream = serializers.BooleanField()
    status = serializers.ChoiceField(choices=STATUSES)
    outcome = serializers.ChoiceField(
        choices=[outcome.name.lower() for outcome in Outcome],
        help_text="How its hold was resolved; partial: the answer broke off, or its client left.",
    )
    http_status = _count()
    error_code = serializers.CharField(allow_null=True)
    finish_reason = serializers.CharField(allow_null=True)
    attempts = AttemptSerializer(many=True)
    usage = UsageSerializer()
    prices = serializers.DictField(
        help_text="US dollars by bucket: per million tokens or characters, all else each."
    )
    price_version = _count()
    input_cost = _dollars()
    output_cost = _dollars()
    cost = _dollars()
    usage_source = serializers.ChoiceField(choices=[source.name.lower() for source in UsageSource])
    first_byte_ms = serializers.IntegerField(allow_null=True)
    latency_ms = _count()
    user = serializers.CharField(allow_null=True, help_text="As the request said.")
    key = serializers.CharField(allow_null=True, help_text="The id of the key that asked.")
    request_id = serializers.CharField()


class GenerationListSerializer(Answer):
    object = serializers.CharField(default="list")
    data = GenerationSerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash
    next_cursor = serializers.CharField(allow_null=True)


class _Span(QuerySerializer):
    """`from` and `to`, which Python has other uses for, and the filters of both reports."""

    key = serializers.RegexField(
        r"^key_[0-9A-Za-z_]{1,60}$",
        default=None,
        error_messages={"invalid": "This is no id of a key (key_…)."},
    )
    model = serializers.CharField(default=None, max_length=256, help_text="A catalog id.")

    def get_fields(self) -> "dict[str, serializers.Field[Any, Any, Any, Any]]":
        span = {
            "from": Instant(default=None, help_text="From when on; a day or an instant."),
            "to": Instant(default=None, help_text="Until when, itself not included."),
        }
        return {**super().get_fields(), **span}


class GenerationsQuery(_Span):
    status = serializers.ChoiceField(choices=STATUSES, default=None)
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=20)
    cursor = serializers.CharField(default=None, help_text="next_cursor of the page before.")


class GenerationsSheetQuery(GenerationsQuery):
    """As CSV: all of them, if no limit is given."""

    limit = serializers.IntegerField(min_value=1, max_value=CSV_MAX, default=None)


class UsageQuery(_Span):
    group_by = serializers.CharField(
        default="day", help_text=f"Some of {', '.join(GROUPS)}, separated by commas."
    )
    provider = serializers.CharField(default=None, max_length=64)


class UsageSumsSerializer(Answer):
    requests = _count()
    # A client who left is no error.
    errors = _count("Requests that did not end well.")  # type: ignore[assignment]  # taken out of the class: no clash
    input_tokens = _count("All, those of caches included.")
    cache_read_tokens = _count()
    cache_write_tokens = _count()
    output_tokens = _count("All, those of reasoning included.")
    reasoning_tokens = _count()
    images = _count("Pictures that were delivered.")
    characters = _count("Of text that was spoken.")
    cost = _dollars()
    latency_ms_mean = serializers.IntegerField(allow_null=True)


class _Group(Answer):
    day = serializers.CharField(required=False, help_text="YYYY-MM-DD, in the time zone above.")
    key = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    provider = serializers.CharField(required=False)


class UsageLineSerializer(_Group, UsageSumsSerializer):
    """One group: of `day`, `key`, `model`, `provider` those that were asked for."""


class UsageReportSerializer(Answer):
    object = serializers.CharField(default="list")
    timezone = serializers.CharField(help_text="The organization's; days are counted in it.")
    group_by = serializers.ListField(child=serializers.ChoiceField(choices=GROUPS))
    data = UsageLineSerializer(many=True)  # type: ignore[assignment]  # taken out of the class: no clash
    total = UsageSumsSerializer()

    def get_fields(self) -> "dict[str, serializers.Field[Any, Any, Any, Any]]":
        span = {
            "from": serializers.DateTimeField(help_text="Widened to the half hour."),
            "to": serializers.DateTimeField(help_text="Widened to the half hour; not included."),
        }
        return {**super().get_fields(), **span}
