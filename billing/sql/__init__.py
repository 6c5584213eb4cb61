"""The SQL that moves money, one file a function; migrations install it.

A released function is never edited: a new version is a new file with a new suffix, so that old
and new processes can run side by side while a deployment is under way.
"""

from pathlib import Path

from django.db.migrations import RunSQL
from django.db.migrations.operations.base import Operation


def install(name: str, undo: str) -> Operation:
    """The operation that runs `name.sql`; `undo` is SQL, or the name of a `.sql` file."""
    folder = Path(__file__).parent
    reverse = (folder / undo).read_text() if undo.endswith(".sql") else undo
    return RunSQL([(folder / f"{name}.sql").read_text()], reverse_sql=[reverse])
