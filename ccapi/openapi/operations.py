"""What each REST view does, in words: the table from which `rest` describes it.

Keyed by view and method. Shapes are the views' own serializers; the catalog's, which has none, are
components of `parts/catalog.yaml`. A view without a line here is an error, not a gap.
"""

from typing import Any

import msgspec
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts import serializers as accounts
from accounts import views as keys
from billing import serializers as billing
from billing import views as money
from catalog import views as catalog
from catalog.groups import serializers as grouped
from catalog.groups import views as groups
from catalog.listing import LIMIT_MAX, OFFSET_MAX, ORDERS, SORTS
from catalog.units import MODEL_TYPES
from ccapi.openapi.parts import Schema
from media_jobs import serializers as images
from media_jobs import views as jobs
from media_jobs.webhooks import serializers as hooked
from media_jobs.webhooks import views as hooks

Shape = type[Serializer[Any]]

BODY = (408, 413)  # what can go wrong with one


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """`answer` is a serializer or a component's name; `errors` are beside those of every view."""

    id: str
    tag: str
    summary: str
    description: str = ""
    answer: Shape | str
    status: int = 200
    query: Shape | None = None
    parameters: tuple[Schema, ...] = ()
    body: Shape | None = None
    errors: tuple[int, ...] = ()
    has_sheet: bool = False
    example: Schema | None = None


def _query(name: str, description: str, **schema: Any) -> Schema:  # noqa: ANN401 — JSON
    return {"name": name, "in": "query", "description": description, "schema": schema}


# The name of a path's variable in the documents, by its name in Django's patterns.
VARIABLES = {
    "model_id": "id",
    "generation": "id",
    "key": "id",
    "name": "name",
    "delivery": "id",
    "job": "id",
    "url": "id",
}

_MODELS = {
    "get": Operation(
        id="list_models",
        tag="Catalog",
        summary="Models",
        description="Every model that your key may call, with its prices.",
        answer="ModelListResponse",
        parameters=(
            _query("provider", "Only this provider's.", type="string"),
            _query("type", "Only models of this type.", type="string", enum=list(MODEL_TYPES)),
            _query("sort", "By what.", type="string", enum=list(SORTS), default="id"),
            _query("order", "Up or down.", type="string", enum=list(ORDERS), default="asc"),
            _query(
                "limit", "How many; all without it.", type="integer", minimum=1, maximum=LIMIT_MAX
            ),
            _query(
                "offset", "How many are left out first.", type="integer", minimum=0,
                maximum=OFFSET_MAX, default=0,
            ),
        ),
    )
}  # fmt: skip
_KEYS = {
    "get": Operation(
        id="list_keys",
        tag="Keys",
        summary="Keys",
        description="The organization's keys, newest first. A key that does not manage keys sees "
        "itself alone.",
        answer=accounts.KeyListSerializer,
        query=accounts.KeyListQuery,
    ),
    "post": Operation(
        id="create_key",
        tag="Keys",
        summary="Make a key",
        description="The secret is in this answer and in no other. A key can do no more than the "
        "one that makes it.",
        answer=accounts.NewKeySerializer,
        status=201,
        body=accounts.KeyCreateSerializer,
        errors=BODY,
        example={"name": "ci", "allowed_models": ["sandbox/echo"], "limits": {"rpm": 60}},
    ),
}
_KEY = {
    "get": Operation(
        id="get_key",
        tag="Keys",
        summary="One key",
        answer=accounts.KeySerializer,
        errors=(404,),
    ),
    "patch": Operation(
        id="change_key",
        tag="Keys",
        summary="Change a key",
        description="What is not named stays.",
        answer=accounts.KeySerializer,
        body=accounts.KeyChangeSerializer,
        errors=(404, *BODY),
        example={"name": "ci, slower", "limits": {"rpm": 30, "concurrent": 2}},
    ),
    "delete": Operation(
        id="revoke_key",
        tag="Keys",
        summary="Revoke a key",
        description="At once and for good, in every process within a second.",
        answer=accounts.KeySerializer,
        errors=(404,),
    ),
}
_ROTATION = {
    "post": Operation(
        id="rotate_key",
        tag="Keys",
        summary="Give a key a new secret",
        description="The id, name and limits stay. The secret before is good for "
        "`overlap_seconds` more.",
        answer=accounts.RotatedKeySerializer,
        body=accounts.RotationSerializer,
        errors=(404, *BODY),
        example={"overlap_seconds": 3600},
    )
}
_GENERATIONS = {
    "get": Operation(
        id="list_generations",
        tag="Money",
        summary="Receipts",
        description="Your requests, newest first. With `Accept: text/csv`: all of them, as CSV.",
        answer=billing.GenerationListSerializer,
        query=billing.GenerationsQuery,
        has_sheet=True,
    )
}

