"""Fits in processes of their own, which are killed, stopped, and gone on with."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image
from typer.testing import CliRunner

from sepvae.cli import main
from sepvae.cli.app import app
from sepvae.run_folder import RunFolder
from sepvae.training.callbacks import LastState

if sys.platform == "win32":
    pytest.skip("Windows has no forkserver and no SIGKILL", allow_module_level=True)

COMPARED = ("model/model.safetensors", "codes.csv", "metrics.csv", "scores.csv", "correlations.csv")
pytestmark = pytest.mark.usefixtures("undrawn")
# Processes that have all imported, and have not computed yet.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["sepvae.cli.app", "sepvae.runs"])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=["m0", "m1", "m2", "m3"])
    path = tmp_path_factory.mktemp("data") / "table.csv"
    frame.assign(id=[f"sub-{i}" for i in range(60)], dx=["control", "patient"] * 30).to_csv(path, index=False)
    return [str(path), "--label", "dx", "--id", "id", "--features", "m*"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(24):
        path = folder / ("control", "patient")[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, size=(16, 16), dtype=np.uint8)).save(path)
    return [str(folder), "--image-size", "16", "--memory", "0"]


def told(data, out, *sets):
    chosen = ("common_dim=2", "salient_dim=2", "batch_size=16", "max_epochs=8", *sets)
    pairs = [word for pair in chosen for word in ("--set", pair)]
    return ["fit", *data, "--out", str(out), "--permutations", "0", *pairs]


def run(arguments, log):
    with log.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    sys.argv = ["sepvae", *arguments]
    main()


def process(arguments, log, send=None, when=lambda: True):
    """Run a command in a process, which gets a signal when it is time; its exit status and what it said."""
    child = PROCESSES.Process(target=run, args=(arguments, log))
    child.start()
    while child.exitcode is None:
        child.join(0.005 if send else None)
        if send and when():
            os.kill(child.pid, send)
            send = None
    return child.exitcode, log.read_text()


def epochs(out, n):
    """Whether a fit has come to its n-th epoch."""
    path = out / "metrics.csv"
    return lambda: path.exists() and path.read_bytes().count(b"\n") > n


def assert_same(out, whole):
    for name in COMPARED:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.slow
def test_killed_again_and_again_a_fit_ends_the_same(tmp_path, table):
    sets = ("reset_optimizer=epoch", "keep=best")
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log"
    assert process(told(table, whole, *sets), log)[0] == 0
    again = [*told(table, out, *sets), "--resume"]
    for when in (epochs(out, 0), epochs(out, 2), (out / "model").exists, (out / "examples.npz").exists):
        assert process(again, log, signal.SIGKILL, when)[0] == -signal.SIGKILL
    status, said = process(again, log)
    assert status == 0
    assert "going on with" in said
    assert_same(out, whole)


@pytest.mark.slow
def test_with_processes_that_read_it_ends_the_same_and_they_keep_no_lock(tmp_path, images):
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log"
    assert process(told(images, whole, "max_epochs=2"), log)[0] == 0
    again = [*told(images, out, "max_epochs=2", "num_workers=2"), "--resume"]
    assert process(again, log, signal.SIGKILL, epochs(out, 0))[0] == -signal.SIGKILL
    assert process(again, log)[0] == 0
    assert_same(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("send", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_fit_that_is_asked_to_stop_says_how_to_go_on(tmp_path, table, send, status):
    out, log = tmp_path / "out", tmp_path / "log"
    ended, said = process(told(table, out, "max_epochs=500"), log, send, epochs(out, 3))
    assert ended == status
    assert said.splitlines()[-1] == f"stopped; {out} is not finished; --resume goes on with it"
    assert (out / "checkpoints" / "last.ckpt").is_file()
    assert not [path.name for path in out.rglob(".*")]


@pytest.mark.slow
def test_stopped_before_there_is_anything_it_leaves_nothing(tmp_path, table):
    out, log = tmp_path / "out", tmp_path / "log"
    ended, said = process(told(table, out, "max_epochs=500"), log, signal.SIGTERM, out.exists)
    assert ended == 143
    assert said.splitlines()[-1] == "stopped; nothing is left"
    assert not out.exists()


def test_stopped_between_making_the_lock_and_locking_it_leaves_nothing(tmp_path, table, monkeypatch):
    def stop(self, **_):
        Path(self.lock_file).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(FileLock, "acquire", stop)
    sepvae(*told(table, tmp_path / "out", "max_epochs=5"))
    assert not (tmp_path / "out").exists()


def sepvae(*arguments):
    """Run a command here; its status, and the message of its error."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.output if result.exception is None else str(result.exception)


@pytest.fixture(scope="module")
def begun(tmp_path_factory, table):
    """A fit that was stopped after some epochs."""
    out, end = tmp_path_factory.mktemp("begun") / "out", LastState.on_train_epoch_end

    def stop(self, trainer, pl_module):
        if pl_module.current_epoch == 2:
            raise KeyboardInterrupt
        end(self, trainer, pl_module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastState, "on_train_epoch_end", stop)
        sepvae(*told(table, out, "max_epochs=500"))
    return out


@pytest.mark.slow
def test_epochs_are_added_to_a_finished_fit(tmp_path, table):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert sepvae(*told(table, whole, "max_epochs=4"))[0] == 0
    assert sepvae(*told(table, out, "max_epochs=2"))[0] == 0
    assert sepvae(*told(table, out, "max_epochs=1"), "--resume") == (
        1,
        f"{out}: was begun with another fit (keywords: max_epochs was 2, now 1); choose another --out",
    )
    RunFolder(out).subtypes.record.write({})  # of the codes after 2 epochs
    status, said = sepvae(*told(table, out, "max_epochs=4"), "--resume")
    assert status == 0
    assert not RunFolder(out).subtypes.record.exists()
    assert "after 2 epochs" in " ".join(said.split())
    assert_same(out, whole)
    assert RunFolder(out).recipe.required()["keywords"]["max_epochs"] == 4
    assert f"{out} is finished" in sepvae(*told(table, out, "max_epochs=4"), "--resume")[1]


