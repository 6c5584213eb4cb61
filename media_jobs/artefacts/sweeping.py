"""Deleting artefacts in time, and files that nobody has a row for.

Files go first, rows after them, in steps that may be repeated: a process killed in between leaves a
row whose file is gone, which the next pass ends. A file without a row is what a rolled-back
transaction, or a kill between the two, has left. No transaction is open while a storage is asked.
"""

from datetime import timedelta

from django.db.models.functions import Now

from ccapi.core import clock
from media_jobs.artefacts import names
from media_jobs.artefacts.models import Artefact
from media_jobs.artefacts.storages import storage

BATCH = 500
# A file may be older than its row by as long as a transaction takes.
ORPHAN_AGE = timedelta(hours=1)


def delete_due() -> int:
    """Delete what has expired; how many."""
    count = 0
    while True:
        due = list(
            Artefact.objects.filter(expires_at__lte=Now())
            .order_by("expires_at")
            .values_list("name", flat=True)[:BATCH]
        )
        for name in due:
            storage().delete(names.path(name))
        count += Artefact.objects.filter(name__in=due).delete()[0]
        if len(due) < BATCH:
            return count


def sweep_orphans() -> int:
    """Delete files without a row, and the empty folders of hours that are over; how many files."""
    kept = storage()
    try:
        folders, _ = kept.listdir("")
    except FileNotFoundError:  # nothing was ever kept
        return 0
    count = 0
    for folder in folders:
        end = names.folder_end(folder)
        if end is None:
            continue
        inner, found = kept.listdir(folder)
        files = [name for name in found if names.is_name(name)]
        left = len(inner) + len(found)
        for start in range(0, len(files), BATCH):
            orphans = _orphans(folder, files[start : start + BATCH])
            for name in orphans:
                kept.delete(f"{folder}/{name}")
            count, left = count + len(orphans), left - len(orphans)
        if not left and end + 2 * ORPHAN_AGE < clock.now():
            kept.delete(folder)  # a folder among files; nothing at all in a bucket
    return count


def _orphans(folder: str, files: list[str]) -> list[str]:
    with_row = set(Artefact.objects.filter(name__in=files).values_list("name", flat=True))
    old = clock.now() - ORPHAN_AGE
    found = []
    for name in files:
        if name in with_row:
            continue
        try:
            if storage().get_modified_time(f"{folder}/{name}") < old:
                found.append(name)
        except FileNotFoundError:  # another sweeper's
            continue
    return found
