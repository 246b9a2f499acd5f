import os
import signal
import sys

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
    assert 1 < len(many) <= 3
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


def test_who_stops_asking_is_not_kept_waiting():
    results = in_order(lambda i: i, 100_000)
    assert next(results) == 0
    results.close()
