"""GET and POST /groups, GET, PUT and DELETE /groups/{name}, POST /groups/{name}/activate."""

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from accounts.types import Caller
from catalog.groups import registry
from catalog.groups.models import Group
from catalog.groups.serializers import (
    ActiveGroupSerializer,
    GroupChangeSerializer,
    GroupCreateSerializer,
    GroupListSerializer,
    GroupSerializer,
    entry_of,
)


class Groups(APIView):
    def get(self, request: Request) -> Response:
        caller = caller_of(request)
        active = registry.active(caller)
        told = {"data": registry.visible(caller), "active": active, "object": "list"}
        return Response(GroupListSerializer(told, context={"active": active}).data)

    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        entry = entry_of(GroupCreateSerializer(data=request.data))
        made = registry.create(caller, entry)
        return Response(_told(caller, made), status=status.HTTP_201_CREATED)


class GroupDetail(APIView):
    def get(self, request: Request, name: str) -> Response:
        caller = caller_of(request)
        return Response(_told(caller, registry.find(caller, name)))

    def put(self, request: Request, name: str) -> Response:
        caller = caller_of(request)
        found = registry.find(caller, name)
        entry = entry_of(GroupChangeSerializer(data=request.data, context={"name": found.name}))
        return Response(_told(caller, registry.change(caller, name, entry)))

    def delete(self, request: Request, name: str) -> Response:
        caller = caller_of(request)
        return Response(_told(caller, registry.delete(caller, name)))


class GroupActivation(APIView):
    def post(self, request: Request, name: str) -> Response:
        caller = caller_of(request)
        registry.activate(caller, name)
        told = {"active": registry.active(caller), "object": "active_group"}
        return Response(ActiveGroupSerializer(told).data)


def _told(caller: Caller, group: Group) -> object:
    return GroupSerializer(group, context={"active": registry.active(caller)}).data
