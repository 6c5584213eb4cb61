"""GET /models, /models/{id}, /providers, /providers/{name}."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts import api as accounts
from catalog import api, health
from catalog.types import Health
from tests.catalog.catalog_documents import model


class Api:
    """A client with a key."""

    def __init__(self, secret: str) -> None:
        self._client = Client(headers={"authorization": f"Bearer {secret}"})

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 — JSON
        response = self._client.get(path, query)
        assert response.status_code == 200, response.content
        return response.json()

    def fails(self, path: str, status: int, **query: str) -> dict[str, Any]:
        response = self._client.get(path, query)
        assert response.status_code == status, response.content
        error: dict[str, Any] = response.json()["error"]
        return error


def key(*allowed: str) -> Api:
    organization = accounts.create_organization("Test", "test@example.com")
    return Api(accounts.create_key(organization, name="k", allowed_models=allowed).secret)


@pytest.fixture
def client(catalog: None) -> Api:
    return key()


def ids(answer: dict[str, Any]) -> list[str]:
    return [each["id"] for each in answer["data"]]


@pytest.mark.parametrize("path", ["/models", "/v1/models"])
def test_the_list_has_one_shape_for_every_client(client: Api, path: str) -> None:
    found = client.get(path)

    assert ids(found) == ["alpha/one", "alpha/two", "beta/draw", "beta/one"]
    assert {key: value for key, value in found.items() if key != "data"} == {
        "object": "list",
        "total": 4,
        "limit": None,
        "offset": 0,
        "first_id": "alpha/one",
        "last_id": "beta/one",
        "has_more": False,
    }
    first = found["data"][0]
    assert first["object"] == first["type"] == "model"
    assert first["owned_by"] == "alpha"
    assert first["created_at"].endswith("Z")
    assert first["provider"] == {"name": "alpha", "display_name": "Alpha", "is_fundamental": True}
    assert first["ccapi"] == {
        "display_name": "alpha/one",
        "type": "chat",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "capabilities": {
            "context_length": 1000,
            "max_output_tokens": 1024,
            "streaming": True,
            "function_calling": False,
            "vision": True,
            "json_mode": False,
            "reasoning": False,
        },
        "pricing": {
            "currency": "USD",
            "unit": "per_million_tokens",
            "input": "1.00",
            "output": "2.00",
        },
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"provider": "beta"}, ["beta/draw", "beta/one"]),
        ({"type": "image"}, ["beta/draw"]),
        ({"type": "audio"}, []),
        ({"order": "desc"}, ["beta/one", "beta/draw", "alpha/two", "alpha/one"]),
        ({"sort": "price"}, ["alpha/two", "alpha/one", "beta/one", "beta/draw"]),
        ({"sort": "price", "order": "desc"}, ["beta/one", "alpha/one", "alpha/two", "beta/draw"]),
        ({"sort": "context_length"}, ["alpha/one", "alpha/two", "beta/one", "beta/draw"]),
        ({"sort": "created"}, ["alpha/one", "alpha/two", "beta/draw", "beta/one"]),
        ({"provider": "", "type": "", "whatever": "x"},
         ["alpha/one", "alpha/two", "beta/draw", "beta/one"]),
    ],
)  # fmt: skip
def test_the_list_is_filtered_and_sorted(
    client: Api, query: dict[str, str], expected: list[str]
) -> None:
    assert ids(client.get("/models", **query)) == expected


def test_pages_cover_the_list_once(client: Api) -> None:
    first = client.get("/models", limit="3")
    rest = client.get("/models", limit="3", offset="3")
    beyond = client.get("/models", limit="3", offset="9")

    assert ids(first) + ids(rest) == ["alpha/one", "alpha/two", "beta/draw", "beta/one"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (first["limit"], first["total"], rest["offset"]) == (3, 4, 3)
    assert (first["last_id"], rest["first_id"]) == ("beta/draw", "beta/one")
    assert (beyond["data"], beyond["first_id"], beyond["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    ("query", "param", "allowed"),
    [
        ({"type": "video"}, "type", "chat, image, audio, embedding"),
        ({"sort": "name"}, "sort", "id, created, price, context_length"),
        ({"order": "up"}, "order", "asc, desc"),
        ({"provider": "nobody"}, "provider", "alpha, beta"),
        ({"limit": "0"}, "limit", "from 1 to 1000"),
        ({"limit": "many"}, "limit", "from 1 to 1000"),
        ({"limit": "٣"}, "limit", "from 1 to 1000"),
        ({"offset": "-1"}, "offset", "from 0 to"),
        ({"offset": "99999999999999999999"}, "offset", "from 0 to"),
    ],
)
def test_a_wrong_value_names_the_allowed_ones(
    client: Api, query: dict[str, str], param: str, allowed: str
) -> None:
    error = client.fails("/models", 400, **query)

    assert (error["code"], error["param"]) == ("invalid_parameter", param)
    assert allowed in error["message"]


@pytest.mark.parametrize("path", ["/models/alpha/two", "/v1/models/alpha%2Ftwo", "/models/two"])
def test_a_model_is_found_by_its_id_with_slashes(client: Api, path: str) -> None:
    found = client.get(path)

    assert found["id"] == "alpha/two"
    assert found["ccapi"]["pricing"]["input"] == "0.10"


def test_an_unknown_model_is_a_404_that_names_near_ones(client: Api) -> None:
    error = client.fails("/models/alpha/tow", 404)

    assert error["code"] == "model_not_found"
    assert "alpha/two" in error["details"]["similar"]


def test_a_key_sees_its_allowed_models_only(catalog: None) -> None:
    client = key("alpha/two", "beta/draw")

    assert ids(client.get("/models")) == ["alpha/two", "beta/draw"]
    assert client.get("/providers/alpha")["model_count"] == 1
    error = client.fails("/models/alpha/one", 404)
    assert "alpha/one" not in error["details"]["similar"]


@pytest.mark.parametrize(
    "path", ["/models", "/v1/models/alpha/one", "/providers", "/v1/providers/alpha"]
)
def test_nobody_sees_the_catalog_without_a_key(catalog: None, path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"


def test_prices_each_and_tiers_are_told_exactly(client: Api) -> None:
    api.import_document(
        {
            "models": [
                model(
                    "alpha/one",
                    prices={"input": "0.0375", "output": "1.333333333333", "web_search": "0.01"},
                    tiers=[{"above_input_tokens": 200_000, "prices": {"input": "0.075"}}],
                )
            ]
        }
    )

    pricing = client.get("/models/alpha/one")["ccapi"]["pricing"]
    assert pricing["input"] == "0.0375"
    assert pricing["output"] == "1.333333333333"
    assert pricing["web_search"] == "0.01"
    assert pricing["tiers"] == [
        {
            "above_input_tokens": 200_000,
            "input": "0.075",
            "output": "1.333333333333",
            "web_search": "0.01",
        }
    ]


def test_providers_are_listed_with_what_they_have(client: Api) -> None:
    found = client.get("/v1/providers")

    assert found["total"] == 2
    assert found["data"][1] == {
        "name": "beta",
        "object": "provider",
        "display_name": "Beta",
        "is_fundamental": False,
        "description": "",
        "website": "",
        "types": ["chat", "image"],
        "model_count": 2,
        "status": "operational",
    }


@pytest.fixture
def measured() -> Iterator[None]:
    def measure(provider: str) -> Health:
        if provider != "alpha":
            return Health()
        return Health(
            status="degraded",
            success_rate=0.875,
            latency_ms_p50=800,
            latency_ms_p95=2400,
            time_to_first_token_ms=310,
        )

    before = health._measured
    api.register_health(measure)
    yield
    health._measured = before


def test_a_provider_tells_what_was_measured_and_null_where_nothing_was(
    client: Api, measured: None
) -> None:
    alpha, beta = client.get("/providers/alpha"), client.get("/providers/beta")

    assert [each["id"] for each in alpha["models"]] == ["alpha/one", "alpha/two"]
    assert (alpha["status"], alpha["success_rate"]) == ("degraded", 0.875)
    assert alpha["latency_ms"] == {"p50": 800, "p95": 2400}
    assert alpha["time_to_first_token_ms"] == 310
    assert (beta["status"], beta["success_rate"]) == ("operational", None)
    assert beta["latency_ms"] == {"p50": None, "p95": None}


@pytest.mark.parametrize("name", ["nobody", "off", "waits"])
def test_a_provider_that_cannot_be_called_is_not_found(client: Api, name: str) -> None:
    assert client.fails(f"/providers/{name}", 404)["code"] == "provider_not_found"


def test_no_answer_carries_a_key_or_an_address(client: Api) -> None:
    for path in ("/models", "/providers", "/providers/alpha", "/models/alpha/one"):
        text = str(client.get(path))
        assert "key-of" not in text
        assert "alpha.example/v1" not in text


def test_a_picture_is_told_by_the_picture_with_its_variants(client: Api) -> None:
    api.import_document(
        {
            "models": [
                model(
                    "beta/draw",
                    type="image",
                    prices={"image": "0.04"},
                    variants={"1024x1024/hd": {"image": "0.08"}, "auto": {"image": "0.05"}},
                ),
                model("beta/voice", type="audio", prices={"input_characters": "15"}),
                model("beta/tokens", type="image", prices={"input": "5", "output_image": "40"}),
            ]
        }
    )

    told = {
        name: client.get(f"/models/beta/{name}")["ccapi"]["pricing"]
        for name in ("draw", "voice", "tokens")
    }

    assert told["draw"] == {
        "currency": "USD",
        "unit": "per_image",
        "image": "0.04",
        "variants": {"1024x1024/hd": {"image": "0.08"}, "auto": {"image": "0.05"}},
    }
    assert told["voice"] == {
        "currency": "USD",
        "unit": "per_million_characters",
        "input_characters": "15.00",
    }
    assert told["tokens"]["unit"] == "per_million_tokens"
