"""One seed, one result to the last bit: in any process, from any place, by any number of workers."""

import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sepvae.batch import Source
from sepvae.benchmark import make_cells, parse_contender, run_benchmark
from sepvae.data import ArraySource, read_array, read_image_folder, read_volumes, simulate_vbm_cohort
from sepvae.data.formats.tables import PackedStore
from sepvae.data.loading import read_manifest
from sepvae.data.packed import pack
from sepvae.data.spec import DataSpec
from sepvae.evaluation import score_codes
from sepvae.methods import ContrastivePCA, ConVAE, MMcVAE, SepVAE
from sepvae.report import write_report
from sepvae.run_folder import RunFolder
from sepvae.runs import fit_run
from sepvae.training.attribute_classifier import train_attribute_classifier

from .helpers import quick

VAE = quick(max_epochs=2, batch_size=10)
METHODS: dict[str, Any] = {
    "SepVAE": SepVAE(**VAE, reset_optimizer="epoch"),
    "ConVAE": ConVAE(**VAE),
    "MMcVAE": MMcVAE(**VAE),
    "ContrastivePCA": ContrastivePCA(2, 2),
}
IMAGES = "{participant_id}/anat/{participant_id}_GM.nii.gz"
FEW_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def table(seed: int = 0) -> ArraySource:
    """Controls and patients, with gaps."""
    rng, labels = np.random.default_rng(seed), np.repeat(["control", "patient"], 20)
    x = rng.normal(size=(40, 6)) + 2.0 * (labels == "patient")[:, None]
    x[rng.random(x.shape) < 0.05] = np.nan
    age = pd.DataFrame({"age": rng.normal(50, 9, size=40)})
    return ArraySource(x, labels, ids=[f"{seed}-{i}" for i in range(40)], attributes=age)


def digests(model: Any, source: Source) -> dict[str, str]:
    """What a fit has come to, each part in a word."""
    codes = model.encode(source)
    with TemporaryDirectory() as folder:
        weights = (model.save(Path(folder) / "model") / "model.safetensors").read_bytes()
    parts = {
        "weights": weights,
        "codes": b"".join(np.ascontiguousarray(part).tobytes() for part in vars(codes).values()),
        "errors": model.reconstruction_error(source).tobytes(),
        "history": repr(getattr(model, "history_", pd.DataFrame()).to_dict("list")).encode(),
    }
    return {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}


def fitted(name: str, source: Source, **keywords: Any) -> dict[str, str]:
    return digests(METHODS[name].__class__(**METHODS[name].get_params() | keywords).fit(source), source)


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    """The fits of a process of its own, with as many threads."""
    code = "import json, torch; from tests import test_repeatability as t; "
    code += f"torch.set_num_threads({torch.get_num_threads()}); "
    code += "print(json.dumps({name: t.fitted(name, t.table()) for name in t.METHODS}))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_seed_gives_one_result_in_any_process(name: str, fresh: dict[str, Any]) -> None:
    first = fitted(name, table())
    random.seed(9)
    torch.manual_seed(9)
    assert fitted(name, table()) == first == fresh[name]


def test_another_seed_gives_another_result() -> None:
    one, other = (fitted("SepVAE", table(), random_state=seed) for seed in (0, 1))
    assert all(one[part] != other[part] for part in one)