_GROUPS = {
    "get": Operation(
        id="list_groups",
        tag="Groups",
        summary="Groups",
        description="Your organization's own, then the platform's.",
        answer=grouped.GroupListSerializer,
    ),
    "post": Operation(
        id="create_group",
        tag="Groups",
        summary="Make a group",
        description="Its aliases work under `/{name}/…` within a second.",
        answer=grouped.GroupSerializer,
        status=201,
        body=grouped.GroupCreateSerializer,
        errors=BODY,
        example={"name": "agents", "aliases": {"claude-*": ["sandbox/echo"]}},
    ),
}
_GROUP = {
    "get": Operation(
        id="get_group",
        tag="Groups",
        summary="One group",
        answer=grouped.GroupSerializer,
        errors=(404,),
    ),
    "put": Operation(
        id="change_group",
        tag="Groups",
        summary="Change a group",
        description="Of your own. What is not named has its default.",
        answer=grouped.GroupSerializer,
        body=grouped.GroupChangeSerializer,
        errors=(404, *BODY),
        example={"aliases": {"claude-*": ["sandbox/echo"]}, "balance": "round_robin"},
    ),
    "delete": Operation(
        id="delete_group",
        tag="Groups",
        summary="Delete a group",
        description="Of your own. If it was active, `default` is active again.",
        answer=grouped.GroupSerializer,
        errors=(404,),
    ),
}
_ACTIVATION = {
    "post": Operation(
        id="activate_group",
        tag="Groups",
        summary="Make a group active",
        description="`/switch/…` means it, within a second in every process.",
        answer=grouped.ActiveGroupSerializer,
        errors=(404,),
    )
}

