"""A backup while customers are served, restored elsewhere: the ledger holds, and keys still work.

By the commands of the README, with the programs of the embedded PostgreSQL.
"""

import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.billing.server import PROGRAMS
from tests.deploy.load import BODY, Load
from tests.deploy.shape import HOST, Account, Shape


def program(shape: Shape, name: str, *arguments: str) -> None:
    done = subprocess.run(
        [PROGRAMS / name, *arguments],
        env=shape.program_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def dump(shape: Shape, customer: Account, tmp_path: Path) -> Path:
    """Taken while requests are held and settled."""
    file = tmp_path / "ccapi.dump"
    with Load([f"http://127.0.0.1:{port}" for port in shape.ports], customer) as load:
        program(
            shape, "pg_dump", "-U", "postgres", "-d", "ccapi", "--format=custom", f"--file={file}"
        )
        load.more(5)
    assert load.told() == {(200, ""): len(load.asked)}
    return file


def test_a_backup_under_load_is_restored_whole(shape: Shape, customer: Account, dump: Path) -> None:
    program(shape, "createdb", "-U", "postgres", "--owner=ccapi_owner", "restored")
    program(shape, "pg_restore", "-U", "postgres", "-d", "restored", "--exit-on-error", str(dump))

    audit = shape.done("audit", database="restored")
    url = shape.start_web(2, database="restored")
    headers = {"authorization": f"Bearer {customer.api_key}", "host": HOST}
    answer = httpx2.post(f"{url}/v1/chat/completions", json=BODY, headers=headers, timeout=10)

    assert "BROKEN" not in audit
    assert answer.status_code == 200
    for secret in ("SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY"):
        assert shape.settings[secret].encode() not in dump.read_bytes()
    assert customer.api_key.encode() not in dump.read_bytes()
