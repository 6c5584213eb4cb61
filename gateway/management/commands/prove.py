"""`manage.py prove overdraft|failover|crash|all`: our promises, checked on this machine.

On a product of its own that is gone afterwards. Exit 1 where a claim does not hold.
"""

import json
import os
import random
import sys
from argparse import ArgumentParser
from typing import Any, Protocol

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ccapi.devserver.throwaway import Interrupted, StartFailed, Throwaway, throwaway
from gateway.proofs import crash, failover, overdraft
from gateway.proofs.stage import Stage, StageFailed, staged
from gateway.proofs.verdict import Verdict


class Proof(Protocol):
    """What a module of `gateway.proofs` offers that is one."""

    def credits_needed(self, seconds: float, /) -> list[str]: ...

    def prove(self, stage: Stage) -> Verdict: ...


PROOFS: dict[str, Proof] = {"overdraft": overdraft, "failover": failover, "crash": crash}
SECONDS = 20.0
# So that the sweeper has something to do within the minute.
HOLDS = {"CCAPI_HOLD_TTL_S": "4", "CCAPI_SWEEP_S": "0.5"}


def exit_code(verdicts: list[Verdict]) -> int:
    return 0 if all(verdict.holds for verdict in verdicts) else 1


class Command(BaseCommand):
    help = "Check our promises on this machine: overdraft, crash, failover, or all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("proof", choices=[*PROOFS, "all"])
        parser.add_argument(
            "--seconds", type=float, default=SECONDS, help=f"of load, a proof; default {SECONDS:g}"
        )
        parser.add_argument("--seed", type=int, help="of everything random; default: a new one")
        parser.add_argument("--json", action="store_true", help="one JSON line instead of text")

    def handle(self, *_: object, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        if settings.PRODUCTION:
            raise CommandError("`prove` makes its own servers, and CCAPI_ENV is production.")
        names = list(PROOFS) if options["proof"] == "all" else [options["proof"]]
        seed = random.getrandbits(32) if options["seed"] is None else options["seed"]
        try:
            with throwaway("prove", os.environ, **HOLDS) as product:
                verdicts = self._prove(product, names, seed, options)
        except Interrupted as interrupted:
            sys.exit(interrupted.exit_code)
        except (StartFailed, StageFailed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            proofs = [verdict.json() for verdict in verdicts]
            self.stdout.write(json.dumps({"seed": seed, "proofs": proofs}))
        if code := exit_code(verdicts):
            sys.exit(code)

    def _prove(
        self, product: Throwaway, names: list[str], seed: int, options: dict[str, Any]
    ) -> list[Verdict]:
        seconds: float = options["seconds"]
        needed = [credit for name in names for credit in PROOFS[name].credits_needed(seconds)]
        verdicts = []
        with staged(product, needed, seconds=seconds, seed=seed) as stage:
            for name in names:
                verdict = PROOFS[name].prove(stage)
                verdicts.append(verdict)
                if not options["json"]:
                    self.stdout.write(verdict.text())
        return verdicts
