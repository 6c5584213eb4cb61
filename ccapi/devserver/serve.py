"""`manage.py serve`: the whole product on one machine, by one command.

Databases, tables, catalog, sandbox, local models, a first key, worker and beat, web processes, in
this order; then it watches them until Ctrl-C. How each is launched lives in its own module, what
happens when one dies in the supervisor.
"""

import argparse
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccapi.devserver import jobs, processes
from ccapi.devserver.bootstrap import ROOT
from ccapi.devserver.console import say
from ccapi.devserver.data_dir import open_data_dir
from ccapi.devserver.servers import Servers, open_servers
from ccapi.devserver.service import Service
from ccapi.devserver.supervisor import Interrupted, ServiceDied, Supervisor, interruptible
from ccapi.web import grace_s

READY_S = 60.0
METRICS_PORT = 9464  # or the next free one; OpenTelemetry's for Prometheus
WEB_GRACE_S = 30.0  # beyond its own: it ends its answers, then writes down what they cost
LOCAL_MODEL = "local/smollm2-135m"
SANDBOX_MODEL = "sandbox/echo"


def serve(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run until a signal (0) or until something vital has failed (1)."""
    options = _parse(arguments)
    supervisor = Supervisor()
    servers: Servers | None = None
    with interruptible():
        try:
            servers = open_servers(
                open_data_dir(environment, ROOT),
                {**environment, "PYTHONUNBUFFERED": "1"},
                owner="serve",
            )
            for service in servers.services:
                supervisor.add(service)
            _start(supervisor, servers, options)
            supervisor.watch()
        except Interrupted as interrupted:
            say(f"{interrupted}: stopping. Once more ends everything at once.")
            return 0
        except (ServiceDied, processes.StartFailed) as error:
            say(f"{error}\nStopping.")
            return 1
        finally:
            supervisor.stop()
            if servers:
                servers.close()
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument(
        "--port", type=int, default=8000, help="default: 8000, or the next free one"
    )
    parser.add_argument(
        "--workers", type=_at_least_one, default=1, help="web processes; default: 1"
    )
    parser.add_argument("--no-local-models", action="store_true", help="without the local models")
    parser.add_argument("--json", action="store_true", help="one JSON line on stdout once ready")
    return parser.parse_args(arguments)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _start(supervisor: Supervisor, servers: Servers, options: argparse.Namespace) -> None:
    listener = processes.listen(options.host, options.port)
    url = _url(options.host, listener)
    if options.port not in (0, listener.getsockname()[1]):
        say(f"Port {options.port} is taken; using {listener.getsockname()[1]}.")
    metrics = _metrics(servers)
    servers.tell(url=url, metrics=metrics)
    sandbox = _sandbox(servers)
    local = {} if options.no_local_models else _local_models(servers)
    for upstream in (sandbox, *local.values()):
        supervisor.add(upstream.service)
    for upstream in (sandbox, *local.values()):
        upstream.wait_ready()
    credentials = _prepare(
        servers, sandbox.base_url, {name: each.base_url for name, each in local.items()}
    )
    for service in jobs.services(servers):
        supervisor.add(service)
    for number in range(1, options.workers + 1):
        supervisor.add(_web(servers, listener, number))
    web = supervisor.watched[-1].service.process
    assert web is not None  # noqa: S101 - just started
    # Whichever worker answers: all are the same, and those that come later share the socket's
    # queue.
    processes.wait_until(
        lambda: processes.answers(f"{url}/models", status_max=499),
        process=web,
        name="The web process",
        timeout_s=READY_S,
        log=None,
    )
    _announce(url, metrics, credentials, options)


def _metrics(servers: Servers) -> str:
    """Where the figures of all web processes will be told; "" where that is turned off."""
    environment = servers.environment
    port = int(environment.get("CCAPI_METRICS_PORT") or METRICS_PORT)
    if not port:
        return ""
    host = environment.get("CCAPI_METRICS_HOST", "127.0.0.1")
    # The web processes share the port among themselves; it must be nobody else's now.
    with processes.listen(host, port) as probe:
        port = probe.getsockname()[1]
        url = _url(host, probe)
    folder = servers.data.path / "metrics"
    shutil.rmtree(folder, ignore_errors=True)  # counters begin at nothing with each `serve`
    environment |= {"CCAPI_METRICS_PORT": str(port), "CCAPI_METRICS_DIR": str(folder)}
    return f"{url}/metrics"


@dataclass(frozen=True)
class _Upstream:
    """A model server of ours that the gateway calls like any provider."""

    service: Service
    base_url: str
    health_url: str

    def wait_ready(self) -> None:
        process = self.service.process
        assert process is not None  # noqa: S101 - started by the supervisor
        processes.wait_until(
            lambda: processes.answers(self.health_url),
            process=process,
            name=self.service.name,
            timeout_s=READY_S,
            log=None,
        )


def _sandbox(servers: Servers) -> _Upstream:
    listener = processes.listen("127.0.0.1", processes.free_port())
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def launch() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gateway.sandbox", "--fd", str(listener.fileno())]
        return processes.spawn(
            command,
            environment=servers.environment,
            folder=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr.fileno(),
            pass_fds=[listener.fileno()],
        )

    return _Upstream(Service("sandbox", launch), f"{address}/v1", f"{address}/healthz")


def _local_models(servers: Servers) -> dict[str, _Upstream]:
    """By the provider that they are in the catalog."""
    return {
        "local": _local(servers, "local_model", "local model"),
        "local-media": _local(servers, "local_media", "local voice and pictures"),
    }


def _local(servers: Servers, module: str, name: str) -> _Upstream:
    port = processes.free_port()
    log = servers.data.log(module)

    def launch() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"ccapi.devserver.{module}", "--port", str(port)]
        with log.open("ab") as output:
            return processes.spawn(
                command, environment=servers.environment, folder=ROOT, stdout=output, stderr=output
            )

    address = f"http://127.0.0.1:{port}"
    return _Upstream(Service(name, launch), f"{address}/v1", f"{address}/health")


def _web(servers: Servers, listener: socket.socket, number: int) -> Service:
    def launch() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ccapi.web", "--fd", str(listener.fileno())]
        return processes.spawn(
            command,
            environment=servers.environment,
            folder=ROOT,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            pass_fds=[listener.fileno()],
        )

    return Service(
        f"web {number}",
        launch,
        grace_s=grace_s() + WEB_GRACE_S,
        kill_signal=signal.SIGTERM,  # a second one leaves its answers no time, but ends them
        group="web",
        # Ours would keep new connections waiting once the web processes have closed theirs.
        before_end=listener.close,
    )


def _prepare(servers: Servers, sandbox_url: str, local_urls: Mapping[str, str]) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "ccapi.devserver.prepare"),
        *("--data-dir", str(servers.data.path), "--sandbox-url", sandbox_url),
        *(f"--local={name}={url}" for name, url in local_urls.items()),
    ]
    process = processes.spawn(
        command,
        environment=servers.environment,
        folder=ROOT,
        stdout=subprocess.PIPE,
        stderr=sys.stderr.fileno(),
    )
    try:
        output, _ = process.communicate()
    except BaseException:  # a signal: it must be gone before its database is
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise processes.StartFailed("The database could not be prepared; the reason stands above.")
    credentials: dict[str, Any] = json.loads(output.splitlines()[-1])
    return credentials


def _announce(
    url: str, metrics: str, credentials: dict[str, Any], options: argparse.Namespace
) -> None:
    if options.json:
        print(json.dumps({"url": url, "metrics": metrics, **credentials}), flush=True)
        return
    admin = credentials["admin"]
    model = SANDBOX_MODEL if options.no_local_models else LOCAL_MODEL
    messages = [{"role": "user", "content": "Why is the sky blue?"}]
    question = {"model": model, "max_tokens": 100, "messages": messages}
    print(
        f"""
CCAPI is ready.

  URL           {url}
  API key       {credentials["api_key"]}
  Organization  {credentials["organization"]}
  Admin         {url}/admin/
                {admin["email"]}  {admin["password"] or "(the password that you have set)"}
  Metrics       {metrics or "(off)"}

Ask {model}:

  curl -s {url}/v1/chat/completions \\
    -H "Authorization: Bearer {credentials["api_key"]}" \\
    -H "Content-Type: application/json" \\
    -d {shlex.quote(json.dumps(question))}

Ctrl-C stops everything.
""",
        flush=True,
    )


def _url(host: str, listener: socket.socket) -> str:
    """Where a person on this machine reaches the listener."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{shown}:{listener.getsockname()[1]}"
