"""/keys, as a customer sees it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import api, keyring
from accounts.keys import is_well_formed
from accounts.models import ApiKey, KeyRevision
from accounts.permissions import authenticate
from accounts.types import Limits, NewKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.urls")]


class Customer:
    """Someone with a key."""

    def __init__(self, key: NewKey) -> None:
        self.key = key.key
        self.organization = key.organization
        self.secret = key.secret
        self._client = APIClient()

    def ask(self, method: str, path: str, body: object = None, **query: str) -> Any:  # noqa: ANN401
        address = path + "?" + "&".join(f"{name}={value}" for name, value in query.items())
        send = getattr(self._client, method)
        headers = {"authorization": f"Bearer {self.secret}"}
        if body is None:
            answer = send(address, headers=headers)
        else:
            answer = send(address, data=body, format="json", headers=headers)
        return answer

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 — JSON
        return self.ask("get", path, **query).json()

    def make(self, **body: Any) -> Any:  # noqa: ANN401 — JSON
        answer = self.ask("post", "/keys", {"name": "child", **body})
        assert answer.status_code == 201, answer.content
        return answer.json()

    def using(self, made: dict[str, Any]) -> "Customer":
        """The same person with a key that was made."""
        return Customer(NewKey(key=made["id"], secret=made["key"], organization=self.organization))


@pytest.fixture
def customer() -> Customer:
    organization = api.create_organization("Example", "owner@example.com")
    return Customer(api.create_key(organization, name="first", manages_keys=True))


@pytest.fixture
def bounded(customer: Customer) -> Customer:
    """A key that manages keys, within bounds."""
    ends = timezone.now() + timedelta(days=10)
    made = api.create_key(
        customer.organization,
        name="bounded",
        allowed_models=["a/x", "b/y"],
        limits=Limits(rpm=100, concurrent=5),
        expires_at=ends,
        manages_keys=True,
    )
    return Customer(made)


def told(answer: Any) -> tuple[int, str, str | None]:  # noqa: ANN401 — the test client's own
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("param")


def test_a_new_key_is_told_with_its_secret_once(customer: Customer) -> None:
    ends = timezone.now() + timedelta(days=1)
    body = {
        "name": " ci ",
        "allowed_models": ["b/y", "a/x", "a/x"],
        "limits": {"rpm": 10, "tpm": None},
        "expires_at": ends.isoformat(),
    }

    made = customer.make(**body)

    secret = made.pop("key")
    assert is_well_formed(secret)
    row = ApiKey.objects.get(public_id=made["id"])
    assert made == {
        "id": row.public_id,
        "name": "ci",
        "prefix": secret[:14],
        "last4": secret[-4:],
        "allowed_ips": [],
        "allowed_models": ["a/x", "b/y"],
        "limits": {"rpm": 10, "tpm": 0, "concurrent": 0},
        "manages_keys": False,
        "created": int(row.created_at.timestamp()),
        "expires_at": ends.isoformat().replace("+00:00", "Z"),
        "revoked_at": None,
        "last_used_at": None,
    }
    assert customer.get(f"/keys/{made['id']}") == made
    assert customer.ask("get", f"/keys/{made['id']}").headers["content-type"] == "application/json"


def test_a_new_key_calls_within_what_it_was_given(customer: Customer) -> None:
    made = customer.make(allowed_models=["a/x"], limits={"rpm": 3})

    caller = authenticate(made["key"])
    assert caller.allowed_models == {"a/x"}
    assert caller.key_limits == Limits(rpm=3)


def test_what_is_not_named_is_as_in_the_key_that_asks(bounded: Customer) -> None:
    made = bounded.make()

    own = bounded.get(f"/keys/{bounded.key}")
    for name in ("allowed_models", "limits", "expires_at"):
        assert made[name] == own[name]
    assert made["manages_keys"] is False


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"allowed_models": ["c/z"]}, "allowed_models"),
        ({"allowed_models": []}, "allowed_models"),
        ({"limits": {"rpm": 101}}, "limits.rpm"),
        ({"limits": {"rpm": 0}}, "limits.rpm"),
        ({"limits": {"concurrent": None}}, "limits.concurrent"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "2100-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_no_key_is_made_or_changed_beyond_the_key_that_asks(
    bounded: Customer, body: dict[str, Any], param: str
) -> None:
    made = bounded.make()

    for method, path in (("post", "/keys"), ("patch", f"/keys/{made['id']}")):
        answer = bounded.ask(method, path, {"name": "wide", **body})
        assert told(answer) == (400, "invalid_parameter", param)
    itself = bounded.ask("patch", f"/keys/{bounded.key}", body)
    assert told(itself) == (400, "invalid_parameter", param)
    assert not ApiKey.objects.filter(name="wide").exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"nam": "x"}, "nam"),
        ({"organization": "org_other"}, "organization"),
        ({"mac": "00"}, "mac"),
        ({"limits": {"rps": 1}}, "limits.rps"),
        ({"limits": {"rpm": -1}}, "limits.rpm"),
        ({"limits": {"rpm": 2**31}}, "limits.rpm"),
        ({"limits": None}, "limits"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"allowed_models": "a/x"}, "allowed_models"),
        ({"allowed_models": ["nonsense"]}, "allowed_models.0"),
        ({"allowed_models": ["a/x"] * 501}, "allowed_models"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": 7}, "expires_at"),
        ({"manages_keys": "yes"}, "manages_keys"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    customer: Customer, body: dict[str, Any], param: str
) -> None:
    answer = customer.ask("post", "/keys", {"name": "child", **body})

    assert told(answer) == (400, "invalid_parameter", param)
    assert ApiKey.objects.count() == 1


def test_the_right_to_manage_is_passed_on_only_when_asked_for(customer: Customer) -> None:
    plain, manager = customer.make(), customer.make(manages_keys=True)

    assert customer.using(manager).make()["manages_keys"] is False
    assert told(customer.using(plain).ask("post", "/keys", {"name": "x"})) == (
        403,
        "endpoint_not_allowed",
        None,
    )
    assert told(customer.ask("patch", f"/keys/{plain['id']}", {"manages_keys": True}))[2] == (
        "manages_keys"
    )


def test_a_key_that_manages_none_sees_itself_and_changes_nothing(customer: Customer) -> None:
    made = customer.make()
    plain = customer.using(made)

    assert [key["id"] for key in plain.get("/keys")["data"]] == [made["id"]]
    assert plain.get(f"/keys/{made['id']}")["id"] == made["id"]
    assert told(plain.ask("get", f"/keys/{customer.key}"))[:2] == (404, "key_not_found")
    for method, path in (
        ("patch", f"/keys/{made['id']}"),
        ("delete", f"/keys/{made['id']}"),
        ("post", f"/keys/{made['id']}/rotate"),
        ("delete", "/keys/key_that_is_not_there"),
    ):
        assert told(plain.ask(method, path, {}))[:2] == (403, "endpoint_not_allowed")


def test_a_stronger_key_is_out_of_reach(customer: Customer, bounded: Customer) -> None:
    path = f"/keys/{customer.key}"

    for method, at in (("patch", path), ("delete", path), ("post", path + "/rotate")):
        assert told(bounded.ask(method, at, {}))[:2] == (403, "endpoint_not_allowed")
    customer.make()  # still the same secret


def test_a_change_names_what_changes_and_the_rest_stays(customer: Customer) -> None:
    made = customer.make(allowed_models=["a/x"], limits={"rpm": 10, "tpm": 20})

    changed = customer.ask(
        "patch", f"/keys/{made['id']}", {"name": "new", "limits": {"tpm": 5}}
    ).json()

    del made["key"]
    assert changed == {
        **made,
        "name": "new",
        "limits": {"rpm": 10, "tpm": 5, "concurrent": 0},
    }
    assert customer.get(f"/keys/{made['id']}") == changed


def test_a_change_of_what_a_key_may_is_seen_by_every_process(customer: Customer) -> None:
    made = customer.make()

    def revision() -> int:
        return KeyRevision.objects.get().revision

    before = revision()
    for number, (method, path, body) in enumerate(
        [
            ("patch", f"/keys/{made['id']}", {"allowed_models": ["a/x"]}),
            ("patch", f"/keys/{made['id']}", {"limits": {"rpm": 1}}),
            ("post", f"/keys/{made['id']}/rotate", {}),
            ("delete", f"/keys/{made['id']}", None),
        ],
        start=1,
    ):
        assert customer.ask(method, path, body).status_code == 200
        assert revision() >= before + number


def test_keys_are_listed_newest_first_page_by_page(customer: Customer) -> None:
    made = [customer.make(name=f"k{number}")["id"] for number in range(4)]
    other = api.create_organization("Other", "other@example.com")
    api.create_key(other, name="not yours")

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = customer.get("/keys", limit="2", cursor=cursor)
        assert page["object"] == "list"
        seen += [key["id"] for key in page["data"]]
        cursor = page["next_cursor"]

    assert seen == [*reversed(made), customer.key]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "key_nowhere"}]
)
def test_a_wrong_page_is_refused(customer: Customer, query: dict[str, str]) -> None:
    assert told(customer.ask("get", "/keys", **query)) == (400, "invalid_parameter", *query)


def test_another_organizations_key_is_no_place_to_go_on_from(customer: Customer) -> None:
    other = api.create_key(api.create_organization("Other", "o@example.com"), name="x")

    assert told(customer.ask("get", "/keys", cursor=other.key))[2] == "cursor"


def test_a_revoked_key_is_refused_for_good(customer: Customer) -> None:
    made = customer.make()
    revoked = customer.ask("delete", f"/keys/{made['id']}").json()
    again = customer.ask("delete", f"/keys/{made['id']}").json()

    assert revoked["revoked_at"] is not None
    assert again == revoked
    assert told(customer.using(made).ask("get", "/keys"))[:2] == (401, "key_revoked")
    for method, path in (("patch", ""), ("post", "/rotate")):
        answer = customer.ask(method, f"/keys/{made['id']}{path}", {})
        assert told(answer)[:2] == (400, "invalid_parameter")


def test_a_rotated_key_has_a_new_secret_and_the_same_id(customer: Customer) -> None:
    made = customer.make(limits={"rpm": 7})
    rotated = customer.ask("post", f"/keys/{made['id']}/rotate", {"overlap_seconds": 60}).json()

    assert rotated["key"] != made["key"]
    assert rotated["prefix"] == rotated["key"][:14]
    for name in ("id", "name", "limits", "created"):
        assert rotated[name] == made[name]
    for holder in (made, rotated):
        assert customer.using(holder).get(f"/keys/{made['id']}")["id"] == made["id"]


def test_without_an_overlap_the_secret_before_ends_at_once(customer: Customer) -> None:
    made = customer.make()
    rotated = customer.ask("post", f"/keys/{made['id']}/rotate").json()

    assert told(customer.using(made).ask("get", "/keys"))[:2] == (401, "key_expired")
    assert customer.using(rotated).ask("get", "/keys").status_code == 200


def test_an_overlap_ends_and_never_outlives_the_key(customer: Customer) -> None:
    made = customer.make()
    rotated = customer.ask("post", f"/keys/{made['id']}/rotate", {"overlap_seconds": 60}).json()
    row = ApiKey.objects.filter(public_id=made["id"])

    row.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert told(customer.using(made).ask("get", "/keys"))[:2] == (401, "key_expired")
    row.update(expires_at=None, old_mac_until=timezone.now() - timedelta(seconds=1))
    assert told(customer.using(made).ask("get", "/keys"))[:2] == (401, "key_expired")
    assert customer.using(rotated).ask("get", "/keys").status_code == 200


def test_a_second_rotation_ends_the_secret_before_the_last(customer: Customer) -> None:
    first = customer.make()
    path = f"/keys/{first['id']}/rotate"
    second = customer.ask("post", path, {"overlap_seconds": 60}).json()
    third = customer.ask("post", path, {"overlap_seconds": 60}).json()

    assert told(customer.using(first).ask("get", "/keys"))[:2] == (401, "unauthorized")
    assert customer.using(second).ask("get", "/keys").status_code == 200
    assert customer.using(third).ask("get", "/keys").status_code == 200


@pytest.mark.parametrize("seconds", [-1, 86_401, "60", 1.5, None])
def test_an_overlap_is_at_most_a_day(customer: Customer, seconds: object) -> None:
    answer = customer.ask("post", f"/keys/{customer.key}/rotate", {"overlap_seconds": seconds})

    assert told(answer) == (400, "invalid_parameter", "overlap_seconds")


@pytest.mark.parametrize("key_id", ["key_nowhere", "nonsense", "%00", "key_%00", "x" * 3000])
def test_what_is_no_key_is_not_found(customer: Customer, key_id: str) -> None:
    for method, path in (("get", ""), ("patch", ""), ("delete", ""), ("post", "/rotate")):
        body: object = None if method == "get" else {}
        assert told(customer.ask(method, f"/keys/{key_id}{path}", body))[:2] == (
            404,
            "key_not_found",
        )


def test_an_organization_has_a_thousand_keys_at_most(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KEYS_MAX", 2)
    made = customer.make()

    assert told(customer.ask("post", "/keys", {"name": "one too many"}))[0] == 403
    customer.ask("delete", f"/keys/{made['id']}")
    customer.make()


def test_no_answer_but_the_first_has_a_secret_or_its_mac(customer: Customer) -> None:
    made = customer.make()
    row = ApiKey.objects.get(public_id=made["id"])

    for answer in (
        customer.ask("get", "/keys"),
        customer.ask("get", f"/keys/{made['id']}"),
        customer.ask("patch", f"/keys/{made['id']}", {"name": "x"}),
        customer.ask("delete", f"/keys/{made['id']}"),
    ):
        assert made["key"].encode() not in answer.content
        assert bytes(row.mac).hex().encode() not in answer.content
        assert answer.headers["cache-control"] == "no-store"


def test_a_method_that_there_is_not_is_told_so(customer: Customer) -> None:
    assert told(customer.ask("put", f"/keys/{customer.key}", {}))[:2] == (
        405,
        "method_not_allowed",
    )


def test_a_key_is_bound_to_networks_and_makes_none_that_is_bound_less(customer: Customer) -> None:
    bound = customer.make(name="bound", allowed_ips=["10.0.0.0/8", "2001:DB8::1"])
    read = customer.ask("get", f"/keys/{bound['id']}").json()
    changed = customer.ask("patch", f"/keys/{bound['id']}", {"allowed_ips": []}).json()

    assert read["allowed_ips"] == ["10.0.0.0/8", "2001:db8::1/128"]
    assert changed["allowed_ips"] == []


@pytest.mark.parametrize(
    "network", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "", "::ffff:10.0.0.1", "10.0.0.0-5", 7]
)
def test_what_is_no_network_is_refused_by_name(customer: Customer, network: object) -> None:
    answer = customer.ask("post", "/keys", {"name": "x", "allowed_ips": [network]})

    status, code, param = told(answer)
    assert (status, code) == (400, "invalid_parameter")
    assert (param or "").startswith("allowed_ips")
