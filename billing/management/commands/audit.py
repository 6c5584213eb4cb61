"""`manage.py audit`: every invariant of the money, one line each; exit 1 where one is broken."""

import sys

from django.core.management.base import BaseCommand

from billing.audit import audit
from ccapi.core.alerts import Kind, flush, raise_alert

ALERTS_S = 15.0  # for the mail server; what is not told by then is in the log


class Command(BaseCommand):
    help = "Check every money invariant; a line each, and exit 1 where one is broken."

    def handle(self, *_args: object, **_options: object) -> None:
        findings = audit()
        for finding in findings:
            verdict = "BROKEN" if finding.broken else "ok"
            self.stdout.write(f"{finding.name} {verdict} {finding.broken}")
            for row in finding.sample:
                self.stdout.write("    " + " ".join(str(value) for value in row))
        broken = [finding.name for finding in findings if finding.broken]
        if broken:
            names = ", ".join(broken)
            for finding in findings:
                if finding.broken:
                    text = f"`manage.py audit` found {finding.broken} rows that break it."
                    raise_alert(Kind.AUDIT_BROKEN, finding.name, text)
            flush(ALERTS_S)
            self.stdout.write(f"{len(broken)} of {len(findings)} invariants are broken: {names}.")
            sys.exit(1)
        self.stdout.write(f"All {len(findings)} invariants hold.")
