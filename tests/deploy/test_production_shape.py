"""Production's roles, restarts and outages, with the commands of docker-compose.yml."""

import sys
import time

import httpx2
import psycopg
import pytest

from tests.deploy.load import Load, outage
from tests.deploy.shape import HOST, Account, Shape


@pytest.fixture
def load_urls(shape: Shape) -> list[str]:
    return [f"http://127.0.0.1:{port}" for port in shape.ports]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE settlement DISABLE TRIGGER ALL",
        "TRUNCATE ledger_transfer",
        "DROP TABLE hold",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
    ],
)
def test_the_gateways_role_may_change_no_table(shape: Shape, statement: str) -> None:
    with (
        psycopg.connect(shape.url("ccapi")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_gateways_role_makes_the_months_ahead_and_the_owner_owns_them(shape: Shape) -> None:
    with psycopg.connect(shape.url("ccapi"), autocommit=True) as connection:
        made = connection.execute("SELECT ensure_partitions_v1(6)").fetchone()

    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert made is not None
    assert made[0] > 0
    assert shape.rows(owners) == [("ccapi_owner",)]


def test_a_restart_of_postgresql_under_load_is_told_as_503_and_costs_nobody(
    shape: Shape, customer: Account, load_urls: list[str]
) -> None:
    def restart() -> None:
        shape.postgres.stop()
        time.sleep(1)
        shape.postgres.start()

    with Load(load_urls, customer) as load:
        seen = outage(load, restart)

    sys.stdout.write(f"\nPostgreSQL restarted, one second away: {seen}\n")  # for `-s`
    assert set(seen.statuses) <= {200, 503}
    assert seen.incomplete == 0
    assert seen.failing_s < 8
    _settled(shape, load)


def test_a_restart_and_a_flush_of_valkey_under_load_fail_nothing(
    shape: Shape, customer: Account, load_urls: list[str]
) -> None:
    with Load(load_urls, customer) as load:
        restarted = outage(load, shape.valkey.restart)
        with shape.valkey.client() as client:
            flushed = outage(load, client.flushall)

    sys.stdout.write(f"\nValkey restarted: {restarted}\nValkey flushed: {flushed}\n")
    assert set(restarted.statuses) == set(flushed.statuses) == {200}
    assert restarted.incomplete == flushed.incomplete == 0


def _settled(shape: Shape, load: Load) -> None:
    """Every hold is resolved, and every complete answer is charged."""
    deadline = time.monotonic() + 20
    while shape.rows("SELECT 1 FROM hold LIMIT 1"):
        assert time.monotonic() < deadline, "holds are still open"
        time.sleep(0.1)
    charged = shape.rows("SELECT count(*) FROM settlement WHERE captured_nano > 0")[0][0]
    assert isinstance(charged, int)
    kinds = shape.rows(
        "SELECT outcome, without_hold, captured_nano > 0, count(*) FROM settlement GROUP BY 1, 2, 3"
    )
    assert charged >= load.served, kinds


def test_a_web_process_asks_who_forwards_before_it_believes(shape: Shape) -> None:
    url = f"http://127.0.0.1:{shape.ports[0]}/admin/login/"
    plain = httpx2.get(url, headers={"host": HOST})
    forwarded = httpx2.get(url, headers={"host": HOST, "x-forwarded-proto": "https"})
    foreign = httpx2.get(url, headers={"host": "example.net"})

    assert (plain.status_code, plain.headers["location"]) == (301, f"https://{HOST}/admin/login/")
    assert forwarded.status_code == 200
    assert foreign.status_code == 400
