"""How predictions stand by the clock, from nothing but their ids, and how Replicate tells it."""

import json
import re
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import pictures, predictions
from gateway.sandbox.failures import Failure, Refused
from gateway.sandbox.media_scenarios import ASYNC_IMAGES
from gateway.sandbox.replicate import Replicate
from gateway.sandbox.service import Asked

BEGAN = 1_800_000_000.0
API = Replicate()


def order(model: str, count: int = 1, gives_up_s: float = 120.0) -> str:
    return predictions.order(
        model,
        now=BEGAN,
        gives_up_s=gives_up_s,
        count=count,
        size=pictures.Size(64, 32),
        seed=pictures.seed_of("A fox"),
    )


def at(key: str, seconds: float) -> tuple[str, float]:
    found = predictions.found(key)
    assert found is not None
    standing = predictions.standing(key, *found, now=BEGAN + seconds)
    return standing.status, round(standing.progress, 2)


@pytest.mark.parametrize(
    ("model", "ends_s", "end"),
    [
        ("image", 2, "succeeded"),
        ("image-priced", 2, "succeeded"),
        ("image-partial", 2, "succeeded"),
        ("image-slow", 20, "succeeded"),
        ("image-slow.7.5", 7.5, "succeeded"),
        ("image-slow.300", 120, "canceled"),  # its order says so
        ("image-late-success", 60, "succeeded"),
        ("image-failed", 2, "failed"),
        ("image-content-filter.9", 9, "failed"),
        ("image-never-ends.200", 200, "aborted"),
    ],
)
def test_a_prediction_begins_is_at_work_and_ends(model: str, ends_s: float, end: str) -> None:
    key = order(model)

    assert at(key, 0.0) == ("starting", 0.0)
    assert at(key, ends_s - 0.5)[0] == "processing"
    assert at(key, ends_s) == (end, 1.0 if end == "succeeded" else 0.0)
    assert at(key, 10_000) == at(key, ends_s)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key)


def test_one_never_ends_and_two_orders_are_two() -> None:
    assert at(order("image-never-ends"), 10_000_000) == ("processing", 0.0)
    assert order("image") != order("image")


def test_given_up_it_is_cancelled_unless_it_is_too_late() -> None:
    early, late, ended = order("image-slow"), order("image-late-success"), order("image")
    for key in (early, late, ended):
        predictions.give_up(key, now=BEGAN + 5)
        predictions.give_up(key, now=BEGAN + 15)

    assert [at(key, 30)[0] for key in (early, late, ended)] == [
        "canceled",
        "succeeded",
        "succeeded",
    ]


def test_no_more_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "REMEMBERED_MAX", 2)
    monkeypatch.setattr(predictions, "_given_up", OrderedDict())
    keys = [order("image-slow") for _ in range(4)]
    for key in keys:
        predictions.give_up(key, now=BEGAN)

    assert [at(key, 5)[0] for key in keys] == ["processing", "processing", "canceled", "canceled"]


@given(st.text(alphabet="abcXYZ019-_", max_size=120))
def test_what_is_no_id_is_not_found(key: str) -> None:
    with pytest.raises(Refused) as refused:
        API.answer(Asked("GET", f"/v1/predictions/{key or '-'}", {}, b""))

    assert refused.value.failure.kind in ("not_found", "no_route")


def test_an_id_that_asks_for_too_much_is_none() -> None:
    huge = predictions.order(
        "image",
        now=BEGAN,
        gives_up_s=1,
        count=1000,
        size=pictures.Size(10**6, 10**6),
        seed=b"x" * 16,
    )

    assert predictions.found(huge) is None


def told(method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    asked = Asked(method, path, {"host": "sandbox:1", **headers}, json.dumps(body).encode())
    assert API.knows(method, path)
    found: dict[str, Any] = json.loads(
        b"".join(step for step in API.answer(asked).steps if isinstance(step, bytes))
    )
    return found


def create(model: str, **inputs: object) -> dict[str, Any]:
    path = f"/v1/models/ccapi-sandbox/{model}/predictions"
    return told("POST", path, {"input": {"prompt": "A fox", **inputs}})


def test_a_created_one_is_asked_after_cancelled_and_shown_by_its_links() -> None:
    begun = create("image-late-success", num_outputs=2, width=64, height=64)
    cancelled = told("POST", begun["urls"]["cancel"].removeprefix("http://sandbox:1"))
    ended = told("GET", begun["urls"]["get"].removeprefix("http://sandbox:1"))

    assert (begun["status"], begun["output"], begun["error"]) == ("starting", None, None)
    assert cancelled["status"] == ended["status"] == "succeeded"
    assert "100%" in ended["logs"]
    shown = [link.removeprefix("http://sandbox:1") for link in ended["output"]]
    drawn = [b"".join(API.answer(Asked("GET", path, {}, b"")).steps) for path in shown]  # type: ignore[arg-type]  # whole: all are bytes
    assert len(set(drawn)) == 2
    with pytest.raises(Refused):
        API.answer(Asked("GET", shown[0].replace("out-0", "out-2"), {}, b""))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("server-error", 500),
        ("server-error.502", 502),
        ("invalid-request", 422),
        ("rate-limited.9", 429),
        ("overloaded", 503),
        ("invalid-key", 401),
    ],
)
def test_an_order_is_refused_in_replicates_words(name: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        create(f"image-{name}")

    given_status, body = API.failure(refused.value.failure, "req_1")
    problem = json.loads(body)
    assert given_status == problem["status"] == status
    assert problem["detail"]
    assert problem.get("retry_after") == (9 if status == 429 else None)


@pytest.mark.parametrize(
    "inputs", [{"prompt": ""}, {"num_outputs": 11}, {"width": 8}, {"height": "tall"}]
)
def test_a_wrong_input_is_refused_and_so_is_a_model_that_there_is_not(
    inputs: dict[str, object],
) -> None:
    for model, given_inputs in (("image", inputs), ("nothing", {})):
        with pytest.raises(Refused):
            create(model, **given_inputs)


def test_every_failure_has_words() -> None:
    for kind in ("invalid", "invalid_json", "too_large", "no_route", "server", "content_filter"):
        status, body = API.failure(Failure(kind=kind), "req_1")
        assert status >= 400
        assert json.loads(body)["detail"]


def test_every_model_of_the_table_can_be_ordered_or_refuses() -> None:
    for name in ASYNC_IMAGES:
        assert predictions.chosen_of(name) is not None
