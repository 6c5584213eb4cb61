"""`manage.py bench`: what a request costs, measured on this machine.

Against a fake upstream of its own, on a product of its own with everything on (keys, limits, holds,
durable settlement), one web process on one core. `--against` measures another gateway in the same
run; it must call the fake upstream, whose address is told (`--upstream-port`).
"""

import contextlib
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ccapi.devserver.throwaway import Interrupted, StartFailed, Throwaway, throwaway
from gateway.bench import catalog, cpu
from gateway.bench.report import Report, report
from gateway.bench.runs import GATEWAY, STREAMS, BenchFailed, Plan, Target, carry_out
from gateway.bench.wire import Protocol
from gateway.proofs.prepare import Wanted
from gateway.proofs.stage import StageFailed, prepare

SECONDS, TURNS = 4.0, 3
WARM_S = 1.5
PEERS_WARM_S = 4.0  # V8 compiles for seconds
PEERS_UPSTREAM_PORT = 9100


class Command(BaseCommand):
    help = "Measure what a request costs the gateway: CPU, added latency, memory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=SECONDS, help="of each run")
        parser.add_argument("--runs", type=int, default=TURNS, help="of each kind, interleaved")
        parser.add_argument(
            "--streams", type=int, default=STREAMS, help=f"paced ones at once; default: {STREAMS}"
        )
        parser.add_argument(
            "--protocol", choices=["openai", "anthropic"], default="openai", help="of both sides"
        )
        parser.add_argument(
            "--converted", action="store_true", help="a Claude client of an OpenAI upstream as well"
        )
        parser.add_argument(
            "--against", metavar="URL", help="another gateway, up to its version (…/v1)"
        )
        parser.add_argument("--key", default="", help="its key")
        parser.add_argument("--model", default="", help="what it calls the fake upstream's model")
        parser.add_argument("--pid", type=int, help="its process, to measure its CPU time")
        parser.add_argument(
            "--upstream-port",
            type=int,
            help=f"of the fake upstream; default: {PEERS_UPSTREAM_PORT} with --against, else any",
        )
        parser.add_argument("--json", action="store_true", help="one JSON line instead of a table")

    def handle(self, *_: object, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        if settings.PRODUCTION:
            raise CommandError("`bench` makes its own servers, and CCAPI_ENV is production.")
        if options["against"] and not options["model"]:
            raise CommandError("--against needs --model.")
        try:
            with throwaway("bench", os.environ) as product:
                told = self._measure(product, options)
        except Interrupted as interrupted:
            sys.exit(interrupted.exit_code)
        except (StartFailed, StageFailed, BenchFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(told.json()) if options["json"] else told.text())

    def _measure(self, product: Throwaway, options: dict[str, Any]) -> Report:
        own_core, other_cores = _cores()
        port = options["upstream_port"] or (PEERS_UPSTREAM_PORT if options["against"] else 0)
        with _upstream(product, port, other_cores) as url:
            self.stderr.write(f"The fake upstream is at {url}.")
            wanted = Wanted(catalog.document(url), [catalog.CREDIT], catalog.LIMITS)
            customer = prepare(product, wanted)[0]
            product.start_webs(1, cores=own_core)
            for pid in product.server_pids.values():
                _pin(pid, other_cores)
            targets = _targets(product, customer.api_key, url, options)
            plan = Plan(
                seconds=options["seconds"],
                turns=options["runs"],
                warm_s=PEERS_WARM_S if options["against"] else min(WARM_S, options["seconds"]),
                cores=other_cores,
                streams=options["streams"],
            )
            results = carry_out(targets, plan, self.stderr.write)
        return report(results, targets, _conditions(options, own_core))


def _targets(
    product: Throwaway, key: str, upstream_url: str, options: dict[str, Any]
) -> list[Target]:
    """The upstream itself, ours, and whom it is compared with."""
    protocol: Protocol = options["protocol"]
    watched = {GATEWAY: product.web_pids} | {
        name: [pid] for name, pid in product.server_pids.items()
    }
    url = product.urls[0] + "/v1"
    ours = Target(
        name="CCAPI",
        url=url,
        model=catalog.MODELS[protocol],
        key=key,
        protocol=protocol,
        watched=watched if cpu.is_known() else {},
    )
    targets = [Target(name="upstream", url=upstream_url, model="fast", is_upstream=True), ours]
    if options["converted"]:
        targets.append(
            Target(
                name="CCAPI, Claude on OpenAI",
                url=url,
                model=catalog.MODELS["openai"],
                key=key,
                protocol="anthropic",
                watched=ours.watched,
            )
        )
    if options["against"]:
        targets.append(
            Target(
                name="the other",
                url=options["against"].rstrip("/"),
                model=options["model"],
                key=options["key"],
                protocol=protocol,
                watched={GATEWAY: [options["pid"]]} if options["pid"] and cpu.is_known() else {},
            )
        )
    return targets


@contextlib.contextmanager
def _upstream(product: Throwaway, port: int, cores: set[int] | None) -> Iterator[str]:
    """The fake upstream's address, up to its version."""
    process = product.spawn("-m", "gateway.bench.upstream", str(port))
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        told = process.stdout.readline().strip()
        if not told:
            raise BenchFailed(f"The fake upstream did not start; is port {port} taken?")
        _pin(process.pid, cores)
        yield f"http://127.0.0.1:{int(told)}/v1"
    finally:
        process.kill()
        process.communicate()


def _cores() -> tuple[set[int] | None, set[int] | None]:
    """One core for the gateway, the others for everybody else; None where that cannot be."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)


def _pin(root: int, cores: set[int] | None) -> None:
    if cores is not None:
        for pid in cpu.tree(root):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(pid, cores)


def _conditions(options: dict[str, Any], own_core: set[int] | None) -> str:
    runs = f"{options['runs']} interleaved runs of {options['seconds']:g} s: median [range]"
    paced = f"{options['streams']} paced streams"
    where = (
        "the gateway alone on one core"
        if own_core
        else "nothing pinned to a core, so the CPU figures are less exact"
    )
    return (
        f"{runs}; {paced}; {os.cpu_count()} cores, {where}; keys, limits, holds and settlement on."
    )
