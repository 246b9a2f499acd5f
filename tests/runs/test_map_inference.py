"""Inference on the group map of a run: files, refits that go on, and no find where labels say nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.data import ArraySource, frame_source, simulate_vbm_cohort
from sepvae.data.nifti import NiftiFiles
from sepvae.data.simulated import SUBTYPES
from sepvae.errors import DataError, RunFolderError
from sepvae.evaluation.map_inference import difference_test
from sepvae.interpretation.maps import SalientMaps
from sepvae.interpretation.tested_values import added_values, people_of
from sepvae.methods import ContrastivePCA, SepCLR
from sepvae.run_folder import RunFolder
from sepvae.runs import fit_run
from sepvae.runs.map_inference import infer_maps, permuted

from ..helpers import invoke, linear, outcome, quick

pytestmark = pytest.mark.usefixtures("undrawn")
NAMES = [f"region{i}" for i in range(12)]
REFITS = 19


def regions(seed: int, n: int = 80) -> ArraySource:
    """Twelve correlated measures; patients have less of the first two, some more so than others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12)) + rng.normal(size=(n, 1))
    x[1::2, :2] -= rng.uniform(0, 8, size=(n // 2, 1))
    frame = pd.DataFrame(x * 10 ** np.arange(12), columns=NAMES).assign(dx=["hc", "scz"] * (n // 2))
    frame["id"] = [f"{seed}-{i}" for i in range(n)]
    frame["age"] = rng.normal(60, 9, n)
    return frame_source(frame, label="dx", id="id", attributes=["age"], features=NAMES)


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inference") / "run"
    model, about = ContrastivePCA(2, 1), {"reader": "frame"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.runs.finishing.draw", lambda _: None)
        fit_run(model, regions(0), regions(1), out, about_data=about, n_permutations=0, say=quiet)
    infer_maps(out, regions(0), regions(1), refits=REFITS, n_permutations=99, say=quiet)
    return out


def test_a_table_has_one_row_for_each_feature(run: Path) -> None:
    table = RunFolder(run).inference.regions.required()
    assert set(table["feature"][:2]) == {"region0", "region1"}
    assert table["salient_p"][:2].to_numpy() == pytest.approx(1 / 100)
    assert table["salient_p_refits"].min() == pytest.approx(1 / (REFITS + 1))
    assert {"salient_t", "input_difference", "input_p", "glm_t", "glm_p", "w_t", "w_p"} <= set(table)
    assert (run / "figures" / "map_inference.png").is_file()


def test_the_page_and_the_summary_say_what_was_found(run: Path) -> None:
    summary = json.loads((run / "inference" / "inference.json").read_text())
    table = RunFolder(run).inference.regions.required()
    assert summary["people"] == {"hc": 40, "scz": 40}
    assert summary["adjusted_for"] == ["age"]
    assert summary["tests"]["salient"]["found"] == (table["salient_p"] <= 0.05).sum()
    r = np.corrcoef(table["glm_t"], table["salient_difference"])[0, 1]
    assert summary["tests"]["glm"]["correlation"] == pytest.approx(r)
    invoke("report", run)
    page = (run / "report.html").read_text("utf-8")
    assert "In held-out people (hc: 40, scz: 40) what the salient part adds differs" in page
    assert f"Against {REFITS} refits on permuted labels" in page
    assert "no p-value is given" not in page
    both = summary["tests"]["glm"]["found_by_both"]
    assert both == ((table["salient_p"] <= 0.05) & (table["glm_p"] <= 0.05)).sum()
    assert "Does the map show more than a test of each feature of the input by t? " in page


def test_refits_go_on_where_they_were_stopped(run: Path) -> None:
    folder = RunFolder(run).inference
    files = {k: folder.refit(k).path for k in range(1, REFITS + 1)}
    before = {k: file.read_bytes() for k, file in files.items()}
    times = {k: file.stat().st_mtime_ns for k, file in files.items()}
    files[7].unlink()
    infer_maps(run, regions(0), regions(1), refits=REFITS, n_permutations=19, say=quiet)
    assert files[7].read_bytes() == before[7]
    assert [k for k, file in files.items() if file.stat().st_mtime_ns != times[k]] == [7]


def test_other_covariates_need_other_refits(run: Path) -> None:
    infer_maps(run, regions(0), regions(1), adjust_for=[], refits=1, n_permutations=19, say=quiet)
    folder = RunFolder(run).inference
    assert folder.refit(1).read()["adjusted_for"].tolist() == []
    assert folder.refit(2).read()["adjusted_for"].tolist() == ["age"]
    assert json.loads(folder.summary.path.read_text())["refits"]["n"] == 1


def test_people_get_the_label_of_another_one_and_their_scans_share_it() -> None:
    labels = np.array(["hc", "hc", "scz", "scz", "scz", "hc"])
    about = pd.DataFrame({"severity": [np.nan, np.nan, 1.0, 2.0, 3.0, np.nan], "age": range(6)})
    groups = ["p", "p", "q", "r", "s", "t"]
    source = ArraySource(np.arange(6.0)[:, None], labels, groups=groups, attributes=about)
    seen = set()
    for seed in range(20):
        other = permuted(source, np.random.default_rng(seed), "severity")
        assert other.labels[0] == other.labels[1]
        np.testing.assert_array_equal(other.attributes["severity"].notna(), other.labels == "scz")
        assert other.take(np.arange(6)).y.tolist() == other.labels.tolist()
        seen.add(tuple(other.labels))
    assert len(seen) > 3
    assert source.labels.tolist() == labels.tolist()


@pytest.mark.slow
def test_shuffled_labels_give_an_empty_map_in_19_of_20_runs() -> None:
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        train, test = (permuted(regions(k), rng) for k in (2 * seed, 2 * seed + 1))
        model = ContrastivePCA(2, 1, background="hc").fit(train)
        people, values = people_of(model, test), added_values(SalientMaps(model, test), None)
        found += difference_test(values, people.is_target, n_permutations=199).found.any()
    assert stats.binomtest(int(found), 60, 0.05).pvalue > 0.05


def test_a_method_without_a_decoder_has_no_map_to_test(tmp_path: Path) -> None:
    model = SepCLR(**quick(background="hc")).fit(regions(0))
    model.save(tmp_path / "model")
    (tmp_path / "recipe.yaml").write_text("format: 1\n")
    with pytest.raises(DataError, match="wanted a method with a decoder, got SepCLR"):
        infer_maps(tmp_path, regions(0), regions(1), say=quiet)


@pytest.fixture(scope="module")
def brains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated cohort with its run."""
    cohort = simulate_vbm_cohort(tmp_path_factory.mktemp("c") / "cohort", n_subjects=200, side=24)
    out, mask = cohort.parents[1] / "run", cohort.parent / "truth" / "brain_mask.nii.gz"
    how = ["--images", "{participant_id}/anat/{participant_id}_GM.nii.gz", "--label", "group"]
    how += ["--attribute", "age:continuous", "--attribute", "severity:continuous", "--attribute", "site"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.runs.finishing.draw", lambda _: None)
        method = linear(common_dim=16, salient_dim=16)
        invoke("fit", cohort, *how, "--mask", mask, *method, "--test-size", 0.5, "--out", out)
    return cohort, out


@pytest.mark.slow
def test_the_command_finds_the_disease_of_the_simulated_cohort(brains: tuple[Path, Path]) -> None:
    cohort, run = brains
    said = " ".join(invoke("maps", run, cohort, "--inference").split())
    assert "control: 50, patient: 50" in said
    assert "adjusted for age and site" in said
    folder = RunFolder(run).inference
    assert f"tests: {folder.path}" in said
    maps = ["difference", "t", "logp", "clusterlogp"]
    assert all(folder.volume("salient", name).is_file() for name in maps)
    assert all(folder.volume(part, "clusterlogp").is_file() for part in ("input", "glm", "w"))
    clusters = folder.clusters.required().query("map == 'salient'").iloc[0]
    assert clusters["p_cluster"] < 0.05
    assert clusters["statistic"] < 0
    foci = np.array([focus[:3] for part in SUBTYPES.values() for focus in part])
    peak = clusters[["x_mm", "y_mm", "z_mm"]].to_numpy(float)
    assert np.linalg.norm(foci - peak, axis=1).min() < 25
    found = 10 ** -NiftiFiles([folder.volume("salient", "logp")])(0) <= 0.05
    truth = [NiftiFiles([cohort.parent / "truth" / f"subtype-{name}_map.nii.gz"])(0) for name in SUBTYPES]
    affected = sum(truth) > 0.05 * max(map(np.max, truth))
    assert found.any()
    assert (found & affected).sum() >= 0.9 * found.sum()


@pytest.mark.slow
def test_the_command_says_in_one_line_what_is_wrong(brains: tuple[Path, Path], tmp_path: Path) -> None:
    cohort, run = brains
    status, said = outcome("maps", run, cohort, "--inference", "--out", tmp_path / "new")
    assert "--out: tests go to" in said
    assert "--out: wanted a folder to make" in outcome("maps", run, cohort)[1]
    assert "wanted 0, or 19 or more, got 5" in outcome("maps", run, cohort, "--null", 5)[1]
    assert (
        "wanted an attribute of the run"
        in outcome("maps", run, cohort, "--inference", "--adjust-for", "x")[1]
    )
    assert status


@pytest.mark.slow
def test_new_maps_say_who_was_fitted_on(brains: tuple[Path, Path], tmp_path: Path) -> None:
    cohort, run = brains
    said = invoke("maps", run, cohort, "--out", tmp_path / "new")
    assert "samples that were fitted on: 100 of 200, so statistics of groups are biased" in said
    table = pd.read_csv(tmp_path / "new" / "maps.csv")
    split = pd.read_csv(run / "split.csv").set_index("id")["split"]
    assert table["split"].tolist() == split[table["id"]].tolist()
    assert "split" not in pd.read_csv(run / "maps" / "maps.csv")


def test_images_have_tests_of_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = []
    for seed in (0, 1):
        x = rng.integers(0, 60, size=(60, 1, 12, 10), dtype=np.uint8)
        x[1::2, :, 3:6, 3:6] += rng.integers(0, 180, size=(30, 1, 1, 1), dtype=np.uint8)
        parts.append(ArraySource(x, ["hc", "scz"] * 30, ids=[f"{seed}-{i}" for i in range(60)]))
    out = tmp_path / "run"
    fit_run(ContrastivePCA(3, 1), *parts, out, about_data={"reader": "array"}, n_permutations=0, say=quiet)
    said: list[str] = []
    folder = RunFolder(infer_maps(out, *parts, n_permutations=39, say=said.append).parent).inference
    maps = folder.maps.read()
    assert "note: no w-maps: without covariates their t is that of the input" in said
    assert "w_t" not in maps
    found = 10 ** -maps["salient_logp"] <= 0.05
    assert found.shape == (12, 10)
    assert found.any()
    assert found[3:6, 3:6].sum() == found.sum()
    assert not folder.clusters.exists()
    with pytest.raises(RunFolderError):
        folder.regions.required()
