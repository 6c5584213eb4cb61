"""Settlements on disk while PostgreSQL is away: one append-only file a process, replayed later.

A file is held under an exclusive lock (flock) by its writer; when the writer is gone the lock is
gone, and the first process that gets it replays the file and removes it. The first line names the
database, so that settlements never meet another one. What PostgreSQL refuses for good goes to
`rejected.jsonl`.

Writing blocks the event loop for one fsync: it happens only while PostgreSQL does not answer, so
that hardly anything could be admitted anyway.
"""

import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

log = structlog.get_logger(__name__)

SUFFIX = ".jsonl"
REJECTED = "rejected.jsonl"


class Header(msgspec.Struct):
    database: str


class Spool:
    """The file of this process: made for the first line, removed when all is settled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: io.BufferedWriter | None = None
        self.path: Path | None = None

    def append(self, lines: Iterable[bytes], *, database: str) -> None:
        """Write lines through to the disk. Raises: OSError."""
        if self._file is None:
            self._open(database)
        assert self._file is not None  # noqa: S101 — for mypy: _open has set it
        self._file.writelines(line + b"\n" for line in lines)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _open(self, database: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{uuid4().hex}"
        # Locked before it has the name under which others would look at it.
        hidden, path = self._folder / f"{name}.new", self._folder / f"{name}{SUFFIX}"
        file = hidden.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(msgspec.json.encode(Header(database=database)) + b"\n")
        file.flush()  # without its header nobody would ever take it
        hidden.rename(path)
        _keep_names(self._folder)
        self._file, self.path = file, path

    def clear(self) -> None:
        """Everything in the file is settled."""
        if self._file is not None and self.path is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
        self._file = self.path = None

    def leave(self) -> None:
        """Let go of the file: it stays, for whoever replays it."""
        if self._file is not None:
            self._file.close()
        self._file = self.path = None

    def reject(self, line: bytes) -> None:
        """Keep a line that PostgreSQL refuses, for a person to look at."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / REJECTED).open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def orphans(self) -> list[Path]:
        """Spool files that are not ours; some may have a living writer."""
        if not self._folder.is_dir():
            return []
        return sorted(
            path
            for path in self._folder.glob(f"*{SUFFIX}")
            if path.name != REJECTED and path != self.path
        )


def _keep_names(folder: Path) -> None:
    """Write a folder's names through to the disk: a file needs its name after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def taken(path: Path, *, database: str) -> Iterator[list[bytes] | None]:
    """The lines of a dead process's file, locked; None if it is not for us to replay.

    That is, if its writer lives, if somebody else replays it, or if it is another database's.

    The file is removed when the block ends without an error, and stays for the next try otherwise.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:  # another process has just replayed it
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        head, *lines = file.read().split(b"\n")
        if not path.exists() or _database(head) != database:
            yield None
            return
        yield [line for line in lines if line]
        path.unlink(missing_ok=True)


def _database(head: bytes) -> str:
    try:
        return msgspec.json.decode(head, type=Header).database
    except msgspec.DecodeError:
        return ""
