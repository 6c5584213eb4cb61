"""The embedded PostgreSQL and Valkey, started for real."""

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from ccapi.devserver.data_dir import DataDir, DataDirUnusable, open_data_dir
from ccapi.devserver.postgres import Postgres
from ccapi.devserver.servers import InUse, Servers, open_servers
from ccapi.devserver.system_user import server_user
from ccapi.settings import _database
from tests.devserver import product


@pytest.fixture
def data() -> Iterator[DataDir]:
    with product.data_folder() as folder:
        yield DataDir(folder)


def start(data: DataDir, owner: str = "test") -> Servers:
    return open_servers(data, product.environment(data.path), owner=owner)


def pids(servers: Servers) -> set[int]:
    return {service.process.pid for service in servers.services if service.process}


def test_both_servers_answer_at_the_urls_that_children_get(data: DataDir) -> None:
    servers = start(data)

    with psycopg.connect(servers.environment["DATABASE_URL"]) as connection:
        facts = connection.execute(
            "SELECT current_setting('fsync'), current_setting('listen_addresses'),"
            " current_database()"
        ).fetchone()
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
        is_append_only = client.config_get("appendonly")["appendonly"]
    servers.close()

    assert facts == ("on", "", "ccapi")
    assert is_append_only == "yes"


def test_our_settings_read_the_url_of_the_embedded_database(data: DataDir) -> None:
    settings = _database(Postgres(data).url)

    assert settings["HOST"] == str(data.sockets())
    assert settings["PASSWORD"] == data.secrets()["postgres_password"]
    assert (settings["NAME"], settings["USER"], settings["PORT"]) == ("ccapi", "postgres", "5432")


