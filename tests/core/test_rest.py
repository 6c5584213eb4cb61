"""Every way in which Django and REST framework can fail, as a customer sees it."""

import asyncio
import re
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.http import require_GET
from pytest_django import Settings
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from ccapi.core import rest
from ccapi.core.errors import PaymentRequired, RateLimited
from ccapi.core.json_body import StrictJSONParser

pytestmark = pytest.mark.urls(__name__)

RAISED: dict[str, Exception] = {
    "parse": exceptions.ParseError("bad"),
    "anonymous": exceptions.NotAuthenticated(),
    "wrong": exceptions.AuthenticationFailed(),
    "denied": exceptions.PermissionDenied(),
    "missing": exceptions.NotFound(),
    "throttled": exceptions.Throttled(wait=2.4),
    "accept": exceptions.NotAcceptable(),
    "database": OperationalError("connection to 10.0.0.7 refused"),
    "money": PaymentRequired("No credit.", details={"required": "1.00"}),
    "rate": RateLimited("Slow down.", retry_after=3),
    "django-denied": PermissionDenied("internal reason"),
    "suspicious": SuspiciousOperation("internal reason"),
    "fault": ZeroDivisionError("internal reason"),
    "rest-fault": exceptions.APIException("internal reason"),
}


class Limits(serializers.Serializer[Any]):
    rpm = serializers.IntegerField(min_value=0)


class Body(serializers.Serializer[Any]):
    name = serializers.CharField()
    limits = Limits(required=False)
    items = serializers.ListField(child=Limits(), required=False)

    def validate_name(self, name: str) -> str:
        if name == "bad":
            raise serializers.ValidationError("That is a bad name.")
        return name


class Open(APIView):
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser,)


class Raising(Open):
    def get(self, request: Request, name: str) -> Response:
        raise RAISED[name]


class Checking(Open):
    def post(self, request: Request) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.data)


def plain(request: HttpRequest, name: str) -> HttpResponse:
    raise RAISED[name]


@require_GET
def only_get(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


urlpatterns = [
    path("rest/<str:name>", Raising.as_view()),
    path("plain/<str:name>", plain),
    path("check", Checking.as_view()),
    path("only-get", only_get),
]
handler400 = rest.bad_request
handler403 = rest.permission_denied
handler404 = rest.not_found
handler500 = rest.server_error


@pytest.fixture(autouse=True)
def middleware(settings: Settings) -> None:
    settings.MIDDLEWARE = ["ccapi.core.rest.RequestIdMiddleware", "ccapi.core.rest.ErrorMiddleware"]


def get(path: str, **headers: str) -> Any:  # noqa: ANN401 — the test client's response
    return APIClient(raise_request_exception=False).get(path, headers=headers)


def shape(response: Any) -> tuple[int, str, str]:  # noqa: ANN401
    """Status, type and code, after checking all that every error has."""
    assert response.headers["content-type"] == "application/json"
    assert re.fullmatch(r"req_[0-9a-f]{32}", response.headers["x-request-id"])
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code", "details"} | (
        {"param"} if response.status_code == 400 else set()
    )
    assert "internal reason" not in response.content.decode()
    assert "10.0.0.7" not in response.content.decode()
    return response.status_code, error["type"], error["code"]


@pytest.mark.parametrize(
    ("name", "status", "type_", "code"),
    [
        ("parse", 400, "invalid_request_error", "invalid_json"),
        ("anonymous", 401, "invalid_request_error", "unauthorized"),
        ("wrong", 401, "invalid_request_error", "unauthorized"),
        ("denied", 403, "permission_error", "endpoint_not_allowed"),
        ("missing", 404, "invalid_request_error", "route_not_found"),
        ("throttled", 429, "rate_limit_error", "requests_per_minute"),
        ("accept", 400, "invalid_request_error", "invalid_parameter"),
        ("database", 503, "api_error", "billing_unavailable"),
        ("money", 402, "billing_error", "insufficient_credits"),
        ("rate", 429, "rate_limit_error", "requests_per_minute"),
        ("django-denied", 403, "permission_error", "endpoint_not_allowed"),
        ("suspicious", 400, "invalid_request_error", "invalid_parameter"),
        ("fault", 500, "internal_error", "internal_error"),
        ("rest-fault", 500, "internal_error", "internal_error"),
    ],
)
def test_whatever_a_rest_view_raises_has_our_shape(
    name: str, status: int, type_: str, code: str
) -> None:
    assert shape(get(f"/rest/{name}")) == (status, type_, code)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("database", 503, "billing_unavailable"),
        ("money", 402, "insufficient_credits"),
        ("django-denied", 403, "endpoint_not_allowed"),
        ("suspicious", 400, "invalid_parameter"),
        ("fault", 500, "internal_error"),
    ],
)
def test_whatever_a_plain_view_raises_has_our_shape(name: str, status: int, code: str) -> None:
    found_status, _, found_code = shape(get(f"/plain/{name}"))

    assert (found_status, found_code) == (status, code)


