"""The organization's own money over REST: its balance, its requests' receipts, what it used."""

from typing import Any

from django.http import HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import key_pk, timezone_of
from accounts.permissions import caller_of
from billing import generations, reports
from billing.receipts import receipt, settled_balance
from billing.serializers import (
    CreditsSerializer,
    GenerationListSerializer,
    GenerationSerializer,
    GenerationsQuery,
    GenerationsSheetQuery,
    UsageQuery,
    UsageReportSerializer,
)
from ccapi.core import clock, sheets
from ccapi.core.errors import GenerationNotFound, InvalidParameter
from ccapi.core.ids import parse_generation_id
from ccapi.core.money import dollars
from ccapi.core.strict import QuerySerializer, validated

SECRET = "sk-"  # noqa: S105 — how a credential in `?key=` begins, which is no filter


class CreditsView(APIView):
    """GET /credits."""

    def get(self, request: Request) -> Response:
        wallet = settled_balance(caller_of(request).organization_id)
        amounts = {
            "balance": dollars(wallet.posted),
            "held": dollars(wallet.held),
            "available": dollars(wallet.available),
            "currency": "USD",
        }
        return Response(CreditsSerializer(amounts).data)


class GenerationView(APIView):
    """GET /generations/{id}."""

    def get(self, request: Request, generation: str) -> Response:
        request_id = parse_generation_id(generation)
        found = receipt(caller_of(request).organization_id, request_id) if request_id else None
        if found is None:
            raise GenerationNotFound(
                f"There is no finished generation {generation[:64]!r}. The id stands in the "
                "header x-ccapi-generation-id of each answer."
            )
        return Response(GenerationSerializer(found).data)


class Sheets(APIView):
    """A list that can be had as CSV. Errors are JSON all the same."""

    renderer_classes = (JSONRenderer, sheets.CSVRenderer)

    def handle_exception(self, exc: Exception) -> Response:
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = "application/json"
        return super().handle_exception(exc)


class GenerationsView(Sheets):
    """GET /generations, as JSON or CSV."""

    def get(self, request: Request) -> HttpResponseBase:
        as_sheet = sheets.wanted(request)
        given = _given(request, GenerationsSheetQuery if as_sheet else GenerationsQuery)
        query = generations.Query(
            organization_id=caller_of(request).organization_id,
            key_id=_key(request, given["key"]),
            model=given["model"],
            status=given["status"],
            since=given["from"],
            until=given["to"],
            before=generations.from_cursor(given["cursor"]) if given["cursor"] else None,
        )
        if as_sheet:
            return sheets.sheet("generations", generations.csv(query, given["limit"]))
        found, cursor = generations.page(query, given["limit"])
        return Response(GenerationListSerializer({"data": found, "next_cursor": cursor}).data)


class UsageView(Sheets):
    """GET /usage, as JSON or CSV."""

    def get(self, request: Request) -> HttpResponseBase:
        given = _given(request, UsageQuery)
        organization = caller_of(request).organization_id
        timezone = timezone_of(organization)
        since, until = reports.span(given["from"], given["to"], timezone=timezone, now=clock.now())
        query = reports.Query(
            organization_id=organization,
            timezone=timezone,
            since=since,
            until=until,
            group_by=reports.groups(given["group_by"].split(",")),
            key_id=_key(request, given["key"]),
            model=given["model"],
            provider=given["provider"],
        )
        if sheets.wanted(request):
            return sheets.sheet("usage", reports.csv(query))
        lines, total = reports.usage(query)
        report = {
            "from": since,
            "to": until,
            "timezone": timezone,
            "group_by": query.group_by,
            "data": lines,
            "total": total,
        }
        return Response(UsageReportSerializer(report).data)


def _given(request: Request, kind: type[QuerySerializer]) -> dict[str, Any]:
    """The query's parameters; days are the organization's."""
    parameters = request.query_params.dict()
    if parameters.get("key", "").startswith(SECRET):
        del parameters["key"]
    timezone = timezone_of(caller_of(request).organization_id)
    return validated(kind(data=parameters, context={"timezone": timezone}))


def _key(request: Request, public_id: str | None) -> int | None:
    """Raises: InvalidParameter for a key that this organization has not."""
    if public_id is None:
        return None
    found = key_pk(caller_of(request).organization_id, public_id)
    if found is None:
        raise InvalidParameter(f"key: there is no key {public_id!r}.", param="key")
    return found
