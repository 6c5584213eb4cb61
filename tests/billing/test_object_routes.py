"""Every route that names an object refuses another organization's as if there were none.

Generated from the URL map: a new route is tested by itself, and one with a parameter that is not
known here fails until it is said whose object it names.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from accounts import api as accounts
from accounts.models import ApiKey
from ccapi.core.ids import generation_id, job_id, uuid7
from ccapi.urls import rest
from media_jobs.webhooks import api as webhooks
from media_jobs.webhooks.models import Delivery, DisabledUrl
from tests.billing.money import Bank, open_bank
from tests.billing.usage_rows import add
from tests.media_jobs.rows import job

METHODS = ("get", "post", "put", "patch", "delete")
# What belongs to nobody: the catalog is everybody's.
SHARED = {"model_id", "name"}


def _key(bank: Bank) -> str:
    return accounts.create_key(bank.caller.organization, name="an object").key


def _generation(bank: Bank) -> str:
    return generation_id(add(bank)[0])


def _job(bank: Bank) -> str:
    caller = bank.caller
    whose = {"organization_id": caller.organization_id, "key_id": caller.key_id}
    return job(**whose, state="cancelled", finished_at=timezone.now()).public_id


def _delivery(bank: Bank) -> str:
    whose = bank.organization
    webhooks.enqueue(
        organization_id=whose, url="https://hooks.example/", event_id="job_1", payload=b"{}"
    )
    return Delivery.objects.get(organization=whose).public_id


def _url(bank: Bank) -> str:
    return DisabledUrl.objects.create(
        organization_id=bank.organization, url="https://hooks.example/"
    ).public_id


# Parameter → how an organization comes by such an object, and an id that names none.
OWNED: dict[str, tuple[Callable[[Bank], str], Callable[[], str]]] = {
    "key": (_key, lambda: "key_00000000000000000000"),
    "generation": (_generation, lambda: generation_id(uuid7())),
    "job": (_job, lambda: job_id(uuid7())),
    "delivery": (_delivery, lambda: f"dlv_{uuid7().hex}"),
    "url": (_url, lambda: f"url_{uuid7().hex}"),
}


def _patterns(urls: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in urls:
        route = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _patterns(each.url_patterns, route)
        else:
            yield route, each.callback


def _objects() -> list[tuple[str, str, str]]:
    """Route, its parameter, and each method that it answers."""
    found = []
    for route, view in _patterns(rest):
        names = re.findall(r"<(?:\w+:)?(\w+)>", route)
        if not names or set(names) <= SHARED:
            continue
        (name,) = names  # two would need two objects of one owner
        found += [(route, name, each) for each in METHODS if hasattr(view.view_class, each)]
    return found


def _ask(bank: Bank, method: str, route: str, name: str, value: str) -> tuple[int, str]:
    path = "/v1/" + re.sub(rf"<(?:\w+:)?{name}>", value, route)
    answer = getattr(Client(), method)(
        path,
        **({} if method == "get" else {"data": {}, "content_type": "application/json"}),
        headers={"authorization": f"Bearer {bank.secret}"},
    )
    return answer.status_code, answer.content.decode().replace(value, "ID")


@pytest.fixture
def owner(db: None) -> Bank:
    bank = open_bank()
    ApiKey.objects.update(manages_keys=True)
    return bank


def test_there_are_routes_to_test() -> None:
    assert len(_objects()) >= 5


@pytest.mark.parametrize(("route", "name", "method"), _objects())
def test_anothers_object_is_not_there(owner: Bank, route: str, name: str, method: str) -> None:
    assert name in OWNED, f"{route}: say in OWNED whose {name!r} is, or in SHARED that it is all's"
    make, nothing = OWNED[name]
    stranger = open_bank("Stranger")
    ApiKey.objects.update(manages_keys=True)
    made = make(owner)

    theirs = _ask(stranger, method, route, name, made)
    none = _ask(stranger, method, route, name, nothing())

    assert theirs[0] == 404
    assert theirs == none  # nothing tells the two apart
    assert _ask(owner, method, route, name, made)[0] < 300  # and it was there all the while