_SECRET = {
    "get": Operation(
        id="get_webhook_secret",
        tag="Webhooks",
        summary="The secret",
        description="Webhooks are signed with it, by Standard Webhooks; made on first use. For a "
        "key that manages keys.",
        answer=hooked.WebhookSecretSerializer,
    ),
    "post": Operation(
        id="rotate_webhook_secret",
        tag="Webhooks",
        summary="Make a new secret",
        description="The one before signs beside it for `overlap_seconds` more.",
        answer=hooked.WebhookSecretSerializer,
        body=hooked.SecretRotationSerializer,
        errors=BODY,
        example={"overlap_seconds": 3600},
    ),
}
_JOBS: dict[type[APIView], dict[str, Operation]] = {
    jobs.Jobs: {
        "get": Operation(
            id="list_image_jobs",
            tag="Images",
            summary="Jobs",
            description="Your orders of pictures, newest first, pictures as links.",
            answer="ImageJobListResponse",
            query=images.JobListQuery,
        )
    },
    jobs.JobDetail: {
        "get": Operation(
            id="get_image_job",
            tag="Images",
            summary="One job",
            description="How it stands; the pictures, once it is completed.",
            answer="MultimodalImageGenerationResponse",
            errors=(404,),
        ),
        "delete": Operation(
            id="cancel_image_job",
            tag="Images",
            summary="Give a job up",
            description="What nobody has begun with ends at once, and its money goes back. What a "
            "provider has is cancelled there; what it has delivered by then is charged. The answer "
            "says how the job stands.",
            answer="MultimodalImageGenerationResponse",
            errors=(404,),
        ),
    },
}
_WEBHOOKS: dict[type[APIView], dict[str, Operation]] = {
    hooks.WebhookSecret: _SECRET,
    hooks.Deliveries: {
        "get": Operation(
            id="list_webhook_deliveries",
            tag="Webhooks",
            summary="Deliveries",
            description="What was sent, or is on its way, newest first; for a week after its end.",
            answer=hooked.DeliveryListSerializer,
            query=hooked.DeliveryListQuery,
        )
    },
    hooks.DeliveryDetail: {
        "get": Operation(
            id="get_webhook_delivery",
            tag="Webhooks",
            summary="One delivery",
            description="With its attempts, and how each was answered.",
            answer=hooked.DeliveryDetailSerializer,
            errors=(404,),
        )
    },
    hooks.DeliveryReplay: {
        "post": Operation(
            id="replay_webhook_delivery",
            tag="Webhooks",
            summary="Send it again",
            description="At once, with the same `webhook-id`, and as often as a new one if it "
            "fails. Possible for a day after its end.",
            answer=hooked.DeliveryDetailSerializer,
            status=202,
            errors=(404,),
        )
    },
    hooks.DisabledUrls: {
        "get": Operation(
            id="list_disabled_webhook_urls",
            tag="Webhooks",
            summary="Disabled URLs",
            description="Those that have answered 410: nothing more is sent there.",
            answer=hooked.DisabledUrlListSerializer,
        )
    },
    hooks.DisabledUrlDetail: {
        "delete": Operation(
            id="enable_webhook_url",
            tag="Webhooks",
            summary="Let a URL have webhooks again",
            description="What it has missed can be replayed.",
            answer=hooked.DisabledUrlSerializer,
            errors=(404,),
        )
    },
}

OPERATIONS: dict[type[APIView], dict[str, Operation]] = {
    catalog.Models: _MODELS,
    catalog.ModelDetail: {
        "get": Operation(
            id="get_model",
            tag="Catalog",
            summary="One model",
            description="The slash of an id may stand as it is, or as `%2F`.",
            answer="ModelSummary",
            errors=(404,),
        )
    },
    catalog.Providers: {
        "get": Operation(
            id="list_providers",
            tag="Catalog",
            summary="Providers",
            answer="ProviderListResponse",
        )
    },
    catalog.ProviderDetail: {
        "get": Operation(
            id="get_provider",
            tag="Catalog",
            summary="One provider",
            description="Its models, and what the last hour measured.",
            answer="ProviderDetailResponse",
            errors=(404,),
        )
    },
    money.CreditsView: {
        "get": Operation(
            id="get_credits",
            tag="Money",
            summary="The balance",
            answer=billing.CreditsSerializer,
        )
    },
    money.GenerationsView: _GENERATIONS,
    money.GenerationView: {
        "get": Operation(
            id="get_generation",
            tag="Money",
            summary="One receipt",
            description="What one request was answered by, used and cost. The id is in "
            "`x-ccapi-generation-id` of its answer.",
            answer=billing.GenerationSerializer,
            errors=(404,),
        )
    },
    money.UsageView: {
        "get": Operation(
            id="get_usage",
            tag="Money",
            summary="Usage",
            description="Sums by day, key, model and provider, in days of the organization; the "
            "last 30 if no time is named, and 366 at most. With `Accept: text/csv`: as CSV.",
            answer=billing.UsageReportSerializer,
            query=billing.UsageQuery,
            has_sheet=True,
        )
    },
    groups.Groups: _GROUPS,
    groups.GroupDetail: _GROUP,
    groups.GroupActivation: _ACTIVATION,
    keys.Keys: _KEYS,
    keys.KeyDetail: _KEY,
    keys.KeyRotation: _ROTATION,
    **_JOBS,
    **_WEBHOOKS,
}
