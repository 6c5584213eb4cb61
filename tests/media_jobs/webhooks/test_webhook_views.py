"""/webhooks, as a customer sees it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import api as accounts
from accounts.models import User
from media_jobs.webhooks import api, outbox
from media_jobs.webhooks.models import Delivery, DisabledUrl
from tests.media_jobs.webhooks.conftest import MakeReceiver

pytestmark = pytest.mark.django_db


class Customer:
    """Someone with a key."""

    def __init__(
        self, name: str, *, manages_keys: bool = True, of: "Customer | None" = None
    ) -> None:
        self.organization: str = (
            of.organization if of else accounts.create_organization(name, f"{name}@example.com")
        )
        self.pk = accounts.organization_pk(self.organization)
        made = accounts.create_key(self.organization, name=name, manages_keys=manages_keys)
        self._headers = {"authorization": f"Bearer {made.secret}"}
        self._client = APIClient()

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:  # noqa: ANN401 — JSON
        send = getattr(self._client, method)
        given = {} if body is None else {"data": body, "format": "json"}
        answer = send(path, headers=self._headers, **given)
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def customer() -> Customer:
    return Customer("one")


def order(customer: Customer, url: str, count: int = 1) -> None:
    for number in range(count):
        api.enqueue(organization_id=customer.pk, url=url, event_id=f"job_{number}", payload=b"{}")


def test_the_secret_is_made_once_and_told_to_its_organization_alone(customer: Customer) -> None:
    told = customer.ask("get", "/webhooks/secret")

    assert told["secret"].startswith("whsec_")
    assert told["old_secret_expires_at"] is None
    assert customer.ask("get", "/v1/webhooks/secret") == told
    assert Customer("other").ask("get", "/webhooks/secret")["secret"] != told["secret"]


def test_the_secret_is_rotated_with_an_overlap(customer: Customer) -> None:
    before = customer.ask("get", "/webhooks/secret")

    told = customer.ask("post", "/webhooks/secret", {"overlap_seconds": 60})
    at_once = customer.ask("post", "/webhooks/secret", {"overlap_seconds": 0})

    assert before["secret"] != told["secret"] != at_once["secret"]
    assert told["old_secret_expires_at"].endswith("Z")
    assert at_once["old_secret_expires_at"] is None
    for wrong in (-1, 8 * 24 * 3600, "60", True):
        customer.ask("post", "/webhooks/secret", {"overlap_seconds": wrong}, status=400)
    customer.ask("post", "/webhooks/secret", {"overlap": 1}, status=400)


def test_deliveries_are_listed_in_pages_and_told_with_their_attempts(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of(500)
    order(customer, receiver.url, 3)
    api.deliver_due(1)

    first = customer.ask("get", "/webhooks/deliveries?limit=2")
    rest = customer.ask("get", f"/webhooks/deliveries?limit=2&cursor={first['next_cursor']}")
    failed = customer.ask("get", "/webhooks/deliveries?state=pending")
    of_event = customer.ask("get", "/webhooks/deliveries?event=job_0")
    told = customer.ask("get", f"/webhooks/deliveries/{of_event['data'][0]['id']}")

    events = [each["event"] for each in first["data"] + rest["data"]]
    assert events == ["job_2", "job_1", "job_0"]
    assert rest["next_cursor"] is None
    assert [each["event"] for each in failed["data"]] == ["job_0"]
    assert told["state"] == "pending"
    assert told["next_attempt_at"]
    assert [(each["number"], each["status"]) for each in told["attempts"]] == [(1, 500)]
    assert told["attempts"][0]["answer"] == "thank you"
    for query in ("limit=0", "cursor=dlv_x", "cursor=gen_1", "state=lost"):
        customer.ask("get", f"/webhooks/deliveries?{query}", status=400)


def test_a_delivery_is_replayed_with_the_same_id(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of()
    order(customer, receiver.url)
    api.deliver_due(10)
    (row,) = customer.ask("get", "/webhooks/deliveries")["data"]

    told = customer.ask("post", f"/webhooks/deliveries/{row['id']}/replay", status=202)
    assert (told["state"], told["finished_at"]) == ("pending", None)
    api.deliver_due(10)

    assert receiver.events == ["job_0", "job_0"]
    told = customer.ask("get", f"/webhooks/deliveries/{row['id']}")
    assert [each["number"] for each in told["attempts"]] == [1, 2]
    assert told["state"] == "delivered"


def test_a_replay_while_an_attempt_is_under_way_waits_for_its_end(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    order(customer, receiver_of().url)
    (claimed,) = outbox.claim(1)
    (row,) = customer.ask("get", "/webhooks/deliveries")["data"]

    customer.ask("post", f"/webhooks/deliveries/{row['id']}/replay", status=202)

    assert outbox.claim(1) == []
    outbox.close(claimed, outbox.Outcome(claimed.now, 5, status=200))
    assert Delivery.objects.get().state == "delivered"


def test_a_replay_without_a_body_is_refused(customer: Customer, receiver_of: MakeReceiver) -> None:
    order(customer, receiver_of().url)
    api.deliver_due(10)
    Delivery.objects.update(payload=None)
    (row,) = customer.ask("get", "/webhooks/deliveries")["data"]

    told = customer.ask("post", f"/webhooks/deliveries/{row['id']}/replay", status=400)

    assert "kept no longer" in told["error"]["message"]


def test_a_disabled_url_is_listed_and_let_in_again(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of(410)
    order(customer, receiver.url)
    api.deliver_due(10)
    (row,) = customer.ask("get", "/webhooks/deliveries?state=disabled")["data"]
    replay = f"/webhooks/deliveries/{row['id']}/replay"

    (url,) = customer.ask("get", "/webhooks/disabled")["data"]
    assert url["url"] == receiver.url
    assert "disabled" in customer.ask("post", replay, status=400)["error"]["message"]
    assert customer.ask("delete", f"/webhooks/disabled/{url['id']}") == url
    customer.ask("delete", f"/webhooks/disabled/{url['id']}", status=404)
    customer.ask("post", replay, status=202)
    api.deliver_due(10)

    assert receiver.events == ["job_0", "job_0"]
    assert customer.ask("get", f"/webhooks/deliveries/{row['id']}")["state"] == "delivered"


def test_another_organizations_deliveries_do_not_exist(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    order(customer, receiver_of(410).url)
    api.deliver_due(10)
    (row,) = customer.ask("get", "/webhooks/deliveries")["data"]
    (url,) = customer.ask("get", "/webhooks/disabled")["data"]
    other = Customer("other")

    assert other.ask("get", "/webhooks/deliveries")["data"] == []
    assert other.ask("get", "/webhooks/disabled")["data"] == []
    told = other.ask("get", f"/webhooks/deliveries/{row['id']}", status=404)
    assert told["error"]["code"] == "delivery_not_found"
    other.ask("post", f"/webhooks/deliveries/{row['id']}/replay", status=404)
    other.ask("delete", f"/webhooks/disabled/{url['id']}", status=404)
    assert DisabledUrl.objects.count() == 1


@pytest.mark.parametrize("delivery", ["dlv_", "dlv_x", "dlv_" + "g" * 32, "x", "gen_" + "0" * 32])
def test_what_is_no_delivery_is_not_found(customer: Customer, delivery: str) -> None:
    customer.ask("get", f"/webhooks/deliveries/{delivery}", status=404)


def test_a_key_that_does_not_manage_sees_and_changes_nothing(customer: Customer) -> None:
    plain = Customer("plain", manages_keys=False, of=customer)

    for method, path in (
        ("get", "/webhooks/secret"),
        ("post", "/webhooks/secret"),
        ("get", "/webhooks/deliveries"),
        ("get", "/webhooks/deliveries/dlv_" + "0" * 32),
        ("post", "/webhooks/deliveries/dlv_" + "0" * 32 + "/replay"),
        ("get", "/webhooks/disabled"),
        ("delete", "/webhooks/disabled/url_" + "0" * 32),
    ):
        plain.ask(method, path, status=403)
    assert APIClient().get("/webhooks/secret").status_code == 401


def test_the_admin_shows_deliveries_without_bodies_and_sends_them_again(
    customer: Customer, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of(410)
    order(customer, receiver.url)
    api.deliver_due(10)
    row = Delivery.objects.get()
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "x"))
    listed = reverse("admin:webhooks_delivery_changelist")
    again = {"action": "replay", "_selected_action": [str(row.pk)]}

    for term in ("", row.public_id, "job_0", customer.organization):
        assert row.public_id in client.get(listed, {"q": term}).content.decode()
    page = client.get(reverse("admin:webhooks_delivery_change", args=[row.pk])).content.decode()
    assert receiver.url in page
    assert "thank you" in page
    assert "whsec_" not in page
    assert "is disabled" in client.post(listed, again, follow=True).content.decode()
    url = DisabledUrl.objects.get()
    client.post(reverse("admin:webhooks_disabledurl_delete", args=[url.pk]), {"post": "yes"})
    assert "On their way again: 1" in client.post(listed, again, follow=True).content.decode()
    api.deliver_due(10)

    row.refresh_from_db()
    assert row.state == "delivered"
