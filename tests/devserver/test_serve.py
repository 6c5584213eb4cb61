"""`manage.py serve` from outside, as a person or a script runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ccapi.devserver import processes
from tests.devserver import product
from tests.devserver.product import Running, running

SERVE = ("serve", "--json", "--no-local-models", "--port")


@dataclass
class Ended:
    """A start with two web processes, and how it ended."""

    data: Path
    before: dict[str, Any]  # what the folder told then
    output: str
    said: str
    found: str  # by the question that was asked meanwhile
    answer: dict[str, Any]
    family: set[int]
    webs: set[int]
    code: int
    left: dict[int, str]

    @property
    def ready(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.output)
        return line


def start(
    data: Path, how: signal.Signals, *arguments: str, until: str, question: Sequence[str]
) -> Ended:
    """Run it until it says so, ask it for an answer and a command for another, and end it."""
    before = credentials(data)
    with running("serve", *arguments, "--no-local-models", "--workers", "2", data=data) as command:
        command.wait_for(until)
        url = re.findall(r"http://127\.0\.0\.1:\d+", command.output)[0]
        answer = ask({"url": url, "api_key": credentials(data)["api_key"]})
        found = product.manage(*question, data=data)
        family = command.family()
        webs = pids_named(command, "ccapi.web")
        code = command.end(how)
        left = product.wait_until_gone(family)
        return Ended(
            data=data,
            before=before,
            output=command.output,
            said=command.told(),
            found=found.stdout + found.stderr,
            answer=answer,
            family=family,
            webs=webs,
            code=code,
            left=left,
        )


def credentials(data: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((data / "credentials.json").read_text())
    return told


@pytest.fixture(scope="module")
def serving(data: Path) -> Iterator[Running]:
    """One that goes on, on a folder of its own, for the tests that do not end it."""
    with product.data_folder() as folder:
        subprocess.run(["cp", "-a", f"{data}/.", folder], check=True)
        with running(*SERVE, str(processes.free_port()), data=folder) as command:
            command.ready()
            yield command


@pytest.fixture(scope="module")
def again(data: Path, port: str) -> Ended:
    """A second time, ended by SIGTERM."""
    query = "SELECT posted_nano FROM wallet"
    ask_for = ("db", "psql", "-Atc", query)
    return start(data, signal.SIGTERM, "--json", "--port", port, until=r"\}\n", question=ask_for)


@pytest.fixture(scope="module")
def changed(again: Ended, for_a_person: tuple[int, Ended]) -> Ended:
    """After the key was revoked and the login's owner had taken another password; killed."""
    data, email = again.data, for_a_person[1].before["admin"]["email"]  # those two came before
    user = f"get_user_model().objects.get(email={email!r})"
    change = f"user = {user}; user.set_password('their own choice'); user.save()"
    check = f"print({user}.check_password('their own choice'))"
    shell = ("shell", "--no-imports", "-c")
    door = "from django.contrib.auth import get_user_model; "
    key = "from accounts.models import ApiKey; from django.utils.timezone import now; "
    revoke = "; ApiKey.objects.update(revoked_at=now())"
    assert product.manage(*shell, door + key + change + revoke, data=data).returncode == 0
    return start(
        data,
        signal.SIGKILL,
        "--json",
        "--port",
        "0",
        until=r"\}\n",
        question=(*shell, door + check),
    )


@pytest.fixture(scope="module")
def for_a_person(data: Path) -> tuple[int, Ended]:
    """The port that was taken, and what stood on the terminal until Ctrl-C."""
    with socket.create_server(("127.0.0.1", processes.free_port())) as taken:
        number: int = taken.getsockname()[1]
        return number, start(
            data,
            signal.SIGINT,
            "--port",
            str(number),
            until=r"(?s)CCAPI is ready\..*Ctrl-C stops everything\.",
            question=("db", "url"),
        )


@pytest.fixture(scope="module")
def port() -> str:
    return str(processes.free_port())


