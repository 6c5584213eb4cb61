"""What foreign bytes may do to the process that works on them, and to nobody else."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.core import metrics
from ccapi.core.confined.bench import Bench, Limits, NotDone

ROOT = Path(__file__).parents[3]
MEBIBYTE = 1024 * 1024
LIMITS = Limits(seconds=20.0, memory_bytes=256 * MEBIBYTE, answer_bytes=4 * MEBIBYTE)
HASTY = Limits(seconds=1.0, memory_bytes=256 * MEBIBYTE, answer_bytes=0)
MODULE = "tests.core.confined.misdeeds"

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems know less of this")


@pytest.fixture(scope="module")
def shared_bench() -> Iterator[Bench]:
    bench = Bench(MODULE, at_a_time=2)
    yield bench
    bench.close()


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    """With its keeper, and nobody at work."""
    run(shared_bench, "echo")
    wait_until_gone(*cells(keeper_of(shared_bench)))
    return shared_bench


def run(bench: Bench, function: str, data: bytes = b"", **arguments: str) -> str:
    return asyncio.run(bench.run(function, data, limits=LIMITS, **arguments)).decode()


def refusal(bench: Bench, function: str, data: bytes = b"", limits: Limits = LIMITS) -> NotDone:
    with pytest.raises(NotDone) as caught:
        asyncio.run(bench.run(function, data, limits=limits))
    return caught.value


def keeper_of(bench: Bench) -> int:
    pid = bench.keeper_pid
    assert pid is not None
    return pid


def cells(keeper: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()]


async def cell_of(bench: Bench) -> int:
    """The one that is working, a moment after it has begun."""
    for _ in range(1000):
        if found := [pid for pid in cells(keeper_of(bench)) if is_there(pid)]:
            await asyncio.sleep(0.05)
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError("Nobody works.")


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(*pids: int) -> None:
    until = time.monotonic() + 10
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_bytes_go_in_and_come_back(bench: Bench) -> None:
    data = os.urandom(3 * MEBIBYTE)

    assert asyncio.run(bench.run("echo", data, limits=LIMITS)) == data
    assert run(bench, "length", bytes(30 * MEBIBYTE)) == str(30 * MEBIBYTE)
    assert run(bench, "echo") == ""


def test_what_the_work_refuses_says_why_and_is_no_fault_of_its_process(bench: Bench) -> None:
    keeper = keeper_of(bench)

    with pytest.raises(NotDone) as caught:
        run(bench, "refuse", word="broken")

    assert (caught.value.reason, caught.value.word) == ("refused", "broken")
    assert keeper_of(bench) == keeper


def test_a_bug_of_the_work_is_named(bench: Bench) -> None:
    blunder = refusal(bench, "blunder")

    assert (blunder.reason, blunder.word) == ("failed", "ZeroDivisionError")


def test_nothing_of_our_environment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCAPI_MASTER_KEY", "the crown jewels")
    fresh = Bench(MODULE, at_a_time=1)

    told = set(run(fresh, "environment").split())

    fresh.close()
    assert told <= {"LC_ALL", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH", "LC_CTYPE"}


@linux
def test_it_has_one_descriptor_and_gets_no_other(bench: Bench) -> None:
    with (ROOT / "README.md").open("rb") as ours:
        os.set_inheritable(ours.fileno(), True)  # a slip of some library's
        fresh = Bench(MODULE, at_a_time=1)
        open_there = run(fresh, "descriptors")
        fresh.close()

    assert len(open_there.split(",")) == 1
    assert "Too many open files" in run(bench, "read_file", path="/etc/passwd")
    assert "Too many open files" in run(bench, "connect")
    assert "Error" in run(bench, "raise_limits")


@linux
def test_it_has_neither_children_nor_threads(bench: Bench) -> None:
    assert "BlockingIOError" in run(bench, "fork")
    assert "can't start new thread" in run(bench, "thread")


@linux
def test_it_reads_neither_our_memory_nor_what_the_system_tells_of_us(bench: Bench) -> None:
    secret = ctypes.create_string_buffer(b"the crown jewels")
    address = str(ctypes.addressof(secret))

    for pid in (os.getpid(), keeper_of(bench)):
        assert run(bench, "read_memory", pid=str(pid), address=address) == "Operation not permitted"


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root cannot become somebody else")
def test_a_child_of_roots_is_nobody(bench: Bench) -> None:
    assert run(bench, "who") == "65534 65534 []"


@linux
def test_memory_ends_where_its_limit_is(bench: Bench) -> None:
    assert Path(f"/proc/{keeper_of(bench)}/oom_score_adj").read_text() == "1000\n"
    assert refusal(bench, "take_memory").reason == "memory"


def test_an_answer_has_a_limit_too(bench: Bench) -> None:
    assert refusal(bench, "answer_much").reason == "memory"


@pytest.mark.parametrize("function", ["spin", "sleep"])
def test_what_takes_too_long_is_ended_and_holds_up_nobody(bench: Bench, function: str) -> None:
    counted = metrics.CONFINED.value((MODULE, "time"))

    async def beside() -> tuple[float, float]:
        since = time.monotonic()
        long = asyncio.ensure_future(bench.run(function, b"", limits=HASTY))
        await cell_of(bench)
        await bench.run("echo", b"", limits=LIMITS)
        beside_s = time.monotonic() - since
        with pytest.raises(NotDone, match="time"):
            await long
        return beside_s, time.monotonic() - since

    beside_s, long_s = asyncio.run(beside())

    assert beside_s < 1.0 <= long_s < 5
    wait_until_gone(*cells(keeper_of(bench)))
    assert metrics.CONFINED.value((MODULE, "time")) == counted + 1


def test_a_crash_is_the_pieces_own(bench: Bench) -> None:
    keeper = keeper_of(bench)

    assert refusal(bench, "crash").reason == "died"
    assert run(bench, "echo", b"next") == "next"
    assert keeper_of(bench) == keeper


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_cell_that_is_killed_or_stopped_is_told_of(bench: Bench, how: signal.Signals) -> None:
    async def hit() -> str:
        work = asyncio.ensure_future(bench.run("sleep", b"", limits=HASTY))
        os.kill(await cell_of(bench), how)
        with pytest.raises(NotDone) as caught:
            await work
        return caught.value.reason

    assert asyncio.run(hit()) == ("died" if how == signal.SIGKILL else "time")
    assert run(bench, "echo", b"next") == "next"


def test_a_piece_whose_keeper_dies_is_done_by_the_next_one(bench: Bench) -> None:
    keeper = keeper_of(bench)

    async def shoot() -> bytes:
        nap = asyncio.ensure_future(bench.run("nap", b"rested", limits=LIMITS))
        await cell_of(bench)
        os.kill(keeper, signal.SIGKILL)
        return await nap

    assert asyncio.run(shoot()) == b"rested"
    assert keeper_of(bench) != keeper


def test_a_keeper_that_hangs_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccapi.core.confined.piece.BEGIN_S", 0.5)
    run(bench, "echo")
    keeper = keeper_of(bench)
    os.kill(keeper, signal.SIGSTOP)

    assert run(bench, "echo", b"next") == "next"
    assert not is_there(keeper)


def test_a_keeper_that_nobody_needs_for_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccapi.core.confined.bench.IDLE_S", 0.3)
    bench = Bench(MODULE, at_a_time=1)

    async def work_and_wait() -> int:
        await bench.run("nap", b"", limits=LIMITS)
        await bench.run("nap", b"", limits=LIMITS)  # in whose midst it is looked at
        keeper = keeper_of(bench)
        await asyncio.sleep(0.1)
        assert keeper_of(bench) == keeper
        await asyncio.sleep(0.8)
        return keeper

    keeper = asyncio.run(work_and_wait())

    assert bench.keeper_pid is None
    assert not is_there(keeper)
    assert run(bench, "echo", b"next") == "next"
    bench.close()


def test_work_that_kills_its_keeper_is_not_tried_for_ever(bench: Bench) -> None:
    """It can where it is of our user; nobody may not."""
    killed = refusal(bench, "end_keeper", limits=HASTY)

    if os.geteuid() == 0:
        assert (killed.reason, killed.word) == ("failed", "PermissionError")
    else:
        assert killed.reason == "died"
    assert run(bench, "echo", b"next") == "next"


def test_who_is_given_up_leaves_no_process(bench: Bench) -> None:
    async def give_up() -> int:
        work = asyncio.ensure_future(bench.run("sleep", b"", limits=LIMITS))
        cell = await cell_of(bench)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return cell

    wait_until_gone(asyncio.run(give_up()))
    assert run(bench, "echo", b"next") == "next"


def test_so_many_at_a_time_and_no_more(bench: Bench) -> None:
    async def crowd() -> int:
        work = [asyncio.ensure_future(bench.run("nap", b"", limits=LIMITS)) for _ in range(5)]
        most = 0
        while not all(each.done() for each in work):
            most = max(most, len(cells(keeper_of(bench))))
            await asyncio.sleep(0.01)
        return most

    assert asyncio.run(crowd()) == 2


def test_hundreds_of_pieces_leave_neither_memory_nor_descriptors(bench: Bench) -> None:
    def rss_kb(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4

    async def many(count: int) -> None:
        for _ in range(count):
            await bench.run("length", bytes(MEBIBYTE), limits=LIMITS)

    asyncio.run(many(20))
    keeper = keeper_of(bench)
    before, before_keeper = rss_kb(os.getpid()), rss_kb(keeper)
    asyncio.run(many(300))

    assert rss_kb(os.getpid()) - before < 8 * 1024
    assert rss_kb(keeper) - before_keeper < 1024
    assert len(os.listdir(f"/proc/{keeper}/fd")) == 3  # noqa: PTH208 - numbers, no paths


@linux
def test_all_end_with_a_process_that_is_killed() -> None:
    code = f"""
import asyncio, django
django.setup()
from ccapi.core.confined.bench import Bench, Limits
limits = Limits(seconds=3600, memory_bytes=2**28, answer_bytes=0)
bench = Bench({MODULE!r}, at_a_time=1)
async def work():
    sleeping = asyncio.ensure_future(bench.run("sleep", b"", limits=limits))
    while bench.keeper_pid is None:
        await asyncio.sleep(0.01)
    print(bench.keeper_pid, flush=True)
    await sleeping
asyncio.run(work())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            keeper = int(process.stdout.readline())
            until = time.monotonic() + 10
            while not (working := cells(keeper)):
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            process.kill()

    wait_until_gone(keeper, *working)