def test_a_fault_tells_the_request_id_and_nothing_else() -> None:
    response = get("/rest/fault")

    assert response.json()["error"] == {
        "message": "Internal error.",
        "type": "internal_error",
        "code": "internal_error",
        "details": {"request_id": response.headers["x-request-id"]},
    }


def test_waiting_times_and_details_reach_the_client() -> None:
    assert get("/rest/throttled").headers["retry-after"] == "3"
    assert get("/rest/rate").headers["retry-after"] == "3"
    assert get("/rest/database").headers["retry-after"] == "2"
    assert get("/rest/money").headers["x-should-retry"] == "false"
    assert get("/rest/money").json()["error"]["details"] == {"required": "1.00"}
    assert get("/rest/anonymous").headers["www-authenticate"] == "Bearer"


def test_an_unknown_route_is_named() -> None:
    response = get("/nowhere/at/all")

    assert shape(response) == (404, "invalid_request_error", "route_not_found")
    assert "/nowhere/at/all" in response.json()["error"]["message"]


def test_a_browser_gets_a_page() -> None:
    response = get("/nowhere", accept="text/html,application/xhtml+xml")

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


def test_a_wrong_method_has_our_shape_on_rest_and_on_plain_views() -> None:
    for path_ in ("/rest/fault", "/only-get"):
        response = APIClient().delete(path_)
        assert shape(response) == (405, "invalid_request_error", "method_not_allowed")
        assert "GET" in response.headers["allow"]


def post(body: str, content_type: str = "application/json") -> Any:  # noqa: ANN401
    return Client().post("/check", body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("{}", "missing_parameter", "name"),
        ('{"name": "bad"}', "invalid_parameter", "name"),
        ('{"name": "a", "limits": {}}', "missing_parameter", "limits.rpm"),
        ('{"name": "a", "limits": {"rpm": -1}}', "invalid_parameter", "limits.rpm"),
        ('{"name": "a", "limits": 1}', "invalid_parameter", "limits"),
        ('{"name": "a", "items": [{"rpm": 1}, {"rpm": "x"}]}', "invalid_parameter", "items.1.rpm"),
        ("[]", "invalid_parameter", None),
        ('{"name": NaN}', "invalid_json", None),
        ("[" * 70 + "]" * 70, "invalid_json", None),
        ('{"name": "a\\u0000"}', "invalid_json", None),
    ],
)
def test_a_bad_body_names_what_is_wrong(body: str, code: str, param: str | None) -> None:
    response = post(body)

    assert shape(response) == (400, "invalid_request_error", code)
    assert response.json()["error"]["param"] == param


def test_another_content_type_is_refused_in_our_shape() -> None:
    response = post("<name/>", "application/xml")

    assert shape(response) == (400, "invalid_request_error", "invalid_parameter")


def test_every_answer_has_its_own_request_id() -> None:
    ids = {get("/only-get").headers["x-request-id"] for _ in range(10)}

    assert len(ids) == 10


def test_the_middlewares_work_on_an_event_loop_too() -> None:
    async def main() -> None:
        response = await AsyncClient().get("/only-get")
        assert response.headers["x-request-id"].startswith("req_")
        assert shape(await AsyncClient().delete("/only-get"))[0] == 405
        assert shape(await AsyncClient().get("/plain/money"))[0] == 402

    asyncio.run(main())
