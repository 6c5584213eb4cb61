"""Makes a product's database ready for a proof or a bench, by the operator's own commands.

`python -m gateway.proofs.prepare`: one process for all of them, since each would take a second to
start. `Wanted` comes in, the list of `Made` goes out, as JSON.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import msgspec

UNLIMITED = {"rpm": 0, "tpm": 0, "concurrent": 0}


class Wanted(msgspec.Struct):
    """`catalog` is a catalog file's content; `credits` in dollars, an organization each."""

    catalog: dict[str, object]
    credits: list[str]
    limits: dict[str, int] = msgspec.field(default_factory=lambda: dict(UNLIMITED))


class Made(msgspec.Struct):
    organization: str
    api_key: str
    credit: str


def main() -> None:
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ccapi.settings")

    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:  # JSON is YAML
        json.dump(wanted.catalog, file)
        file.flush()
        with contextlib.redirect_stdout(io.StringIO()):
            call_command("catalog", "import", str(Path(file.name)))
    made = [_organization(number, credit, wanted) for number, credit in enumerate(wanted.credits)]
    sys.stdout.write(msgspec.json.encode(made).decode() + "\n")


def _organization(number: int, credit: str, wanted: Wanted) -> Made:
    from django.core.management import call_command

    printed = io.StringIO()
    limits = [text for name, limit in wanted.limits.items() for text in (f"--{name}", str(limit))]
    arguments = (f"Customer {number}", "--email", f"customer{number}@example.com")
    call_command(
        *("account", "create", *arguments, "--credit", credit, *limits, "--json"), stdout=printed
    )
    told = json.loads(printed.getvalue())
    return Made(told["organization"], told["api_key"], credit)


if __name__ == "__main__":
    main()
