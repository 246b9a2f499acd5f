"""Fits at once, in threads, in processes and in a running event loop: each gives what it gives alone."""

import asyncio
import logging
import multiprocessing
import pickle
import random
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from time import sleep

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback
from PIL import Image
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from torch.utils.data import DataLoader

import sepvae
from sepvae.data import read_array, read_image_folder, simulate_vbm_cohort
from sepvae.data.cells import read_cells
from sepvae.data.formats.tables import PackedStore, VolumeTable
from sepvae.data.loading import read_manifest
from sepvae.data.packed import pack
from sepvae.data.spec import DataSpec
from sepvae.data.volumes import all_there
from sepvae.errors import DataError, ModelFileError, RunFolderError, TrainingError
from sepvae.methods import ContrastivePCA, SepVAE
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.process_wide import ProcessWideContext
from sepvae.training import fit
from sepvae.training.runtime import SeededInit

from .helpers import quick

Y = np.repeat(["control", "patient"], 20)
X = np.random.default_rng(0).normal(size=(40, 5)) + 2.0 * (Y == "patient")[:, None]
LONG = 30  # seconds after which a wait has failed


def vae(**keywords):
    return SepVAE(**quick(max_epochs=2, batch_size=10) | keywords)


def bits(model, source=X):
    """All that a fit has come to."""
    weights = (weight.numpy() for weight in model.module_.state_dict().values())
    codes = vars(model.encode(source)).values()
    return b"".join(np.ascontiguousarray(array).tobytes() for array in (*weights, *codes))


def fitted(seed, **keywords):
    return bits(vae(random_state=seed, **keywords).fit(X, Y))


