"""Disks that are full or may only be read: one line, and what there was stays whole, to go on with."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import sepvae.files
import sepvae.model_files as saving
import sepvae.runs.figures as drawing
import sepvae.runs.finishing as finishing
import sepvae.runs.fitting as fitting
from sepvae.cli import main
from sepvae.data import read_array, read_image_folder
from sepvae.methods import SepVAE
from sepvae.run_folder import RecipeFile
from sepvae.training.callbacks import LastState, MetricsFile

from .helpers import quick, without_figures

resource = pytest.importorskip("resource", reason="Windows has other limits")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rights are taken as Linux has them")

COMPARED = ("model/model.safetensors", "codes.csv", "metrics.csv", "scores.csv", "correlations.csv")
OF_ROOT = 0b110  # its rights to read and write whatever the mode of a file
SETS = ("common_dim=2", "salient_dim=2", "batch_size=16", "max_epochs=3", "progress_bar=false")


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Rights(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("rest", ctypes.c_uint32 * 4))


@contextmanager
def like_everyone():
    """Obey the modes of files, though root need not."""
    libc, header, rights = ctypes.CDLL(None), Header(0x20080522, 0), Rights()
    assert libc.capget(ctypes.byref(header), ctypes.byref(rights)) == 0
    effective = rights.effective
    rights.effective = effective & ~OF_ROOT
    assert libc.capset(ctypes.byref(header), ctypes.byref(rights)) == 0
    try:
        yield
    finally:
        rights.effective = effective
        assert libc.capset(ctypes.byref(header), ctypes.byref(rights)) == 0


def never_root():
    """In a process that is about to become another program: the same, for good."""
    for right in (1, 2):
        ctypes.CDLL(None).prctl(24, right, 0, 0, 0)


@contextmanager
def read_only(folder):
    """Take the right to write from a folder and all in it, for a while."""
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with like_everyone():
            yield
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def seen(folder):
    """What is there, and when it was changed."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng, names = np.random.default_rng(0), [f"sub-{i}" for i in range(60)]
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["m0", "m1", "m2"])
    frame.assign(id=names, dx=["control", "patient"] * 30).to_csv(folder / "table.csv", index=False)
    np.save(folder / "x.npy", rng.normal(size=(60, 3)))
    for i in range(24):
        path = folder / "images" / ("control", "patient")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, size=(16, 16), dtype=np.uint8)).save(path)
    return folder


def told(data, out):
    pairs = [word for pair in SETS for word in ("--set", pair)]
    where = [str(data / "table.csv"), "--label", "dx", "--id", "id", "--features", "m*", "--out", str(out)]
    return ["fit", *where, "--permutations", "0", *pairs]


@pytest.fixture(scope="module")
def sepvae_():
    """Run a command; its status and the lines of its error."""

    def run(*arguments):
        status, error = 0, StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(error), redirect_stdout(StringIO()):
            patch.setattr(sys, "argv", ["sepvae", *arguments])
            handler = signal.getsignal(signal.SIGTERM)
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
            finally:
                signal.signal(signal.SIGTERM, handler)
        return status, error.getvalue().splitlines()

    return run


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory, sepvae_):
    out = tmp_path_factory.mktemp("whole") / "out"
    with without_figures():
        assert sepvae_(*told(data, out)) == (0, [])
    return out