def ask(ready: dict[str, Any], *, model: str = "sandbox/echo", **body: object) -> dict[str, Any]:
    question = {"model": model, "messages": [{"role": "user", "content": "Tell me 7."}], **body}
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{ready['url']}/v1/chat/completions",
        data=json.dumps(question).encode(),
        headers={
            "Authorization": f"Bearer {ready['api_key']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        value: dict[str, Any] = json.load(answer)
    return value


def pids_named(command: Running, fragment: str) -> set[int]:
    return {pid for pid, line in product.alive(command.family()).items() if fragment in line}


def test_one_line_says_everything_that_a_script_needs_and_the_key_works(serving: Running) -> None:
    ready = serving.ready()

    answer = ask(ready)

    assert set(ready) == {"url", "metrics", "api_key", "organization", "admin"}
    assert set(ready["admin"]) == {"email", "password"}
    assert "Tell me 7." in answer["choices"][0]["message"]["content"]
    assert serving.output.count("\n") == 1


def test_a_second_serve_on_the_same_folder_is_refused_with_the_url_of_the_first(
    serving: Running,
) -> None:
    second = product.manage(*SERVE, "0", data=serving.data)

    assert second.returncode != 0
    assert f"already running on {serving.data}" in second.stderr
    assert serving.ready()["url"] in second.stderr
    assert ask(serving.ready())["choices"]


def test_a_command_attaches_to_the_running_database(serving: Running) -> None:
    count = product.manage("db", "psql", "-Atc", "SELECT count(*) FROM api_key", data=serving.data)
    url = product.manage("db", "url", data=serving.data)

    assert int(count.stdout) == 1
    with psycopg.connect(url.stdout.strip()) as connection:
        assert connection.execute("SELECT count(*) FROM api_key").fetchone() == (1,)
    assert ask(serving.ready())["choices"]


def counted(serving: Running) -> float:
    """Requests that ended well, by the metrics."""
    with urllib.request.urlopen(serving.ready()["metrics"], timeout=5) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    found = re.findall(r'(?m)^ccapi_requests_total\{.*outcome="ok".*\} (\d+)$', text)
    return sum(map(float, found))


def test_a_web_process_that_dies_is_started_again(serving: Running) -> None:
    ask(serving.ready())
    before = pids_named(serving, "ccapi.web")
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    # The socket is the supervisor's, so a request in the meantime waits rather than being refused.
    answer = ask(serving.ready())
    after = pids_named(serving, "ccapi.web")

    assert answer["choices"]
    assert after
    assert not before & after
    assert counted(serving) >= 2, "what dead processes have counted still counts"


def test_the_next_start_tells_the_same_key_and_login_and_gives_no_credit_again(
    again: Ended, port: str
) -> None:
    same = {"url": f"http://127.0.0.1:{port}", "metrics": again.ready["metrics"]}

    assert again.ready == {**same, **again.before}
    assert again.found == "25000000000\n"


def test_a_revoked_key_is_replaced_at_the_next_start(again: Ended, changed: Ended) -> None:
    assert changed.ready["organization"] == again.ready["organization"]
    assert changed.ready["api_key"] != again.ready["api_key"]
    assert changed.answer["choices"]


def test_a_password_that_its_owner_has_changed_is_neither_told_nor_reset(changed: Ended) -> None:
    assert changed.ready["admin"] == {"email": changed.before["admin"]["email"], "password": None}
    assert changed.found == "True\n"


def test_a_person_reads_the_url_at_the_next_free_port_the_login_and_a_curl_line(
    data: Path, for_a_person: tuple[int, Ended]
) -> None:
    number, told = for_a_person
    text = told.output
    given = next(n for n in range(number + 1, number + 50) if f"http://127.0.0.1:{n}\n" in text)

    assert f"Port {number} is taken; using {given}." in told.said
    assert f"curl -s http://127.0.0.1:{given}/v1/chat/completions" in text
    assert f"Authorization: Bearer {told.before['api_key']}" in text
    assert told.before["admin"]["email"] in text
    assert (data / "credentials.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)]
)
def test_nothing_is_left_however_it_ends(
    again: Ended,
    for_a_person: tuple[int, Ended],
    changed: Ended,
    how: signal.Signals,
    code: int,
) -> None:
    ended = {signal.SIGTERM: again, signal.SIGINT: for_a_person[1], signal.SIGKILL: changed}[how]

    assert len(ended.webs) == 2
    # Itself, two databases, sandbox, beat, two workers, two web processes.
    assert len(ended.family) >= 9
    assert ended.code == code
    assert not ended.left


def test_when_postgresql_dies_everything_ends_and_the_code_says_so(data: Path, port: str) -> None:
    with running(*SERVE, port, data=data) as command:
        command.ready()
        family = command.family()
        for pid in pids_named(command, f"-D {data}"):
            os.kill(pid, signal.SIGQUIT)

        code = command.process.wait(30)
        left = product.wait_until_gone(family)

    assert code == 1
    assert not left


def test_a_second_ctrl_c_does_not_wait_for_a_long_answer(data: Path, port: str) -> None:
    with running(*SERVE, port, data=data) as command:
        command.ready()
        family = command.family()
        with socket.create_connection(("127.0.0.1", int(port))) as client:
            # A request whose body never comes keeps its web process for as long as its grace.
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            )
            time.sleep(0.3)
            command.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            began = time.monotonic()
            command.end(signal.SIGINT)
            took_s = time.monotonic() - began
        left = product.wait_until_gone(family)

    assert took_s < 5
    assert not left
