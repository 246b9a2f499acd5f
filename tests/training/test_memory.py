import ctypes
import platform
from threading import Thread
from types import SimpleNamespace

import pytest

from sepvae.training import runtime
from sepvae.training.runtime import KEEP, USUAL, retain_freed_memory


@pytest.fixture
def told(monkeypatch):
    """What the C library is told."""
    calls = []
    library = SimpleNamespace(mallopt=lambda *item: calls.append(item), malloc_trim=lambda _: None)
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: library)
    return calls


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


@glibc
def test_memory_is_kept_while_open_and_given_back_after(told):
    with retain_freed_memory():
        assert told == [*KEEP.items()]
    assert told == [*KEEP.items(), *USUAL.items()]


@glibc
def test_given_back_after_an_error_too(told):
    with pytest.raises(RuntimeError), retain_freed_memory():
        raise RuntimeError
    assert told == [*KEEP.items(), *USUAL.items()]


@glibc
def test_the_last_of_several_users_gives_it_back(told):
    def inner():
        with retain_freed_memory():
            pass

    with retain_freed_memory():
        inner()
        thread = Thread(target=inner)
        thread.start()
        thread.join()
        assert told == [*KEEP.items()]
    assert told == [*KEEP.items(), *USUAL.items()]


@glibc
def test_the_c_library_takes_every_value():
    libc = ctypes.CDLL("libc.so.6")
    try:
        assert [libc.mallopt(*item) for item in KEEP.items()] == [1, 1]
    finally:
        assert [libc.mallopt(*item) for item in USUAL.items()] == [1, 1, 1]


def test_another_c_library_is_left_alone(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(runtime.ctypes, "CDLL", missing)
    with pytest.raises(RuntimeError) as raised, retain_freed_memory():
        raise RuntimeError
    assert raised.value.__context__ is None  # an error of ours is not told as one of the library


@glibc
def test_a_setting_of_the_user_is_left_alone(told, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    with retain_freed_memory():
        assert told == []
    assert told == []
