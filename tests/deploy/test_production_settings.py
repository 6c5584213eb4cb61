"""What production's settings refuse, and that Django has nothing to say about them."""

import os
import subprocess
import sys

import pytest

from tests.deploy.shape import ROOT, secrets_of_production

SECRETS = ("SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY", "DATABASE_URL", "REDIS_URL")


def production(*command: str, without: str = "") -> "subprocess.CompletedProcess[str]":
    """A command with whole production settings, but for one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CCAPI_")}
    environment = {
        **kept,
        **secrets_of_production(),
        "CCAPI_ENV": "production",
        "CCAPI_ALLOWED_HOSTS": "api.example.com",
        "DATABASE_URL": "postgresql://ccapi:secret@127.0.0.1:1/ccapi",
        "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
    }
    environment.pop(without, None)
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_djangos_check_for_deployment_finds_nothing() -> None:
    done = production("manage.py", "check", "--deploy", "--fail-level", "INFO")

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("name", SECRETS)
def test_production_without_a_secret_stops_and_names_it(name: str) -> None:
    done = production("-c", "import ccapi.settings", without=name)

    assert done.returncode != 0
    assert f"{name} is not set; production needs it." in done.stderr


def test_a_web_process_without_its_secrets_does_not_start() -> None:
    done = production("-m", "ccapi.web", "--port", "0", without="CCAPI_KEY_PEPPER")

    assert done.returncode != 0
    assert "CCAPI_KEY_PEPPER is not set" in done.stderr


def test_a_web_process_says_why_it_cannot_listen() -> None:
    done = production("-m", "ccapi.web", "--host", "203.0.113.1", "--port", "8000")

    assert done.returncode == 1
    assert done.stderr.startswith("Cannot listen at 203.0.113.1:8000: ")
