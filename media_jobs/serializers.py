"""What goes in and out of `/images/jobs`. A job's own shape is `media_jobs.answers`."""

from rest_framework import serializers

from ccapi.core.strict import QuerySerializer
from media_jobs.types import State

PAGE_MAX = 100


class JobListQuery(QuerySerializer):
    state = serializers.ChoiceField(
        choices=[state.value for state in State], default=None, help_text="Only such jobs."
    )
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=20)
    cursor = serializers.CharField(default=None, help_text="next_cursor of the page before.")