@pytest.mark.slow
def test_a_fit_goes_on_with_its_own_options(tmp_path, table):
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log"
    assert process(told(table, whole, "max_epochs=9"), log)[0] == 0
    typed = told(table, out)
    assert process(typed, log, signal.SIGKILL, epochs(out, 2))[0] == -signal.SIGKILL
    short = ["fit", table[0], "--out", str(out), "--resume"]
    status, said = process(short, log)
    assert status == 0
    assert f"note: options that are not given are those of {out}: sepvae fit table.csv --label dx" in said
    status, said = process([*short, "--set", "kappa=3"], log)
    assert status == 2
    assert said.endswith(
        "was begun with another fit (keywords: kappa was 10.0, now 3); choose another --out\n"
    )
    assert process([*short, "--set", "max_epochs=9"], log)[0] == 0
    assert_same(out, whole)
    assert RunFolder(out).recipe.required()["command"][-2:] == ["--set", "max_epochs=9"]
    status, said = process(short, log)  # with the epochs that were added
    assert status == 0
    assert f"{out} is finished" in said
    assert "options that are not given" not in process([*typed, "--set", "max_epochs=9", "--resume"], log)[1]


def test_epochs_are_added_to_those_that_the_data_chose(tmp_path, table, monkeypatch):
    monkeypatch.setattr("sepvae.batch.EPOCHS", 1)
    monkeypatch.setattr("sepvae.batch.FIT_STEPS", 1)
    out = tmp_path / "out"
    status, said = sepvae(*told(table, out, "max_epochs=auto"))
    assert status == 0
    assert "max_epochs 1 (" in said
    assert sepvae(*told(table, out, "max_epochs=2"), "--resume")[0] == 0
    assert len(pd.read_csv(out / "metrics.csv")) == 2


def test_a_finished_fit_without_its_state_takes_no_more_epochs(tmp_path, table):
    out = tmp_path / "out"
    assert sepvae(*told(table, out, "max_epochs=2"))[0] == 0
    (out / "checkpoints" / "last.ckpt").unlink()
    status, message = sepvae(*told(table, out, "max_epochs=4"), "--resume")
    assert status == 1
    assert message.endswith("which more epochs begin with; fit anew into another --out")
    assert (out / "report.html").is_file()


def test_without_resume_it_is_refused_and_stays(begun, table):
    status, message = sepvae(*told(table, begun, "max_epochs=500"))
    assert status == 1
    assert message.endswith("or remove it; --resume goes on with what was begun there")
    assert (begun / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--set", "kappa=3"], "keywords: kappa was 10.0, now 3"),
        (["--method", "ConVAE"], "method was SepVAE, now ConVAE"),
        (["--permutations", "20"], "protocol: n_permutations was 0, now 20"),
        (["--split-seed", "1"], "data: split was drawn with seed 0"),
    ],
)
def test_another_fit_does_not_go_on(begun, table, more, what):
    _, message = sepvae(*told(table, begun, "max_epochs=500"), *more, "--resume")
    assert f"{begun}: was begun with another fit ({what}" in message
    assert "\n" not in message


def test_other_data_do_not_go_on(begun, table, tmp_path):
    other = tmp_path / "table.csv"
    pd.read_csv(table[0]).assign(m0=0.5).to_csv(other, index=False)
    _, message = sepvae(*told([str(other), *table[1:]], begun, "max_epochs=500"), "--resume")
    assert "was begun with other data (samples, ids, groups or labels)" in message


def test_two_fits_do_not_work_in_one_folder(begun, table):
    with FileLock(begun / ".lock"):
        _, message = sepvae(*told(table, begun, "max_epochs=500"), "--resume")
    assert message == f"{begun}: another fit is at work in it; wait for its end, or choose another --out"


def test_a_folder_of_other_things_is_left_alone(tmp_path, table):
    (tmp_path / "thesis.tex").write_text("dear")
    _, message = sepvae(*told(table, tmp_path), "--resume")
    assert message == (
        f"{tmp_path}: wanted a new folder, or a fit to go on with, but it holds thesis.tex, no recipe.yaml"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_is_finished_is_not_fitted_again(tmp_path, table):
    arguments = [*told(table, tmp_path / "out", "max_epochs=1"), "--resume"]
    assert sepvae(*arguments)[0] == 0
    changed = (tmp_path / "out" / "model" / "model.safetensors").stat().st_mtime_ns
    status, said = sepvae(*arguments)
    assert status == 0
    assert f"{tmp_path / 'out'} is finished" in said.replace("\n", "")
    assert (tmp_path / "out" / "model" / "model.safetensors").stat().st_mtime_ns == changed


@pytest.mark.slow
def test_linear_methods_begin_again(tmp_path, table):
    out = tmp_path / "out"
    arguments = ["fit", *table, "--out", str(out), "--method", "ContrastivePCA", "--permutations", "0"]
    arguments += ["--set", "common_dim=2", "--set", "salient_dim=1"]
    child = process([*arguments], tmp_path / "log", signal.SIGKILL, (out / "recipe.yaml").exists)
    assert child[0] == -signal.SIGKILL
    assert sepvae(*arguments, "--resume")[0] == 0
    assert (out / "report.html").is_file()
