"""Deliveries to real receivers, which verify what they get."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import WebhookVerificationError

from accounts.api import create_organization, organization_pk
from ccapi.core.errors import InvalidParameter
from media_jobs.webhooks import api, delivering, outbox, signing
from media_jobs.webhooks.models import Attempt, Delivery, DisabledUrl, Secret
from tests.fakes.authority import Authority
from tests.fakes.receiver import Answer, Receiver, body_of
from tests.media_jobs.webhooks.conftest import MakeReceiver

PAYLOAD = b'{"id": "job_1", "status": "completed"}'
EVENT = "job_1"

pytestmark = pytest.mark.django_db


def order(organization: int, receiver: Receiver, event: str = EVENT) -> Delivery:
    api.enqueue(organization_id=organization, url=receiver.url, event_id=event, payload=PAYLOAD)
    return Delivery.objects.get(organization=organization, event_id=event, url=receiver.url)


def make_due() -> None:
    """As if the time had come."""
    Delivery.objects.filter(state="pending").update(due_at=Now(), leased_until=None)


def state_of(delivery: Delivery) -> str:
    delivery.refresh_from_db()
    return delivery.state


def test_a_delivery_is_signed_and_verified(organization: int, receiver_of: MakeReceiver) -> None:
    receiver = receiver_of(200)
    delivery = order(organization, receiver)

    assert api.deliver_due(10) == 1

    assert state_of(delivery) == "delivered"
    (got,) = receiver.seen
    _, secret = signing.secret_of(organization)
    assert secret.startswith("whsec_")
    assert got.verified(secret) == {"id": "job_1", "status": "completed"}
    assert got.body == PAYLOAD
    assert got.event == EVENT
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("CCAPI/")
    with pytest.raises(WebhookVerificationError):
        got.verified("whsec_" + "A" * 43 + "=")
    (attempt,) = delivery.attempts.all()
    assert (attempt.number, attempt.status, attempt.answer) == (1, 200, "thank you")
    assert api.deliver_due(10) == 0


def test_what_is_at_rest_shows_neither_body_nor_secret(
    organization: int, receiver_of: MakeReceiver
) -> None:
    delivery = order(organization, receiver_of())
    _, secret = signing.secret_of(organization)

    assert b"completed" not in bytes(delivery.payload or b"")
    assert secret[6:].encode() not in bytes(Secret.objects.get().ciphertext)


def test_an_event_that_rolls_back_is_never_told(
    organization: int, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of()

    def ending() -> None:
        with transaction.atomic():
            order(organization, receiver)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ending()

    assert api.deliver_due(10) == 0
    assert receiver.seen == []


def test_the_same_event_is_enqueued_once(organization: int, receiver_of: MakeReceiver) -> None:
    receiver = receiver_of()

    first, second = order(organization, receiver), order(organization, receiver)

    assert first == second
    assert api.deliver_due(10) == 1


@pytest.mark.parametrize(
    "answer", [500, 404, 400, 429, 301, 307, "hang up", "garbage", "drip", "silent"]
)
def test_everything_but_2xx_and_410_is_tried_again_with_the_same_id(
    answer: Answer,
    organization: int,
    receiver_of: MakeReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivering, "POST_S", 0.3)
    elsewhere = receiver_of()
    odd = (answer, {"location": elsewhere.url}) if answer in (301, 307) else answer
    receiver = receiver_of(odd)
    delivery = order(organization, receiver)

    assert api.deliver_due(10) == 1
    assert state_of(delivery) == "pending"
    assert timedelta(seconds=3) < delivery.due_at - timezone.now() < timedelta(seconds=6)
    assert api.deliver_due(10) == 0
    make_due()
    assert api.deliver_due(10) == 1

    assert state_of(delivery) == "delivered"
    first, second = receiver.seen
    assert first.event == second.event == EVENT
    second.verified(signing.secret_of(organization)[1])
    assert elsewhere.seen == []
    attempts = [(each.number, each.status, bool(each.error)) for each in delivery.attempts.all()]
    is_answer = isinstance(answer, int)
    assert attempts == [(1, answer if is_answer else None, not is_answer), (2, 204, False)]


def test_each_attempt_is_signed_anew_with_the_time_at_which_it_is_made(
    organization: int, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of(500)
    order(organization, receiver)

    api.deliver_due(10)
    time.sleep(1.1)
    make_due()
    api.deliver_due(10)

    first, second = (each.headers for each in receiver.seen)
    assert int(second["webhook-timestamp"]) > int(first["webhook-timestamp"])
    assert abs(int(second["webhook-timestamp"]) - time.time()) < 5
    assert second["webhook-signature"] != first["webhook-signature"]


def test_retry_after_is_heeded(organization: int, receiver_of: MakeReceiver) -> None:
    delivery = order(organization, receiver_of((503, {"retry-after": "3600"})))

    api.deliver_due(10)

    assert state_of(delivery) == "pending"
    assert timedelta(minutes=59) < delivery.due_at - timezone.now() <= timedelta(hours=1)


def test_when_the_schedule_is_over_it_has_failed(
    organization: int, receiver_of: MakeReceiver, settings: Settings
) -> None:
    settings.CCAPI_WEBHOOK_SCHEDULE_S = (0.0, 0.0, 0.0)
    receiver = receiver_of(500, 501, 502, 503)
    delivery = order(organization, receiver)

    assert api.deliver_due(10) == 3

    assert state_of(delivery) == "failed"
    assert delivery.finished_at is not None
    assert delivery.last_status == 502
    assert len(receiver.seen) == 3


def test_410_disables_the_url_for_that_organization_and_says_so(
    organization: int, receiver_of: MakeReceiver
) -> None:
    other = organization_pk(create_organization("Other", "other@example.com"))
    receiver = receiver_of(410)
    first, waits = order(organization, receiver), order(organization, receiver, "job_2")
    Delivery.objects.filter(pk=waits.pk).update(due_at=Now() + timedelta(hours=1))

    api.deliver_due(10)
    later = order(organization, receiver, "job_3")
    theirs = order(other, receiver)
    api.deliver_due(10)

    assert DisabledUrl.objects.get().organization_id == organization
    assert [state_of(each) for each in (first, waits, later)] == ["disabled"] * 3
    assert "410" in later.last_error
    assert state_of(theirs) == "delivered"
    assert receiver.events == [EVENT, EVENT]


def test_a_receiver_that_is_slow_keeps_nobody_else_waiting(
    organization: int, receiver_of: MakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "POST_S", 2.5)
    slow, quick = receiver_of("silent", "silent"), receiver_of()
    for number in range(2):
        order(organization, slow, f"slow_{number}")
    for number in range(20):
        order(organization, quick, f"quick_{number}")

    assert api.deliver_due(10) == 22

    assert len(quick.seen) == 20
    assert quick.seen[-1].at - slow.seen[0].at < 2.5


def test_one_organization_has_a_few_at_once_and_others_the_rest(
    organization: int, receiver_of: MakeReceiver
) -> None:
    other = organization_pk(create_organization("Other", "other@example.com"))
    receiver = receiver_of()
    for number in range(10):
        order(organization, receiver, f"many_{number}")
    theirs = order(other, receiver)

    claimed = outbox.claim(8)

    assert len(claimed) == outbox.PER_ORGANIZATION + 1
    assert theirs.pk in [each.id for each in claimed]
    assert outbox.claim(8) == []


def test_a_url_that_no_longer_leads_to_the_internet_is_not_called(
    organization: int, receiver_of: MakeReceiver, settings: Settings
) -> None:
    """The rule of registration holds at each delivery."""
    receiver = receiver_of()
    delivery = order(organization, receiver)
    settings.CCAPI_EGRESS_ALLOW = []

    api.deliver_due(10)

    assert state_of(delivery) == "pending"
    assert receiver.seen == []
    assert Attempt.objects.get().error


def test_a_server_of_another_name_is_not_told(
    organization: int, tmp_path: Path, settings: Settings
) -> None:
    authority = Authority(tmp_path)
    settings.CCAPI_CA_BUNDLE = authority.bundle
    receiver = Receiver(tls=authority.server("hooks.example.com"))
    settings.CCAPI_EGRESS_ALLOW = [f"localhost:{receiver.port}"]
    api.enqueue(
        organization_id=organization,
        url=f"https://localhost:{receiver.port}/",
        event_id=EVENT,
        payload=PAYLOAD,
    )
    try:
        api.deliver_due(10)
    finally:
        receiver.close()

    assert receiver.seen == []
    assert "TLS" in Attempt.objects.get().error


def test_after_a_rotation_both_secrets_sign_until_the_old_one_ends(
    organization: int, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of()
    _, old = signing.secret_of(organization)
    _, new = signing.rotate(organization, overlap_s=3600)

    order(organization, receiver)
    api.deliver_due(10)
    Secret.objects.filter(ends_at__isnull=False).update(ends_at=Now() - timedelta(seconds=1))
    order(organization, receiver, "job_2")
    api.deliver_due(10)

    both, after = receiver.seen
    assert both.verified(old) == both.verified(new) == body_of(both)
    assert after.verified(new)
    with pytest.raises(WebhookVerificationError):
        after.verified(old)


def test_a_rotation_without_overlap_ends_the_old_secret_at_once_and_a_third_the_first(
    organization: int,
) -> None:
    signing.secret_of(organization)
    signing.rotate(organization, overlap_s=3600)
    _, third = signing.rotate(organization, overlap_s=3600)
    assert Secret.objects.count() == 2

    _, fourth = signing.rotate(organization, overlap_s=0)

    assert Secret.objects.count() == 1
    assert signing.secret_of(organization)[1] == fourth != third
    assert signing.old_until(organization) is None


def test_an_answer_that_postgresql_cannot_hold_is_written_down_all_the_same(
    organization: int, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of(200)
    receiver.body = b"\x00\xff\xfe" + b"x" * 5000

    order(organization, receiver)
    api.deliver_due(10)

    answer = Attempt.objects.get().answer
    assert answer.startswith("\N{REPLACEMENT CHARACTER}")
    assert len(answer) == delivering.SHOWN_BYTES


def test_an_outcome_that_comes_after_the_lease_is_logged_and_changes_nothing(
    organization: int, receiver_of: MakeReceiver
) -> None:
    delivery = order(organization, receiver_of())
    (slow,) = outbox.claim(1)
    make_due()
    (quick,) = outbox.claim(1)
    assert quick.fence == slow.fence + 1

    outbox.close(quick, outbox.Outcome(quick.now, 1, status=200))
    outbox.close(slow, outbox.Outcome(slow.now, 60_000, error="its host hung up"))

    assert state_of(delivery) == "delivered"
    assert delivery.attempts_count == delivery.attempts.count() == 2


def test_bodies_go_after_a_day_and_rows_after_a_week(
    organization: int, receiver_of: MakeReceiver, settings: Settings
) -> None:
    receiver = receiver_of()
    young, day, week = (order(organization, receiver, f"job_{n}") for n in range(3))
    api.deliver_due(10)
    waits = order(organization, receiver, "job_9")
    Delivery.objects.filter(pk=waits.pk).update(created_at=Now() - timedelta(days=30))
    for each, age in ((young, 1), (day, 25), (week, 24 * 8)):
        finished = Now() - timedelta(hours=age)
        Delivery.objects.filter(pk=each.pk).update(finished_at=finished)

    assert api.tidy() == 1

    left = dict(Delivery.objects.values_list("event_id", "payload"))
    assert left.keys() == {"job_0", "job_1", "job_9"}
    assert [left[each] is None for each in ("job_0", "job_1", "job_9")] == [False, True, False]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://user@example.com/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://2130706433/",
        "ftp://example.com/",
        "nonsense",
    ],
)
def test_a_url_that_could_not_be_delivered_to_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        asyncio.run(api.check_url(url))
    assert refused.value.param == "webhook_url"


def test_a_url_of_a_host_that_the_operator_names_is_taken(receiver_of: MakeReceiver) -> None:
    asyncio.run(api.check_url(receiver_of().url))


@pytest.mark.parametrize(
    ("setting", "entry"),
    [("ALLOW", "hooks.corp"), ("ALLOW", "http://hooks.corp:80"), ("DENY", "10.0.0.1/8")],
)
def test_a_list_that_cannot_be_read_is_told_when_the_product_is_checked(
    setting: str, entry: str, settings: Settings
) -> None:
    setattr(settings, f"CCAPI_EGRESS_{setting}", [entry])

    (found,) = [each for each in run_checks() if each.id == "webhooks.E1"]

    assert entry in str(found)
