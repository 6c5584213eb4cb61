"""API keys on REST views, and the shape of what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts import api, keys
from accounts.models import ApiKey, Organization
from accounts.permissions import HasKey, KeyAuthentication, caller_of
from accounts.types import NewKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class WhoAmI(APIView):
    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasKey,)

    def get(self, request: Request) -> Response:
        caller = caller_of(request)
        return Response({"key": caller.key, "organization": caller.organization})


urlpatterns = [path("whoami", WhoAmI.as_view())]


@pytest.fixture
def key() -> NewKey:
    return api.create_key(api.create_organization("Example", "o@example.com"), name="first")


def ask(path: str = "/whoami", **headers: str) -> tuple[int, Any]:
    response = APIClient().get(path, headers=headers)
    return response.status_code, response.json()


def test_every_source_of_a_key_works_in_its_order(key: NewKey) -> None:
    wrong = keys.make().text

    assert ask(authorization=f"Bearer {key.secret}", **{"x-api-key": wrong})[0] == 200
    assert ask(**{"x-api-key": key.secret, "x-goog-api-key": wrong})[0] == 200
    assert ask(f"/whoami?key={key.secret}", **{"x-goog-api-key": wrong})[0] == 200
    assert ask(**{"x-goog-api-key": key.secret})[0] == 200
    assert ask(authorization=f"Bearer {wrong}", **{"x-api-key": key.secret})[0] == 401


def test_a_view_knows_its_caller(key: NewKey) -> None:
    _, body = ask(authorization=f"Bearer {key.secret}")

    assert body == {"key": key.key, "organization": key.organization}


def test_a_request_without_a_key_is_told_how_to_send_one() -> None:
    response = APIClient().get("/whoami")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    error = response.json()["error"]
    assert error["message"].startswith("Missing or invalid Authorization header")
    assert (error["type"], error["code"]) == ("invalid_request_error", "unauthorized")
    assert error["details"] == {}


def test_unknown_and_malformed_keys_get_the_same_answer() -> None:
    unknown = ask(authorization=f"Bearer {keys.make().text}")
    malformed = ask(authorization="Bearer nonsense")

    assert unknown == malformed
    assert unknown[0] == 401


def test_each_refusal_has_its_own_code(key: NewKey) -> None:
    Organization.objects.update(status="suspended")
    assert code(key) == (403, "account_suspended")
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert code(key) == (401, "key_expired")
    api.revoke_key(key.key)
    assert code(key) == (401, "key_revoked")


def code(key: NewKey) -> tuple[int, str]:
    status, body = ask(authorization=f"Bearer {key.secret}")
    return status, body["error"]["code"]


def test_use_is_noted_once_a_minute(key: NewKey) -> None:
    ask(authorization=f"Bearer {key.secret}")
    first = ApiKey.objects.get().last_used_at
    ask(authorization=f"Bearer {key.secret}")

    assert first is not None
    assert ApiKey.objects.get().last_used_at == first
