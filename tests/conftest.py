"""One process runs the tests, or several workers do where `-n` asks for them (`tests.parallel`)."""

import contextlib
import ctypes
import functools
import gc
import os
import signal
import sys
import uuid
from collections.abc import Generator, Iterator
from typing import Protocol

import httpcore2
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests import databases, parallel

# The exit code where something failed that it is useless to try again alone: a product was not as
# it should be when it was taken down (its ledger, say), or a worker crashed.
STANDS = 10

_workers: list[int] = []  # their process numbers
_stands: list[str] = []


class Process(Protocol):
    """What execnet knows of a worker's process."""

    pid: int


class Gateway(Protocol):
    def _rinfo(self) -> Process: ...


class Started(Protocol):
    """A worker as xdist tells of it."""

    gateway: Gateway


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before xdist looks how the tests are to be handed out."""
    # A worker reads our arguments, too; and there may be no xdist (`-p no:xdist`).
    if hasattr(config, "workerinput") or not hasattr(config.option, "numprocesses"):
        return
    if config.option.numprocesses and config.option.dist == "no":
        config.option.dist = "loadgroup"  # it tells `parallel.Schedule` the groups


def pytest_configure(config: pytest.Config) -> None:
    """A worker ends with the process that started it, and what it started ends with it."""
    if not hasattr(config, "workerinput"):
        databases.begin()
    elif sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def pytest_unconfigure(config: pytest.Config) -> None:
    """What no test has asked for is not worth a server that answers."""
    if not hasattr(config, "workerinput"):
        with contextlib.suppress(psycopg.OperationalError):
            databases.end()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """A real one takes a third of a second, and here hundreds are made."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def quick_clients() -> Iterator[None]:
    """Each client reads all the certificates that the world trusts, for 30 ms; here one does."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(httpcore2.default_ssl_context)
        patch.setattr(httpcore2, "default_ssl_context", once)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None) -> Iterator[None]:
    """The database of the tests that roll back: a clone, too."""
    with databases.own(f"test_{connection.settings_dict['NAME']}_{os.getpid()}"):
        yield


@pytest.fixture
def own_database(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[databases.OwnDatabase]:
    """A database for one test; Django's default connection points to it meanwhile."""
    with django_db_blocker.unblock(), databases.own(f"test_own_{uuid.uuid4().hex}") as database:
        yield database


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> parallel.Schedule | None:
    """Ours, unless another one is asked for by `--dist`."""
    if config.option.dist != "loadgroup":
        return None
    return parallel.Schedule(len(config.option.tx))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node: Started) -> None:
    _workers.append(node.gateway._rinfo().pid)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are no garbage: nobody looks for any among them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """By its own name, which `--lf` of another run looks for, rather than with its group."""
    report.nodeid = report.nodeid.removesuffix(f"@{parallel.ALONE}")
    if report.when == "teardown" and report.failed:
        _stands.append(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """What its worker would have found at the end, nobody has."""
    _stands.append(crashitem)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What only all tests together do to a product, no test does again alone."""
    if _stands:
        session.exitstatus = STANDS


def pytest_keyboard_interrupt() -> None:
    """Ctrl-C reaches us alone: the workers, too, are to close their fixtures now."""
    for pid in _workers:
        with contextlib.suppress(ProcessLookupError):  # it has run all that it had
            os.kill(pid, signal.SIGINT)