def surroundings():
    """What all threads share."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "random": random.getstate(),
        "type": torch.get_default_dtype(),
        "warnings": (warnings.showwarning, [*warnings.filters]),
        "loggers": [logging.getLogger(f"lightning.{name}").level for name in ("pytorch", "fabric")],
        "rank": rank_zero_only.rank,
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGCHLD}},
        "threads": torch.get_num_threads(),
    }


@contextmanager
def left_as_found(*but):
    before = surroundings()
    yield
    after = surroundings()
    assert [part for part in before if part not in but and before[part] != after[part]] == []


# What pandas and scikit-learn set for a moment, for all threads, may be undone in another order.
any_order = partial(left_as_found, "warnings")
ANY_ORDER = pytest.mark.filterwarnings("default")
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def alone():
    """Fits of some seeds, one after another."""
    return [fitted(seed) for seed in range(4)]


@pytest.mark.slow
@ANY_ORDER
def test_fits_in_a_pool_of_threads_give_what_they_give_alone(alone):
    with any_order(), ThreadPoolExecutor(3) as pool:
        assert list(pool.map(fitted, range(4))) == alone


@ANY_ORDER
def test_fits_in_threads_of_joblib_give_what_they_give_alone(alone):
    with any_order():
        assert Parallel(n_jobs=2, prefer="threads")(delayed(fitted)(seed) for seed in range(4)) == alone


@ANY_ORDER
def test_one_thread_at_a_time_asks_for_batches(monkeypatch, alone):
    found, asking, most, make = vars(DataLoader).copy(), [], [], fit.training_batches

    def slowly(*arguments, **keywords):
        asking.append(1)
        most.append(len(asking))
        sleep(0.05)
        asking.pop()
        return make(*arguments, **keywords)

    monkeypatch.setattr(fit, "training_batches", slowly)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fitted, range(4))) == alone
    assert most == [1] * 4
    assert vars(DataLoader) == found


class Held(Callback):
    """Says that a fit has begun, and holds it until it may end."""

    def __init__(self):
        self.begun, self.free = threading.Event(), threading.Event()

    def on_train_start(self, trainer, pl_module):  # noqa: ARG002
        self.begun.set()
        assert self.free.wait(LONG)


@ANY_ORDER
@pytest.mark.parametrize("first", [0, 1])
def test_whichever_of_two_fits_ends_first_all_is_as_found(alone, monkeypatch, first):
    monkeypatch.setattr(rank_zero_only, "rank", 3)  # of a scheduler's tasks
    held = [Held(), Held()]
    with left_as_found(), ThreadPoolExecutor(2) as pool:
        fits = []
        for seed, one in enumerate(held):
            fits.append(pool.submit(fitted, seed, callbacks=[one]))
            assert one.begun.wait(LONG)
        for seed in (first, 1 - first):
            held[seed].free.set()
            assert fits[seed].result(LONG) == alone[seed]


@ANY_ORDER
def test_an_error_in_one_of_two_fits_leaves_all_as_found(alone):
    held = Held()
    with left_as_found(), ThreadPoolExecutor(1) as pool:
        other = pool.submit(fitted, 0, callbacks=[held])
        assert held.begun.wait(LONG)
        with pytest.raises(TrainingError):
            vae(learning_rate=1e30).fit(X, Y)
        held.free.set()
        assert other.result(LONG) == alone[0]


@ANY_ORDER
def test_what_another_thread_draws_changes_no_fit(alone):
    end = threading.Event()

    def draw():
        while not end.is_set():
            torch.manual_seed(1)
            torch.rand(3)

    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(draw)
        try:
            assert [fitted(seed) for seed in range(2)] == alone[:2]
        finally:
            end.set()
        drawing.result(LONG)


@ANY_ORDER
def test_fits_that_set_the_type_of_new_tensors_wait_for_others(alone):
    double = fitted(0, precision="64-true")
    with any_order(), ThreadPoolExecutor(4) as pool:
        plain = [pool.submit(fitted, seed) for seed in range(2)]
        others = [pool.submit(fitted, 0, precision="64-true") for _ in range(2)]
        assert [fit.result(LONG) for fit in plain] == alone[:2]
        assert [fit.result(LONG) for fit in others] == [double, double]


def test_the_first_user_sets_up_and_the_last_one_undoes():
    told = []

    @contextmanager
    def setting():
        told.append("set up")
        yield
        told.append("undone")

    shared = ProcessWideContext(setting)
    one, other = shared(), shared()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert told == ["set up"]
    other.__exit__(None, None, None)
    assert told == ["set up", "undone"]


@ANY_ORDER
def test_who_is_to_be_alone_waits_and_lets_others_wait_but_not_itself():
    shared, order = ProcessWideContext(lambda: left_as_found()), []

    def use(name, alone):
        with shared(alone=alone):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with shared(alone=True), shared():
            waiting = [pool.submit(use, name, name == "alone") for name in ("alone", "plain")]
            order.append("first")
        assert [one.result(LONG) for one in waiting] == [None, None]
    assert order[0] == "first"
    assert sorted(order) == ["alone", "first", "plain"]


@pytest.mark.parametrize(("network", "shape"), [
    ("mlp", (5,)),
    ("residual-mlp", (5,)),
    ("cnn2d", (1, 16, 16)),
    ("e1", (3, 64, 64)),
    ("release", (3, 64, 64)),
    ("cnn3d", (1, 32, 32, 32)),
    ("cnn3d-group", (1, 32, 32, 32)),
])  # fmt: skip
def test_weights_of_a_thread_of_its_own_are_those_of_the_seed(network, shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        wanted = build_autoencoder(network, shape, 2, 2, 2).state_dict()
    with left_as_found(), SeededInit(7):
        got = build_autoencoder(network, shape, 2, 2, 2).state_dict()
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


@ANY_ORDER
def test_one_model_is_used_by_several_threads_at_once():
    model = vae().fit(X, Y)

    def use(_):
        return bits(model), model.transform(X).tobytes(), model.reconstruct(X).tobytes()

    wanted = use(0)
    with any_order(), ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(12))) == {wanted}


@ANY_ORDER
def test_a_model_is_on_its_device_until_the_last_of_its_users_is_done():
    model, moves, begun, free = vae().fit(X, Y), [], threading.Event(), threading.Event()
    model.module_.to = lambda device: moves.append(str(device)) or model.module_

    def hold_the_first(*_):
        if not begun.is_set():
            begun.set()
            assert free.wait(LONG)

    model.module_.decoder.register_forward_pre_hook(hold_the_first)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(model.sample, 3)
        assert begun.wait(LONG)
        model.sample(2)
        assert moves == ["cpu"] * 2  # each brought it there, none took it home
        free.set()
        other.result(LONG)
    assert moves == ["cpu"] * 3


@ANY_ORDER
def test_models_are_loaded_by_several_threads_at_once(tmp_path, alone):
    vae(random_state=0).fit(X, Y).save(tmp_path / "model")
    with any_order(), ThreadPoolExecutor(4) as pool:
        assert {*pool.map(lambda _: bits(sepvae.load(tmp_path / "model")), range(8))} == {alone[0]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for i in range(24):
        path = root / ("control", "patient")[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, size=(16, 16), dtype=np.uint8)).save(path)
    return root


def fitted_on_disk(folder, seed, threads, num_workers="auto"):
    torch.set_num_threads(threads)  # a process of its own has as many
    source = read_image_folder(folder, image_size=16, memory=0)
    assert not source.in_memory
    return bits(vae(random_state=seed, max_epochs=1, num_workers=num_workers).fit(source), source)


FEW_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@ANY_ORDER
@FEW_CORES
def test_images_on_disk_are_read_by_several_threads(folder):
    n = torch.get_num_threads()
    wanted = [fitted_on_disk(folder, seed, n, num_workers=0) for seed in range(2)]
    with any_order(), ThreadPoolExecutor(2) as pool:
        assert [*pool.map(lambda seed: fitted_on_disk(folder, seed, n, 2), range(2))] == wanted


@SLOW
@FEW_CORES
def test_processes_of_joblib_give_what_one_gives_and_start_processes_that_read(folder):
    n = torch.get_num_threads()
    jobs = [(folder, seed, n, workers) for seed, workers in ((0, 0), (1, 2))]
    assert Parallel(n_jobs=2)(delayed(fitted_on_disk)(*job) for job in jobs) == [
        fitted_on_disk(*job) for job in jobs
    ]


def first_code(model, x, y=None):  # noqa: ARG001
    return float(model.transform(x)[0, 0])


@SLOW
@pytest.mark.parametrize(("model", "grid"), [
    (vae(max_epochs=1), {"beta_common": [0.5, 1.0]}),
    (ContrastivePCA(2, 1), {"common_dim": [1, 2]}),
])  # fmt: skip
def test_folds_and_grids_in_processes_have_the_scores_of_one(model, grid):
    how = {"cv": KFold(2, shuffle=True, random_state=0), "scoring": first_code}
    scores = [cross_val_score(model, X, Y, n_jobs=n, **how) for n in (None, 2)]
    np.testing.assert_array_equal(scores[0], scores[1])
    one, two = (GridSearchCV(model, grid, n_jobs=n, **how).fit(X, Y).cv_results_ for n in (None, 2))
    np.testing.assert_array_equal(one["mean_test_score"], two["mean_test_score"])


@SLOW
def test_an_error_in_a_process_arrives_as_ours():
    with pytest.raises(TrainingError, match=r"^training stopped: ") as raised:
        Parallel(n_jobs=2)(delayed(vae(learning_rate=rate).fit)(X, Y) for rate in (1e-3, 1e30))
    assert len(raised.value.batches[0]) == 10


@pytest.mark.parametrize("kind", [DataError, ModelFileError, RunFolderError, TrainingError])
def test_errors_are_the_same_after_a_journey(kind):
    error = kind("what was wrong", {3: ["sub-1"]}) if kind is TrainingError else kind("what was wrong")
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(arrived), str(arrived), vars(arrived)) == (kind, "what was wrong", vars(error))


@SLOW
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no forkserver")
def test_a_process_that_may_have_none_of_its_own_reads_by_itself(folder):
    job = folder, 0, torch.get_num_threads(), 2
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["sepvae.cli.app", "sepvae.runs"])
    with processes.Pool(1) as pool:
        assert pool.apply_async(fitted_on_disk, job).get(2 * LONG) == fitted_on_disk(*job[:3], 0)


@SLOW
@FEW_CORES
def test_within_a_running_event_loop_all_is_as_without(tmp_path, folder, alone):
    cohort = simulate_vbm_cohort(tmp_path / "cohort", n_subjects=8, side=24).parent
    files = "{participant_id}/anat/{participant_id}_GM.nii.gz"
    np.save(tmp_path / "x.npy", X)
    pd.DataFrame({"id": np.arange(40).astype(str), "dx": Y}).to_csv(tmp_path / "x.csv", index=False)

    def work():
        manifest = VolumeTable().list(cohort / "participants.tsv", DataSpec(images=files, label=None))
        names = [files.format(participant_id=id_) for id_ in manifest.about["id"]]
        store = tmp_path / f"{len([*tmp_path.glob('*.zarr')])}.zarr"
        pack(all_there(manifest), read_cells(cohort / "participants.tsv"), store, files=names)
        volumes, _ = read_manifest(PackedStore().list(store, DataSpec(label="group")), image_size=32)
        packed = volumes.take(np.arange(4)).x
        rows = read_array(tmp_path / "x.npy", table=tmp_path / "x.csv", label="dx", id="id")
        images = fitted_on_disk(folder, 0, torch.get_num_threads(), 2)
        return packed.tobytes(), images, bits(vae(max_epochs=1).fit(rows), rows), fitted(0)

    async def notebook():
        return work()

    with left_as_found():
        found = asyncio.run(notebook())
    assert found == work()
    assert found[-1] == alone[0]
