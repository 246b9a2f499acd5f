import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sepvae.data import parallel
from sepvae.data.parallel import in_order
from sepvae.errors import DataError

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(parallel, "n_cores", lambda: 3)


@pytest.mark.parametrize("n", [0, 1, 32, 33, 1000])
def test_results_come_in_order(n):
    offset = 5  # a function need not be one that can be sent
    assert list(in_order(lambda i: i + offset, n)) == [i + 5 for i in range(n)]


@linux
def test_many_calls_are_shared_by_processes_and_few_are_not():
    many, few = (set(in_order(lambda _: os.getpid(), n)) for n in (2000, 10))
    assert os.getpid() not in many
    assert len(many) <= 3
    assert few == {os.getpid()}


def test_elsewhere_threads_do_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert list(in_order(lambda i: (i, os.getpid()), 100)) == [(i, os.getpid()) for i in range(100)]


def test_an_error_of_the_function_is_raised():
    def fail(i):
        if i == 40:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(in_order(fail, 100))


@linux
def test_a_process_that_dies_is_an_error_and_no_endless_wait():
    def die(i):
        if i == 40:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(DataError, match="a process that reads was killed"):
        list(in_order(die, 1000))


@linux
def test_few_results_are_made_ahead_and_none_once_nobody_asks():
    calls = multiprocessing.Value("i", 0)

    def count(i):
        with calls.get_lock():
            calls.value += 1
        return i

    results = in_order(count, 100_000)
    assert next(results) == 0
    results.close()
    assert 32 <= calls.value <= (parallel.AHEAD * 3 + 1) * parallel.PART


@linux
def test_processes_end_with_one_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "from sepvae.data import parallel\n"
        "parallel.n_cores = lambda: 2\n"
        "for pid in parallel.in_order(lambda i: os.getpid(), 1000):\n"
        "    print(pid, flush=True)\n"
        "    time.sleep(10)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        process.kill()
    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # ended, and nobody has asked how
            return
        time.sleep(0.1)
    pytest.fail("the process still waits for work")
