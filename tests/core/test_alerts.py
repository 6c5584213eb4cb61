"""Alerts on a real table, with real mail (Django's outbox) and a real webhook receiver."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import unquote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from structlog.testing import capture_logs

from accounts import api as accounts
from accounts.models import User
from ccapi import settings as project
from ccapi.core import alerts, metrics
from ccapi.core.alerts import Kind, Told, raise_alert, telling
from ccapi.core.alerts.models import Alert
from tests.fakes.collector import Collector

NO_MONEY = Told(Kind.OUT_OF_MONEY, "acme", "acme says that our account there has no money.")


@pytest.fixture
def collector(settings: Settings) -> Iterator[Collector]:
    with Collector() as collector:
        settings.CCAPI_ALERT_WEBHOOK_URL = f"{collector.url}/hook"
        settings.ADMINS = [("operator", "ops@example.com")]
        yield collector


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What is left to the thread, which is not started: it has a connection of its own."""
    found: list[Told] = []
    monkeypatch.setattr(telling, "queue", found.append)
    monkeypatch.setattr(alerts, "_quiet_until", {})
    return found


def test_an_alert_is_told_once_a_cool_down_and_counted_each_time(
    queued: list[Told], settings: Settings
) -> None:
    before = metrics.ALERTS.value((Kind.KEY_REFUSED.value,))

    with capture_logs() as lines:
        for _ in range(3):
            raise_alert(Kind.KEY_REFUSED, "acme", "Set another key.")
        raise_alert(Kind.KEY_REFUSED, "other", "Set another key.")
        settings.CCAPI_ALERT_COOLDOWN_S = 0
        raise_alert(Kind.OVERAGE, "settlements", "Look.")
        raise_alert(Kind.OVERAGE, "settlements", "Look.")

    assert [told.subject for told in queued] == ["acme", "other", "settlements", "settlements"]
    assert metrics.ALERTS.value((Kind.KEY_REFUSED.value,)) == before + 4
    assert [(line["event"], line["log_level"]) for line in lines][:2] == [
        ("provider.key_refused", "error")
    ] * 2


@pytest.mark.django_db
def test_the_first_of_many_processes_sends_and_the_row_counts_the_rest(
    collector: Collector, mailoutbox: list[EmailMessage]
) -> None:
    for _ in range(3):
        telling.tell(NO_MONEY)

    row = Alert.objects.get()
    assert (row.kind, row.subject, row.count) == ("provider.out_of_money", "acme", 3)
    assert [mail.to for mail in mailoutbox] == [["ops@example.com"]]
    assert mailoutbox[0].subject == "[CCAPI] provider.out_of_money: acme"
    (post,) = collector.posts
    assert post["text"].startswith("provider.out_of_money: acme: acme says")


@pytest.mark.django_db
def test_it_is_sent_again_after_the_cool_down_and_after_it_was_resolved(
    mailoutbox: list[EmailMessage], collector: Collector, settings: Settings
) -> None:
    telling.tell(NO_MONEY)
    long_ago = timezone.now() - timedelta(seconds=settings.CCAPI_ALERT_COOLDOWN_S + 1)
    Alert.objects.update(told_at=long_ago, first_seen=long_ago)

    telling.tell(NO_MONEY)
    Alert.objects.update(resolved_at=timezone.now())
    assert Alert.objects.get().first_seen == long_ago
    telling.tell(NO_MONEY)

    row = Alert.objects.get()
    assert len(mailoutbox) == 3
    assert row.resolved_at is None
    assert row.first_seen > long_ago


@pytest.mark.django_db
def test_without_its_table_an_alert_is_sent_all_the_same(
    mailoutbox: list[EmailMessage], collector: Collector
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE alert RENAME TO elsewhere")

    with capture_logs() as lines:
        telling.tell(NO_MONEY)

    assert len(mailoutbox) == len(collector.posts) == 1
    assert "alert.not_stored" in [line["event"] for line in lines]


@pytest.mark.django_db
def test_a_dead_mail_server_and_a_dead_webhook_are_told_in_the_log(settings: Settings) -> None:
    settings.ADMINS = [("operator", "ops@example.com")]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    settings.CCAPI_ALERT_WEBHOOK_URL = "http://127.0.0.1:1/hook"

    with capture_logs() as lines:
        telling.tell(NO_MONEY)

    assert [line["event"] for line in lines] == ["alert.not_mailed", "alert.not_posted"]


@pytest.mark.django_db
def test_the_admin_shows_alerts_and_resolves_them() -> None:
    telling.store(NO_MONEY)
    accounts.ensure_admin("admin@example.com", "a-long-password-1")
    client = Client()
    client.force_login(User.objects.get(email="admin@example.com"))
    url = reverse("admin:alerts_alert_changelist")

    page = client.get(url).content.decode()
    row = Alert.objects.get()
    client.post(url, {"action": "resolve", "_selected_action": [str(row.pk)]})

    assert NO_MONEY.text in page
    assert Alert.objects.get().resolved_at is not None
    assert not Alert.objects.open().exists()


def test_what_finds_no_room_is_in_the_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_start", lambda: None)  # nobody takes anything out

    with capture_logs() as lines:
        for _ in range(telling.WAITING_MAX + 1):
            telling.queue(NO_MONEY)
    while not telling._queue.empty():
        telling._queue.get_nowait()

    assert [line["event"] for line in lines] == ["alert.dropped"]


@pytest.mark.parametrize("url", ["ftp://host", "host:25", "smtp://"])
def test_a_mail_server_that_is_no_url_of_one_stops_the_start(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="CCAPI_EMAIL_URL"):
        project._email(url)


def test_a_mail_servers_password_may_hold_anything() -> None:
    parts = project._email("smtp+starttls://me%40home:p%2Fw@mail.example:587")

    assert (parts.scheme, parts.hostname, parts.port) == ("smtp+starttls", "mail.example", 587)
    assert unquote(parts.password or "") == "p/w"
