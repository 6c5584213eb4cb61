"""GET and POST /keys, GET, PATCH and DELETE /keys/{id}, POST /keys/{id}/rotate."""

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import keyring
from accounts.permissions import caller_of
from accounts.serializers import (
    KeyChangeSerializer,
    KeyCreateSerializer,
    KeyListQuery,
    KeyListSerializer,
    KeySerializer,
    NewKeySerializer,
    RotatedKeySerializer,
    RotationSerializer,
)
from ccapi.core.strict import validated


class Keys(APIView):
    def get(self, request: Request) -> Response:
        query = validated(KeyListQuery(data=request.query_params))
        rows, after = keyring.page(caller_of(request), limit=query["limit"], after=query["cursor"])
        return Response(KeyListSerializer({"data": rows, "next_cursor": after}).data)

    def post(self, request: Request) -> Response:
        body = validated(KeyCreateSerializer(data=request.data))
        key, secret = keyring.create(caller_of(request), **body)
        made = NewKeySerializer(key, context={"secret": secret})
        return Response(made.data, status=status.HTTP_201_CREATED)


class KeyDetail(APIView):
    def get(self, request: Request, key: str) -> Response:
        return Response(KeySerializer(keyring.find(caller_of(request), key)).data)

    def patch(self, request: Request, key: str) -> Response:
        body = validated(KeyChangeSerializer(data=request.data))
        return Response(KeySerializer(keyring.change(caller_of(request), key, **body)).data)

    def delete(self, request: Request, key: str) -> Response:
        return Response(KeySerializer(keyring.revoke(caller_of(request), key)).data)


class KeyRotation(APIView):
    def post(self, request: Request, key: str) -> Response:
        body = validated(RotationSerializer(data=request.data))
        found, secret = keyring.rotate(caller_of(request), key, overlap_s=body["overlap_seconds"])
        return Response(RotatedKeySerializer(found, context={"secret": secret}).data)