def room(most=resource.RLIM_INFINITY):
    """How long a file may be that this process writes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


# What begins when the disk is full, at which call, and the file that is named, in the order of a fit.
STAGES = [
    (RecipeFile, "write", 1, "recipe.yaml"),
    (fitting, "inspect", 1, "check.json"),
    (LastState, "on_train_epoch_end", 1, "checkpoints/last.ckpt"),
    (LastState, "on_train_epoch_end", 2, "checkpoints/last.ckpt"),
    (MetricsFile, "on_train_epoch_end", 1, "metrics.csv"),
    (saving, "write_whole", 1, "model"),
    (finishing, "encoded", 1, "codes.csv"),
    (finishing, "score_codes", 1, "scores.csv"),
    (finishing, "examples_of", 1, "examples.npz"),
    (drawing, "write_whole", 1, "figures/learning_curves.png"),
    (fitting, "write_report", 1, "report.html"),
]


@contextmanager
def full_disk(module, name, turn):
    """No room from a call of a function on."""
    function, calls = getattr(module, name), []

    def fill(*arguments, **keywords):
        calls.append(name)
        if len(calls) == turn:
            room(0)
        return function(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, fill)
        try:
            yield
        finally:
            room()


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again_is_one_line_each_and_the_fit_ends_the_same(
    data, whole, tmp_path, sepvae_
):
    out = tmp_path / "out"
    for module, name, turn, file in STAGES:
        with full_disk(module, name, turn):
            said = sepvae_(*told(data, out), "--resume")
        assert said == (2, [f"sepvae: {out / file}: {os.strerror(errno.EFBIG)}"])
        assert not [path for path in out.rglob(".*") if path.name != ".lock"]
        # There is something to go on from, or nothing.
        assert (out / "checkpoints" / "last.ckpt").exists() == out.exists()
    assert sepvae_(*told(data, out), "--resume") == (0, [])
    assert_same(out, whole)


def assert_same(out, whole):
    for name in COMPARED:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.usefixtures("undrawn")
def test_a_disk_that_is_found_full_at_last_keeps_the_state_before(data, tmp_path, sepvae_, monkeypatch):
    out, count = tmp_path / "out", []

    def sync(handle):
        if "last.ckpt" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            count.append(handle)
        if len(count) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sepvae.files.os, "fsync", sync)
    status, lines = sepvae_(*told(data, out))
    assert (status, lines) == (2, [f"sepvae: {out / 'checkpoints' / 'last.ckpt'}: No space left on device"])
    monkeypatch.undo()
    LastState(out / "checkpoints" / "last.ckpt", {}).check(2)


def test_where_nothing_may_be_written_a_fit_says_so(data, tmp_path, sepvae_):
    parent = tmp_path / "parent"
    parent.mkdir()
    with read_only(parent):
        assert sepvae_(*told(data, parent / "out")) == (2, [f"sepvae: {parent / 'out'}: Permission denied"])
    assert not list(parent.iterdir())


def test_an_empty_folder_that_may_not_be_written_is_refused(data, tmp_path, sepvae_):
    out = tmp_path / "out"
    out.mkdir()
    with read_only(out):
        status, lines = sepvae_(*told(data, out), "--resume")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"sepvae: {out}")
    assert lines[0].endswith(": Permission denied")


@pytest.fixture
def begun(data, tmp_path, sepvae_):
    """A fit that was stopped after an epoch."""
    out, end = tmp_path / "out", LastState.on_train_epoch_end

    def stop(self, trainer, pl_module):
        if pl_module.current_epoch:
            raise KeyboardInterrupt
        end(self, trainer, pl_module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastState, "on_train_epoch_end", stop)
        assert sepvae_(*told(data, out))[0] == 130
    return out


@pytest.mark.usefixtures("undrawn")
def test_a_run_folder_that_may_only_be_read_stays_as_it_is_to_go_on_later(data, whole, sepvae_, begun):
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    with read_only(begun):
        status, lines = sepvae_(*told(data, begun), "--resume")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"sepvae: {begun}")
    assert lines[0].endswith(": Permission denied")
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before
    assert sepvae_(*told(data, begun), "--resume") == (0, [])
    assert_same(begun, whole)


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_written_beside_data_in_a_table(data, tmp_path, sepvae_):
    before = seen(data)
    with read_only(data):
        assert sepvae_(*told(data, tmp_path / "out")) == (0, [])
    assert seen(data) == before


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_nothing_is_written_beside_images_and_arrays(data):
    before = seen(data)
    with read_only(data):
        images = read_image_folder(data / "images", image_size=16, memory=0)
        rows = read_array(data / "x.npy", table=data / "table.csv", label="dx", id="id")
        for source, workers in ((images, 2), (rows, 0)):
            model = SepVAE(**quick(batch_size=8, num_workers=workers))
            assert model.fit(source).transform(source).shape == (len(source), 4)
    assert seen(data) == before


@pytest.mark.slow
def test_without_a_home_that_may_be_written(data, tmp_path):
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    home.chmod(0o555)
    few = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "HOME", "MPL"))}
    command = [sys.executable, "-m", "sepvae", *told(data, out)]
    how = {"env": few | {"HOME": str(home)}, "cwd": home, "preexec_fn": never_root, "check": False}
    done = subprocess.run(command, capture_output=True, text=True, **how)
    assert done.returncode == 0, done.stderr
    assert (out / "report.html").is_file()
    assert not list(home.iterdir())


def test_a_folder_that_is_replaced_survives_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    rename = Path.rename

    def stopped(path: Path, target: Path) -> Path:
        if (path / "new").exists():
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with (
        pytest.raises(KeyboardInterrupt),
        sepvae.files.whole_folder(tmp_path / "model", replace=True) as whole,
    ):
        (whole / "new").touch()
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "old"]