def test_a_wrong_password_is_refused(data: DataDir) -> None:
    servers = start(data)
    right = data.secrets()["postgres_password"]
    wrong = servers.environment["DATABASE_URL"].replace(right, "wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    servers.close()


def test_files_with_secrets_are_private_and_sockets_are_behind_a_private_folder(
    data: DataDir,
) -> None:
    servers = start(data)
    modes = {
        name: stat.S_IMODE((data.path / name).stat().st_mode)
        for name in ("secrets.json", "servers.json", "run", "postgres", "valkey", "log")
    }
    servers.close()

    assert modes == {
        "secrets.json": 0o600,
        "servers.json": 0o600,
        "run": 0o700,
        "postgres": 0o700,
        "valkey": 0o700,
        "log": 0o700,
    }


def test_no_password_stands_in_the_list_of_processes(data: DataDir) -> None:
    servers = start(data)
    commands = " ".join(product.alive(pids(servers)).values())
    servers.close()

    assert "postgres" in commands
    assert "valkey-server" in commands
    assert not [secret for secret in data.secrets().values() if secret in commands]


def test_what_was_committed_is_there_at_the_next_start(data: DataDir) -> None:
    first = start(data)
    with psycopg.connect(first.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    first.close()

    second = start(data)
    with psycopg.connect(second.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    second.close()

    assert row == (7,)


def test_what_was_committed_survives_a_killed_server(data: DataDir) -> None:
    first = start(data)
    with psycopg.connect(first.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        for pid in pids(first):
            os.kill(pid, signal.SIGKILL)
    first.close()

    second = start(data)
    with psycopg.connect(second.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    second.close()

    assert row == (7,)


def test_a_second_command_attaches_and_does_not_stop_what_it_did_not_start(data: DataDir) -> None:
    owner = start(data, "migrate")

    guest = start(data, "audit")
    same = guest.environment["DATABASE_URL"] == owner.environment["DATABASE_URL"]
    guest.close()
    with psycopg.connect(owner.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT 1").fetchone()
    owner.close()

    assert same
    assert not guest.services
    assert row == (1,)


def test_a_second_serve_on_the_same_folder_is_refused_and_told_where_the_first_is(
    data: DataDir,
) -> None:
    first = start(data, "serve")
    first.tell(url="http://127.0.0.1:8123")

    with pytest.raises(InUse, match=rf"process {os.getpid()}, http://127.0.0.1:8123"):
        start(data, "serve")
    first.close()


def test_the_generated_secrets_of_the_product_are_the_same_for_owner_and_guest(
    data: DataDir,
) -> None:
    owner = start(data, "serve")
    guest = start(data, "account")
    names = ("SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY")
    told = [(owner.environment[name], guest.environment[name]) for name in names]
    guest.close()
    owner.close()

    assert all(mine == theirs and len(mine) >= 40 for mine, theirs in told)


def test_nothing_is_started_where_both_urls_are_given(data: DataDir) -> None:
    given = {"DATABASE_URL": "postgresql://a@b/c", "REDIS_URL": "redis://d/0"}

    servers = open_servers(data, given, owner="serve")

    assert not servers.services
    assert given.items() <= servers.environment.items()
    assert "SECRET_KEY" not in servers.environment
    assert not (data.path / "postgres").exists()


def test_a_path_too_long_for_a_socket_gets_a_short_folder_that_is_private(data: DataDir) -> None:
    deep = data.path / ("long" * 25)
    deep.mkdir()
    if server_user():
        deep.chmod(0o711)
    servers = start(DataDir(deep))

    folder = DataDir(deep).sockets()
    with psycopg.connect(servers.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT 1").fetchone()
    mode = stat.S_IMODE(folder.stat().st_mode)
    servers.close()

    assert row == (1,)
    assert not folder.is_relative_to(data.path)
    assert mode == 0o700
    assert not folder.exists()


def test_a_short_folder_that_belongs_to_somebody_else_is_refused(data: DataDir) -> None:
    deep = data.path / ("long" * 25)
    deep.mkdir()
    folder = DataDir(deep).sockets()
    folder.rmdir()
    folder.symlink_to(data.path)

    with pytest.raises(DataDirUnusable, match="somebody else"):
        DataDir(deep).sockets()
    folder.unlink()


def test_a_cluster_of_another_version_is_named_and_left_alone(data: DataDir) -> None:
    start(data).close()
    version = data.path / "postgres" / "cluster" / "PG_VERSION"
    version.write_text("12\n")

    with pytest.raises(DataDirUnusable, match="made by PostgreSQL 12"):
        start(data)
    assert version.exists()


def test_a_half_made_cluster_is_begun_anew(data: DataDir) -> None:
    home = data.folder("postgres", of_servers=True)
    (home / "part").mkdir()
    (home / "part" / "junk").write_text("of an initdb that was killed")

    servers = start(data)
    with psycopg.connect(servers.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT 1").fetchone()
    servers.close()

    assert row == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another user")
def test_as_root_the_servers_run_as_an_ordinary_user_and_no_folder_above_changes(
    data: DataDir,
) -> None:
    above = stat.S_IMODE(data.path.parent.stat().st_mode)
    servers = start(data)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids(servers)}
    servers.close()

    user = server_user()
    assert user is not None
    assert owners == {user.uid}
    assert 0 not in owners
    assert stat.S_IMODE(data.path.parent.stat().st_mode) == above


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another user")
def test_as_root_a_folder_that_the_servers_user_cannot_reach_is_refused_with_advice(
    data: DataDir,
) -> None:
    data.path.chmod(0o700)
    chosen = {"CCAPI_DATA_DIR": str(data.path / "inside")}

    with pytest.raises(DataDirUnusable, match="cannot be reached by the user"):
        open_data_dir(chosen, product.ROOT)


def test_a_short_command_waits_for_its_guests_before_it_stops_the_servers(data: DataDir) -> None:
    inner = "time.sleep(3); connection.cursor().execute('SELECT 1'); print('STILL THERE')"
    owner = start(data, "migrate")
    code = f"import time; from django.db import connection; print('IN', flush=True); {inner}"
    with product.running("shell", "--no-imports", "-c", code, data=data.path) as guest:
        guest.wait_for("IN")
        began = time.monotonic()
        owner.wait_for_guests()
        waited_s = time.monotonic() - began
        owner.close()
        guest.wait_for("STILL THERE")

    assert waited_s > 1
