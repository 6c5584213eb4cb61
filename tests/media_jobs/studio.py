"""The whole product with its worker: an atelier upstream, one web process, a worker, a beat.

The worker is Celery's own command in a process of its own; a test may have it die at a point of a
job's life (`tests.media_jobs.mortal`).
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import redis
from celery import Celery

from ccapi.devserver import jobs, processes
from media_jobs.queue import broker_url
from tests.e2e.stack import ROOT, Account, Stack
from tests.fakes.receiver import Receiver
from tests.fakes.upstream import Upstream, closed_port
from tests.media_jobs.atelier import Atelier

PRICE = 10_000_000  # nano-dollars a picture
LEASE_S = 1.0
COMMAND = ("-A", "ccapi.celery", "--quiet")
# As in production, with shorter times.
ENVIRONMENT = {
    "CCAPI_JOB_LEASE_S": str(LEASE_S),
    "CCAPI_JOB_RETRY_S": "0.2",
    "CCAPI_JOB_SWEEP_S": "0.3",
    "CCAPI_JOB_REQUEUE_S": "1",
    "CCAPI_WORKER_PROCESSES": "4",
    "CCAPI_IMAGE_WAIT_S": "20",
    "CCAPI_JOBS_OPEN_MAX": "1000",
}


class Process:
    """A worker or a beat, in a group of its own. The kernel ends it with us."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.is_worker = "worker" in arguments
        self.process = processes.spawn(
            [sys.executable, *arguments], folder=ROOT, environment=environment
        )

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would: the main process, and nobody else by us."""
        self.process.kill()
        self.process.wait(10)

    def has_left_nothing(self) -> bool:
        """Whether every process of its group is gone."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Studio:
    """A stack with a worker.

    `receiver` is a customer's, for webhooks; `folder` has the marks of points at which a worker
    dies.
    """

    def __init__(self, stack: Stack, atelier: Atelier, receiver: Receiver, folder: Path) -> None:
        self.stack, self.atelier, self.receiver = stack, atelier, receiver
        self.folder = folder
        self._processes: list[Process] = []

    def worker(self, **environment: str) -> Process:
        """One that does everything, in processes, so that a test may have any of it die."""
        both = f"{self.queue},{jobs.quick_queue(self.stack.environment)}"
        return self._run(
            ["-m", "tests.media_jobs.mortal", *COMMAND, *jobs.WORKER, "-Q", both], environment
        )

    def calling_worker(self, **environment: str) -> Process:
        """The one for calls, as production runs it."""
        return self._run(["-m", "celery", *COMMAND, *jobs.WORKER], environment)

    def quick_worker(self, **environment: str) -> Process:
        """The one for what is quick, as production runs it."""
        return self._run(["-m", "celery", *COMMAND, *quick(self.stack)], environment)

    def beat(self) -> Process:
        return self._run(["-m", "celery", *COMMAND, "beat"], {})

    def _run(self, arguments: list[str], environment: dict[str, str]) -> Process:
        process = Process(arguments, {**self.stack.environment, **environment})
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()

    def replace_worker(self) -> Process:
        """Kill the worker, and start another one in its place; the one that was killed."""
        killed = next(each for each in self._processes if each.is_worker and each.is_alive)
        self._processes.remove(killed)
        killed.kill()
        self.worker()
        return killed

    def send(self, job: str) -> None:
        """One more message for a job, as a broker that delivers twice would have it."""
        with self._broker() as app:
            app.send_task("media_jobs.perform", args=[job], retry=False)

    def flush(self) -> None:
        """The broker loses every message that nobody has taken yet."""
        with redis.Redis.from_url(self.stack.environment["REDIS_URL"]) as broker:
            for queue in (self.queue, jobs.quick_queue(self.stack.environment)):
                broker.delete(f"ccapi:celery:{queue}")

    @contextlib.contextmanager
    def _broker(self) -> Iterator[Celery]:
        app = Celery(
            "tests", broker=broker_url(self.stack.environment["REDIS_URL"]), set_as_current=False
        )
        app.conf.update(
            task_default_queue=self.queue,
            broker_transport_options={"global_keyprefix": "ccapi:celery:"},
        )
        with contextlib.closing(app):
            yield app

    @property
    def queue(self) -> str:
        return self.stack.environment["CCAPI_QUEUE"]

    def die_at(self, point: str, times: int = 1) -> None:
        """Let the next `times` performances that come to this point be killed there."""
        for number in range(times):
            (self.folder / f"{point}.{number}").touch()

    def order(
        self,
        account: Account,
        prompt: str,
        *,
        model: str = "atelier/one",
        n: int = 1,
        **fields: object,
    ) -> httpx2.Response:
        """POST /images/generate, answered at once by 202."""
        headers = {"prefer": "respond-async"}
        body: dict[str, object] = {
            "model": model,
            "contents": [{"text": prompt}],
            "parameters": {"num_images": n},
            **fields,
        }
        with self.stack.http(account) as client:
            return client.post("/v1/images/generate", json=body, headers=headers)

    def job(self, account: Account, job: str) -> dict[str, Any]:
        with self.stack.http(account) as client:
            answer = client.get(f"/v1/images/jobs/{job}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def end_of(self, account: Account, job: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The job once it has ended."""
        until = time.monotonic() + timeout_s
        while True:
            told = self.job(account, job)
            if told["status"] in ("completed", "failed", "cancelled"):
                return told
            assert time.monotonic() < until, f"still {told}"
            time.sleep(0.05)

    def charged(self, account: Account) -> int:
        """What the account has paid, in pictures' prices; nothing may be held any more."""
        posted, held = self.stack.balance(account)
        assert held == 0
        paid, rest = divmod(1_000_000_000 - posted, PRICE)
        assert rest == 0
        return paid


def catalog(atelier: str) -> dict[str, Any]:
    """Two makers that answer at once, and three that take their time, one or two orders at once."""

    def provider(name: str, protocol: str, concurrent: int = 0) -> dict[str, Any]:
        return {
            "name": name,
            "display_name": name.title(),
            "protocol": protocol,
            "base_url": f"{atelier}/v1",
            "api_key": f"upstream-secret-of-{name}",
            "enabled": True,
            "limits": {"concurrent": concurrent},
            "timeouts": {
                "connect": 1,
                "first_byte": 10,
                "first_byte_with_alternative": 5,
                "idle": 10,
                "total": 10,
            },
        }

    def model(name: str, upstream: str) -> dict[str, Any]:
        return {
            "id": name,
            "upstream_model": upstream,
            "type": "image",
            "display_name": name,
            "context_length": 0,
            "max_output_tokens": 0,
            "capabilities": [],
            "input_modalities": ["text", "image"],
            "output_modalities": ["image"],
            "prices": {"image": "0.01"},
        }

    return {
        "providers": [
            provider("atelier", "openai"),
            provider("spare", "openai"),
            provider("slow", "replicate"),
            provider("narrow", "replicate", 2),
            provider("single", "replicate", 1),
        ],
        "models": [
            model("atelier/one", "one"),
            model("spare/one", "one"),
            model("slow/one", "acme/one"),
            model("narrow/one", "acme/one"),
            model("single/one", "acme/one"),
        ],
    }


def quick(stack: Stack) -> tuple[str, ...]:
    return (*jobs.QUICK, "-Q", jobs.quick_queue(stack.environment))


@contextlib.contextmanager
def working(stack: Stack) -> Iterator[None]:
    """Both workers and a beat beside the web processes of any stack, as production runs them."""
    processes = [
        Process(["-m", "celery", *COMMAND, *arguments], stack.environment)
        for arguments in (jobs.WORKER, quick(stack), ("beat",))
    ]
    try:
        yield
    finally:
        for each in processes:
            each.stop()


@contextlib.contextmanager
def running(*, accounts: dict[str, int], name: str) -> Iterator[Studio]:
    """A studio that is taken down whatever happens; its worker is started by the test."""
    with (
        Upstream() as upstream,
        closed_port() as dead,
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Atelier()) as atelier,
        contextlib.closing(Receiver()) as receiver,
    ):
        marks = Path(folder) / "marks"
        marks.mkdir()
        environment = {
            **ENVIRONMENT,
            "CCAPI_QUEUE": f"jobs-{name}-{os.getpid()}",
            "CCAPI_ARTEFACT_DIR": f"{folder}/artefacts",
            "CCAPI_TEST_MARKS": str(marks),
            "CCAPI_EGRESS_ALLOW": f"{atelier.url.removeprefix('http://')},{receiver.host}",
            "CCAPI_WEBHOOK_SCHEDULE_S": "0,0.2,1",
        }
        stack = Stack(
            upstream,
            dead,
            accounts=accounts,
            name=name,
            environment=environment,
            catalog=catalog(atelier.url),
        )
        studio = Studio(stack, atelier, receiver, marks)
        try:
            yield studio
        finally:
            studio.close()
            stack.close()


def wait_for_job(stack: Stack, job: str, condition: str, *, timeout_s: float = 10.0) -> None:
    """Until its row meets a condition in SQL."""
    deadline = time.monotonic() + timeout_s
    query = f"SELECT 1 FROM media_job WHERE id = %s AND {condition}"  # noqa: S608 — ours
    while not stack.rows(query, job.removeprefix("job_")):
        assert time.monotonic() < deadline, f"{condition}: never"
        time.sleep(0.02)
