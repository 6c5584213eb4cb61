"""Workers that are killed while they deliver, and several at once: at least once, never lost."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from accounts.api import create_organization, organization_pk
from media_jobs.webhooks import api, outbox
from media_jobs.webhooks.models import Attempt, Delivery
from tests.databases import OwnDatabase
from tests.fakes.receiver import Receiver
from tests.media_jobs.webhooks.conftest import MakeReceiver

ROOT = Path(__file__).resolve().parents[3]
# A worker in a process of its own; at the point that is named it dies as by the kernel's hand.
WORKER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
import django
django.setup()
from media_jobs.webhooks import api, delivering, outbox

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "after the claim":
    delivering._started = die
elif sys.argv[1] == "before the row":
    outbox.close = die
print(api.deliver_due(10), flush=True)
"""


@contextmanager
def worker(
    database: OwnDatabase, receiver: Receiver, point: str
) -> "Iterator[subprocess.Popen[str]]":
    environment = {
        **os.environ,
        "DATABASE_URL": database.url,
        "DJANGO_SETTINGS_MODULE": "ccapi.settings",
        "CCAPI_EGRESS_ALLOW": receiver.host,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, point],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def order(receiver: Receiver, count: int = 1) -> None:
    organization = organization_pk(create_organization("Example", f"{count}@example.com"))
    for number in range(count):
        api.enqueue(
            organization_id=organization,
            url=receiver.url,
            event_id=f"job_{number}",
            payload=b"{}",
        )


def end_leases() -> None:
    """As if the time had passed."""
    ended = Delivery.objects.filter(state="pending", leased_until__isnull=False)
    assert ended.update(due_at=Now(), leased_until=Now())


def states_of_others() -> list[str]:
    """What the other connections to this database are doing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("point", ["after the claim", "in the post", "before the row"])
def test_a_worker_killed_anywhere_loses_nothing_and_repeats_the_same_id(
    point: str, own_database: OwnDatabase, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of()
    order(receiver)
    if point == "in the post":
        receiver.held.clear()

    with worker(own_database, receiver, point) as process:
        if point == "in the post":
            receiver.wait_for(1)
            process.kill()
        assert process.wait(20) == -signal.SIGKILL
    receiver.held.set()
    assert api.deliver_due(10) == 0  # the lease of the dead one still stands
    assert Delivery.objects.get().state == "pending"
    end_leases()

    assert api.deliver_due(10) == 1

    assert Delivery.objects.get().state == "delivered"
    posts = 1 if point == "after the claim" else 2
    assert receiver.events == ["job_0"] * posts
    assert Attempt.objects.count() == 1  # what a dead worker saw, nobody knows


def test_while_one_process_waits_without_a_transaction_another_returns_at_once(
    own_database: OwnDatabase, receiver_of: MakeReceiver
) -> None:
    receiver = receiver_of()
    receiver.held.clear()
    order(receiver, 3)

    with worker(own_database, receiver, "nowhere") as process:
        receiver.wait_for(3)
        assert api.deliver_due(10) == 0
        states = states_of_others()
        receiver.held.set()
        assert process.communicate(timeout=20)[0] == "3\n"

    assert states
    assert "idle in transaction" not in states
    assert sorted(receiver.events) == ["job_0", "job_1", "job_2"]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_claims_at_the_same_time_never_take_the_same_delivery(
    own_database: OwnDatabase, receiver_of: MakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PER_ORGANIZATION", 100)
    order(receiver_of(), 60)
    taken: list[str] = []

    def claim() -> None:
        try:
            while claimed := outbox.claim(3):
                taken.extend(each.event_id for each in claimed)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(taken) == len(set(taken)) == 60
