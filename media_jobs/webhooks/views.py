"""/webhooks/secret, /webhooks/deliveries and their replay, /webhooks/disabled."""

from datetime import datetime

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from accounts.types import Caller
from ccapi.core.strict import validated
from media_jobs.webhooks import customers, signing
from media_jobs.webhooks.models import Secret
from media_jobs.webhooks.serializers import (
    DeliveryDetailSerializer,
    DeliveryListQuery,
    DeliveryListSerializer,
    DisabledUrlListSerializer,
    DisabledUrlSerializer,
    SecretRotationSerializer,
    WebhookSecretSerializer,
)


class WebhookSecret(APIView):
    def get(self, request: Request) -> Response:
        caller = caller_of(request)
        return Response(_told(caller, *customers.secret(caller)))

    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        body = validated(SecretRotationSerializer(data=request.data))
        return Response(_told(caller, *customers.rotate(caller, overlap_s=body["overlap_seconds"])))


class Deliveries(APIView):
    def get(self, request: Request) -> Response:
        query = validated(DeliveryListQuery(data=request.query_params))
        rows, after = customers.page(
            caller_of(request),
            limit=query["limit"],
            after=query["cursor"],
            state=query["state"],
            event=query["event"],
        )
        return Response(DeliveryListSerializer({"data": rows, "next_cursor": after}).data)


class DeliveryDetail(APIView):
    def get(self, request: Request, delivery: str) -> Response:
        found = customers.find(caller_of(request), delivery)
        return Response(DeliveryDetailSerializer(found).data)


class DeliveryReplay(APIView):
    def post(self, request: Request, delivery: str) -> Response:
        found = customers.replay(caller_of(request), delivery)
        return Response(DeliveryDetailSerializer(found).data, status=status.HTTP_202_ACCEPTED)


class DisabledUrls(APIView):
    def get(self, request: Request) -> Response:
        rows = customers.disabled(caller_of(request))
        return Response(DisabledUrlListSerializer({"data": rows}).data)


class DisabledUrlDetail(APIView):
    def delete(self, request: Request, url: str) -> Response:
        return Response(DisabledUrlSerializer(customers.enable(caller_of(request), url)).data)


def _told(caller: Caller, row: Secret, secret: str) -> object:
    old_until: datetime | None = signing.old_until(caller.organization_id)
    context = {"secret": secret, "old_until": old_until}
    return WebhookSecretSerializer(row, context=context).data
