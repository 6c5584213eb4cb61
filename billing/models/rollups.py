"""Sums of usage by half an hour, which the reports read. `sql/usage_rollup_v1` keeps them."""

from django.db import models


class UsageRollup(models.Model):
    pk = models.CompositePrimaryKey(
        "organization_id", "bucket", "key_id", "model", "provider", "endpoint"
    )
    organization_id = models.BigIntegerField()
    bucket = models.DateTimeField()  # the half hour's beginning
    key_id = models.BigIntegerField()
    model = models.TextField()
    provider = models.TextField()
    endpoint = models.TextField()

    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    input_tokens = models.BigIntegerField()  # those of the two caches included
    cache_read_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()  # those of reasoning included
    reasoning_tokens = models.BigIntegerField()
    images = models.BigIntegerField(db_default=0)
    characters = models.BigIntegerField(db_default=0)
    cost_nano = models.BigIntegerField()
    latency_ms_sum = models.BigIntegerField()

    class Meta:
        db_table = "usage_rollup"

    def __str__(self) -> str:
        return f"usage of organization {self.organization_id} from {self.bucket}"
