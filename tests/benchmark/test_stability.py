from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae import load
from sepvae.benchmark.cells import resampled
from sepvae.benchmark.folder import BenchmarkFolder
from sepvae.benchmark.stability import make_fits, most_central, run_stability
from sepvae.data import ArraySource
from sepvae.errors import DataError, TrainingError
from sepvae.evaluation.agreement import compare_fits
from sepvae.interpretation.maps import SalientMaps
from sepvae.run_folder import RunFolder

from .conftest import KINDS, contender

pytestmark = pytest.mark.slow  # tests/cli/test_stability.py has a quick one
HOW: dict[str, Any] = {"background": "control", "kinds": KINDS}


@pytest.fixture(scope="module", autouse=True)
def few_shuffles():
    with pytest.MonkeyPatch.context() as patch:
        few = partial(compare_fits, n_permutations=3, n_bootstraps=2)
        patch.setattr("sepvae.benchmark.stability.compare_fits", few)
        yield


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("stability") / "out"
    fits = make_fits([contender("SepVAE")], seeds=2)
    fits += make_fits([contender("ContrastivePCA:pca")], seeds=2, bootstraps=2)
    return fits, out, run_stability(fits, *parts[0], out, **HOW)


def test_seeds_and_bootstraps_of_each_contender_are_compared_apart(finished):
    fits, out, table = finished
    assert len(fits) == 6
    assert table.groupby(["contender", "of"]).ngroups == 3
    pairs = table.query("measure == 'alignment' and space == 'salient' and second != ''")
    assert pairs[["first", "second"]].drop_duplicates().to_numpy().tolist() == [
        ["seed 0", "seed 1"],
        ["bootstrap 1", "bootstrap 2"],
    ]
    written = pd.read_csv(out / "stability.csv", keep_default_na=False, na_values={"low": "", "high": ""})
    assert written["score"].to_numpy() == pytest.approx(table["score"].to_numpy())
    assert (BenchmarkFolder(out).figures / "stability-seeds-SepVAE__default_.png").stat().st_size > 1000
    assert not (out / "cells" / "pixels-4").exists()
    assert set(pd.read_csv(out / "results.csv")["bootstrap"].dropna()) == {1, 2}


def test_a_method_without_randomness_agrees_over_seeds_but_less_over_people(finished):
    pca = finished[2].query("contender == 'ContrastivePCA (pca)' and first == '' and second == ''")
    score = pca.set_index(["of", "space", "measure"])["score"]
    assert score["seeds", "salient", "alignment"] == pytest.approx(1)
    assert score["seeds", "salient", "map"] == pytest.approx(1)
    assert score["seeds", "salient", "map share"] == 1
    assert score["bootstraps", "salient", "alignment"] < 0.9999


def test_maps_are_those_of_the_fits(finished, parts):
    fits, out, table = finished
    models = [load(BenchmarkFolder(out).cell(fit.name).model) for fit in fits[:2]]  # of SepVAE
    maps, ill = [], np.asarray(parts[0][1].labels) == "patient"
    unit = SalientMaps(models[0], parts[0][1]).unit
    for model in models:
        added = SalientMaps(model, parts[0][1]).decode(np.arange(40)).added / unit
        maps.append(added[ill].mean(axis=0) - added[~ill].mean(axis=0))
    row = table.query("measure == 'map' and contender == 'SepVAE (default)' and second == 'seed 1'")
    assert row["score"].item() == pytest.approx(np.corrcoef(maps)[0, 1], abs=1e-5)
    features = pd.read_csv(out / "stability-seeds-SepVAE__default_-features.csv").set_index("feature")
    assert features.loc["feature0", "map"] == pytest.approx(np.mean(maps, axis=0)[0], abs=1e-5)


def test_a_seed_is_the_fit_of_that_random_state(finished, parts):
    fits, out, _ = finished
    fit = fits[1]
    assert (fit.contender.method, fit.seed) == ("SepVAE", 1)
    codes = BenchmarkFolder(out).cell(fit.name).codes.required()
    model = fit.contender.estimator(1)
    assert model.validation_fraction == 0.1
    expected = model.fit(parts[0][0]).encode(parts[0][1]).salient_mean[:, 0]
    found = codes.loc[codes["split"] == "test", "salient0"].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_most_central_seed(finished):
    table = finished[2].assign(contender="one")
    assert most_central(table) in (0, 1)


def test_a_bootstrap_draws_whole_groups_and_all_codes_are_of_the_same_people(finished, parts):
    source = parts[0][0]
    groups = np.repeat(np.arange(20), 3)
    of_people = ArraySource(source.x, source.labels, groups=groups)
    drawn = resampled(of_people, 1)
    counts = pd.Series(drawn.groups).value_counts()
    assert len(drawn) == 60
    assert set(counts % 3) == {0}
    assert 8 <= len(counts) <= 17  # of 20 on average 63 %
    assert not np.array_equal(resampled(of_people, 2).groups, drawn.groups)
    fits, out, _ = finished
    ids = [RunFolder(BenchmarkFolder(out).cell(f.name).path).codes.required()["id"] for f in fits[-2:]]
    assert ids[0].tolist() == ids[1].tolist() == [*source.ids, *parts[0][1].ids]


def test_images_have_maps_as_arrays(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(["control", "patient"], 20)
    brighter = (labels == "patient") * rng.uniform(0.1, 0.3, size=40)
    images = rng.uniform(size=(40, 1, 16, 16)) / 2 + brighter[:, None, None, None]
    fits = make_fits([contender("ContrastivePCA:pca")], seeds=2)
    parts = [ArraySource(images, labels, ids=[f"{part}{i}" for i in range(40)]) for part in "ab"]
    run_stability(fits, *parts, tmp_path / "images", background="control", kinds={})
    with np.load(tmp_path / "images" / "stability-seeds-maps.npz") as arrays:
        assert arrays["map"].shape == arrays["icc"].shape == (1, 16, 16)
        assert arrays["map"].mean() > 0.1  # what only patients have
        np.testing.assert_allclose(arrays["icc"], 1)


def test_too_few_held_out_targets_are_said_before_the_fits(parts, tmp_path):
    train, test = parts[0]
    fits = make_fits([contender("ContrastivePCA:pca")], seeds=2)
    with pytest.raises(DataError, match="held-out targets: wanted 10 or more to compare fits on, got 9"):
        run_stability(fits, train, test.select(np.arange(29)), tmp_path / "out", **HOW)
    assert not (tmp_path / "out").exists()


def test_too_few_fits_and_failed_ones_are_errors(parts, tmp_path):
    with pytest.raises(DataError, match="got seeds=1 and bootstraps=0; wanted 2 or more of one"):
        make_fits([contender("SepVAE")], seeds=1)
    fits = make_fits([contender("ContrastivePCA:pca", alpha=-1)], seeds=2)
    with pytest.raises(TrainingError, match="2 of 2 fits failed, such as: DataError: alpha"):
        run_stability(fits, *parts[0], tmp_path / "out", **HOW)


def test_a_stopped_call_continues(finished, parts):
    fits, out, table = finished
    folder = BenchmarkFolder(out)
    of_seeds = [fit for fit in fits if fit.contender.method == "SepVAE" and not fit.bootstrap]
    stamp = folder.cell(of_seeds[0].name).codes.path.stat().st_mtime_ns
    again = run_stability(of_seeds, *parts[0], out, **HOW)
    expected = table.query("contender == 'SepVAE (default)' and of == 'seeds'").reset_index(drop=True)
    pd.testing.assert_frame_equal(again, expected)
    assert folder.cell(of_seeds[0].name).codes.path.stat().st_mtime_ns == stamp
