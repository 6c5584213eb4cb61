import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from structlog.testing import capture_logs

from ccapi.core import metrics

pytestmark = pytest.mark.urls(__name__)

urlpatterns = [path("things/<str:name>", lambda _request, name: HttpResponse(name))]


def test_a_route_is_told_as_its_pattern_and_an_unknown_one_not_at_all() -> None:
    with capture_logs() as lines:
        Client().get("/things/secret-name")
        Client().get("/nowhere/secret-name")

    finished = [line for line in lines if line["event"] == "request.finished"]
    assert [(line["route"], line["status"]) for line in finished] == [
        ("/things/<str:name>", 200),
        ("unknown", 404),
    ]
    assert "secret-name" not in str(lines)


def test_a_method_of_the_clients_own_making_is_no_label() -> None:
    before = metrics.HTTP_REQUESTS.value(("/things/<str:name>", "other", "200"))

    Client().generic("BREW", "/things/tea")

    assert metrics.HTTP_REQUESTS.value(("/things/<str:name>", "other", "200")) == before + 1