@pytest.mark.slow
def test_cells_at_once_leave_the_same_files(tmp_path: Path) -> None:
    small = {"common_dim": 2, "salient_dim": 2, "background": "control"}
    keywords = {"SepVAE": small | VAE | {"max_epochs": 1}, "ContrastivePCA": small}
    contenders = [replace(parse_contender(name), keywords=given) for name, given in keywords.items()]
    cells = make_cells(contenders, [0], 1)
    how: dict[str, Any] = {"recipe": "r", "background": "control", "kinds": {"age": "continuous"}}
    one, both = (
        run_benchmark(cells, [(table(0), table(1))], tmp_path / str(jobs), jobs=jobs, **how)
        for jobs in (1, 2)
    )
    assert one["error"].isna().all()
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), both.drop(columns="seconds"), check_exact=True)
    for cell in cells:
        for file in ("codes.csv", "scores.csv", "model/model.safetensors"):
            paths = [tmp_path / jobs / "cells" / cell.name / file for jobs in "12"]
            assert paths[0].read_bytes() == paths[1].read_bytes(), file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for label in ("ill", "well"):
        (root / label).mkdir()
        for i in range(12):
            pixels = rng.integers(0, 256, size=(20, 17), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def kept(folder: Path) -> tuple[ArraySource, dict[str, Any]]:
    """Images in memory, and what fits on them have come to."""
    source = read_image_folder(folder, image_size=16)
    assert isinstance(source, ArraySource)
    return source, {name: fitted(name, source) for name in METHODS}


@FEW_CORES
@pytest.mark.parametrize(
    ("name", "num_workers"), [("SepVAE", 0), ("SepVAE", 1), ("SepVAE", 2), ("ConVAE", 1), ("MMcVAE", 2)]
)
def test_images_on_disk_and_workers_change_nothing(
    name: str, num_workers: int, folder: Path, kept: tuple[ArraySource, dict[str, Any]]
) -> None:
    source = read_image_folder(folder, image_size=16, memory=0)
    assert not source.in_memory
    assert fitted(name, source, num_workers=num_workers) == kept[1][name]


def test_a_linear_method_takes_images_on_disk_alike(
    folder: Path, kept: tuple[ArraySource, dict[str, Any]]
) -> None:
    source = read_image_folder(folder, image_size=16, memory=0)
    assert fitted("ContrastivePCA", source) == kept[1]["ContrastivePCA"]


@FEW_CORES
@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_the_judge_of_removal_learns_alike_from_memory_and_from_disk(
    num_workers: int, folder: Path, kept: tuple[ArraySource, dict[str, Any]]
) -> None:
    classes = (kept[0].labels == "ill").astype(int)
    sources = {kept[0]: 0, read_image_folder(folder, image_size=16, memory=0): num_workers}
    judges = [
        train_attribute_classifier(source, classes, n_steps=6, num_workers=n, accelerator="cpu")
        for source, n in sources.items()
    ]
    one, other = (judge.network.state_dict() for judge in judges)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_rows_of_an_array_on_disk_are_those_in_memory(
    kept: tuple[ArraySource, dict[str, Any]], tmp_path: Path
) -> None:
    source = kept[0]
    np.save(tmp_path / "x.npy", source.x)
    pd.DataFrame({"id": source.ids, "dx": source.labels}).to_csv(tmp_path / "x.csv", index=False)
    rows = read_array(tmp_path / "x.npy", table=tmp_path / "x.csv", label="dx", id="id")
    assert not rows.in_memory
    assert fitted("SepVAE", rows, num_workers=0) == kept[1]["SepVAE"]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """The same volumes from three places: files kept in memory, files read again, a packed store."""
    cohort = simulate_vbm_cohort(tmp_path_factory.mktemp("c") / "cohort", n_subjects=8, side=24).parent
    people, store = cohort / "participants.tsv", cohort.parent / "cohort.zarr"
    mask = cohort / "truth" / "brain_mask.nii.gz"
    how: dict[str, Any] = {"images": IMAGES, "label": "group", "mask": mask, "size": 32}
    kept, again = (read_volumes(people, **how, memory=memory) for memory in (4, 0))
    pack_people(people, store)
    packed, _ = read_manifest(PackedStore().list(store, DataSpec(label="group")), image_size=32, mask=mask)
    assert [source.in_memory for source in (kept, again, packed)] == [True, False, False]
    return {"kept": kept, "again": again, "packed": packed}


def pack_people(people: Path, store: Path) -> None:
    from sepvae.data.cells import read_cells
    from sepvae.data.formats.tables import VolumeTable
    from sepvae.data.spec import DataSpec
    from sepvae.data.volumes import all_there

    manifest = VolumeTable().list(people, DataSpec(images=IMAGES, label=None))
    files = [IMAGES.format(participant_id=id_) for id_ in manifest.about["id"]]
    pack(all_there(manifest), read_cells(people), store, files=files)


@pytest.mark.parametrize("name", ["SepVAE", "ContrastivePCA"])
def test_volumes_are_the_same_in_files_and_packed(name: str, volumes: dict[str, Source]) -> None:
    few: dict[str, Any] = {"max_epochs": 1, "batch_size": 8, "validation_fraction": 0, "num_workers": 0}
    few = few if name == "SepVAE" else {}
    results = [fitted(name, source, **few) for source in volumes.values()]
    assert results[0] == results[1] == results[2]


def surroundings() -> dict[str, Any]:
    """All that a library could leave behind for others in this process."""
    loggers = {
        name: logger
        for name, logger in logging.root.manager.loggerDict.items()
        if hasattr(logger, "handlers")
    }
    return {
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "matmul": torch.get_float32_matmul_precision(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "warnings": [*warnings.filters],
        "loggers": {
            name: (logger.level, logger.propagate, logger.disabled, [*logger.handlers])
            for name, logger in {"": logging.root, **loggers}.items()
        },
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "floats": np.geterr(),
        "drawing": dict(mpl.rcParams),
        "folder": Path.cwd(),
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not as it was; loggers that were made in between are new, not changed."""
    loggers = {name: after["loggers"][name] for name in before["loggers"]}
    return [part for part, value in (after | {"loggers": loggers}).items() if before[part] != value]


@pytest.fixture
def unusual() -> Iterator[None]:
    """Settings that are not the defaults, so that it shows if they are set to those."""
    signals = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGUSR1)}
    level, warn_only = logging.getLogger("lightning.pytorch").level, True
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)
    random.seed(5)
    torch.manual_seed(5)
    yield
    torch.use_deterministic_algorithms(False)
    logging.getLogger("lightning.pytorch").setLevel(level)
    for number, handler in signals.items():
        signal.signal(number, handler)


USES: dict[str, Callable[[Any, Source], Any]] = {
    "fit": lambda model, source: model.fit(source),
    "encode": lambda model, source: model.encode(source),
    "transform": lambda model, source: model.transform(source),
    "reconstruct": lambda model, source: model.reconstruct(source),
    "sample": lambda model, _: model.sample(3),
    "swap": lambda model, source: model.swap(source, source),
}


@pytest.mark.usefixtures("unusual")
@pytest.mark.parametrize("name", METHODS)
def test_the_process_is_left_as_found_by_methods(name: str) -> None:
    model = METHODS[name].__class__(**METHODS[name].get_params()).fit(table())
    for word, use in USES.items():
        before = surroundings()
        use(model, table())
        after = surroundings()
        assert changed(before, after) == [], word


@FEW_CORES
@pytest.mark.usefixtures("unusual")
def test_the_process_is_left_as_found_where_workers_read(folder: Path) -> None:
    source = read_image_folder(folder, image_size=16, memory=0)
    model = SepVAE(**VAE, num_workers=1)
    before = surroundings()
    model.fit(source).encode(source)
    after = surroundings()
    # torch looks after its workers for good, and hands on to the handler that it found.
    for signals in (before["signals"], after["signals"]):
        del signals[signal.SIGCHLD]
    assert changed(before, after) == []


@pytest.mark.slow
@pytest.mark.usefixtures("unusual")
def test_the_process_is_left_as_found_by_runs(table_run: Path, tmp_path: Path) -> None:
    codes, before = RunFolder(table_run).codes.required(), surroundings()
    score_codes(codes, n_permutations=19)
    write_report(table_run, tmp_path / "page.html")
    how: dict[str, Any] = {"about_data": {}, "n_permutations": 0, "say": lambda _: None}
    fit_run(METHODS["ContrastivePCA"], table(0), table(1), tmp_path / "run", **how)
    after = surroundings()
    assert changed(before, after) == []
