"""Who the embedded servers run as.

PostgreSQL refuses root, so root hands the servers to an ordinary system user that is there already.
No folder above our own changes its mode.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerUser:
    """The system user of the embedded servers, where we are root."""

    name: str
    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Whether this user may enter a folder or execute a file there.

        Only asking the kernel is sure.
        """
        check = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        result = subprocess.run(
            check, check=False, user=self.uid, group=self.gid, extra_groups=[], cwd="/"
        )
        return result.returncode == 0


def server_user() -> ServerUser | None:
    """`postgres` where it exists, else `nobody`; None where we are no root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise LookupError(
        "PostgreSQL does not run as root, and this system has no user `postgres` or `nobody`. "
        "Run this as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )
