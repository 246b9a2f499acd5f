"""Predictions of cells, associations with clinical scores and intervals, of a benchmark in two folds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae.benchmark import make_cells, run_benchmark
from sepvae.benchmark.folder import BenchmarkFolder
from sepvae.benchmark.outputs import write_intervals, write_outputs
from sepvae.data import ArraySource
from sepvae.data.splits import make_folds
from sepvae.evaluation.correlations import partial_spearman
from sepvae.evaluation.differences import nadeau_bengio

from ..helpers import score_column
from .conftest import contender, make_source

KINDS: Any = {"sex": "categorical", "age": "continuous", "ados": "continuous"}
HOW: dict[str, Any] = {"recipe": "made-up", "background": "control", "kinds": KINDS}
AGE = score_column("age", "age", "target", "salient", "mae", "linear", "high")
PLAIN = score_column("age, as in the paper", "age", "target", "salient", "mae", "least_squares", "high")


def clinical_source() -> ArraySource:
    """Controls and patients; a score of the patients shows in the fifth feature."""
    source, rng = make_source(120, 0), np.random.default_rng(1)
    score = np.where(source.labels == "patient", rng.normal(10, 3, 120), np.nan)
    x = np.asarray(source.x).copy()
    x[:, 4] += np.nan_to_num(score)
    return ArraySource(x, source.labels, ids=source.ids, attributes=source.attributes.assign(ados=score))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out, source = tmp_path_factory.mktemp("folds") / "out", clinical_source()
    folds = make_folds(source.labels, source.groups, 2)
    parts = [(source.select(train), source.select(test)) for train, test in folds]
    cells = make_cells([contender("ContrastivePCA:paper"), contender("ContrastivePCA:pca")], range(2), 2)
    results = run_benchmark(cells, parts, out, **HOW)
    write_outputs(results, cells, out, [AGE, PLAIN], background="control", kinds=KINDS, adjust_for=["age"])
    return cells, parts, out, results


def test_a_paper_contender_has_least_squares_beside_ridge_and_others_a_dash(finished):
    _, _, out, results = finished
    plain = results[results["probe"] == "least_squares"]
    assert set(plain["contender"]) == {"ContrastivePCA (paper)"}
    assert set(plain["attribute"]) == {"age", "ados"}
    lines = (out / "table.md").read_text().splitlines()
    assert lines[4].startswith("| ContrastivePCA (pca) | ")
    assert lines[4].endswith(" | - |")
    assert not lines[3].endswith(" - |")


def test_predictions_of_all_folds_cover_each_patient_once(finished):
    cells, _, out, _ = finished
    tables = [pd.read_csv(out / "cells" / cell.name / "predictions.csv") for cell in cells[:1] + cells[2:3]]
    assert [cell.fold for cell in cells[:1] + cells[2:3]] == [0, 1]
    ados = pd.concat(tables).query("attribute == 'ados' and space == 'salient'")
    source = clinical_source()
    assert sorted(ados["id"]) == sorted(source.ids[source.labels == "patient"])


def test_associations_are_of_predictions_pooled_over_folds(finished):
    cells, _, out, _ = finished
    found = pd.read_csv(out / "associations.csv")
    assert list(found.columns) == [
        *(
            "contender",
            "seed",
            "attribute",
            "space",
            "n",
            "spearman",
            "p",
            "partial",
            "n_partial",
            "p_partial",
        ),
        *("p_adjusted", "p_partial_adjusted"),
    ]
    assert len(found) == 2 * 2 * 2  # contenders, seeds, spaces; age is no clinical score
    row = found.query("contender == 'ContrastivePCA (pca)' and seed == 1 and space == 'salient'").iloc[0]
    names = [cell.name for cell in cells if (cell.contender.preset, cell.seed) == ("pca", 1)]
    pooled = pd.concat(pd.read_csv(out / "cells" / name / "predictions.csv") for name in names)
    pooled = pooled.query("attribute == 'ados' and space == 'salient'")
    source = clinical_source()
    age = pd.Series(source.attributes["age"].to_numpy(), index=source.ids)[pooled["id"]]
    expected = partial_spearman(
        pooled["predicted"].to_numpy(),
        pooled["truth"].to_numpy(),
        pd.DataFrame({"age": age}),
        alternative="greater",
    )
    assert (row["n"], row["n_partial"]) == (60, 60)
    assert (row["partial"], row["p_partial"]) == pytest.approx(expected)
    assert "| ContrastivePCA (pca) | ados | salient | 60 |" in (out / "associations.md").read_text()
    assert r"\toprule" in (out / "associations.tex").read_text()


def test_a_mean_over_folds_has_its_corrected_interval_and_its_chance(finished):
    _, _, out, results = finished
    row = (
        pd.read_csv(out / "intervals.csv")
        .query("score == 'age' and contender == 'ContrastivePCA (pca)'")
        .iloc[0]
    )
    rows = results.query(
        "contender == 'ContrastivePCA (pca)' and attribute == 'age' and population == 'target'"
    )
    rows = rows.query("space == 'salient' and metric == 'mae' and probe == 'linear'")
    of_folds = rows.groupby("fold")["score"].mean()
    wanted = nadeau_bengio(of_folds, rows["n_train"].mean(), rows["n_test"].mean())
    assert tuple(row[["mean", "low", "high"]]) == pytest.approx(wanted[:3])
    assert row["chance"] == pytest.approx(rows["chance"].mean())


def test_seeds_that_agree_are_no_narrow_interval(tmp_path):
    row = {"contender": "A", "fold": None, "attribute": "age", "population": "target", "space": "salient"}
    row |= {"metric": "mae", "probe": "linear", "score": 8.0, "low": 7.0, "high": 9.5, "chance": 9.0}
    runs = pd.DataFrame([row | {"seed": seed, "n_train": 80, "n_test": 20} for seed in range(5)])
    write_intervals(runs, [AGE], BenchmarkFolder(tmp_path))
    found = pd.read_csv(tmp_path / "intervals.csv").iloc[0]
    assert found[["mean", "low", "high"]].tolist() == [8.0, 7.0, 9.5]
    assert found["kind"] == "bootstrap over test groups, mean of 5 seeds"


def test_a_folder_from_before_predictions_goes_on(finished):
    cells, parts, out, _ = finished
    folder = out / "cells" / cells[0].name
    before = (folder / "predictions.csv").read_text()
    stamps = [(folder / name).stat().st_mtime_ns for name in ("codes.csv", "scores.csv")]
    associations = (out / "associations.csv").read_text()
    (folder / "predictions.csv").unlink()
    again = run_benchmark(cells, parts, out, **HOW)
    write_outputs(again, cells, out, [AGE], background="control", kinds=KINDS, adjust_for=["age"])
    assert (folder / "predictions.csv").read_text() == before
    assert (out / "associations.csv").read_text() == associations
    assert [(folder / name).stat().st_mtime_ns for name in ("codes.csv", "scores.csv")] == stamps


def test_a_person_predicted_twice_costs_the_associations_alone(tmp_path):
    source = clinical_source()
    twice = ArraySource(
        np.asarray(source.x),
        source.labels,
        ids=source.ids,
        groups=np.arange(120) // 2,
        attributes=source.attributes,
    )
    (train, test), *_ = make_folds(twice.labels, twice.groups, 2)
    cells, out = make_cells([contender("ContrastivePCA")], [0], 1), tmp_path / "out"
    results = run_benchmark(cells, [(twice.select(train), twice.select(test))], out, **HOW)
    write_outputs(results, cells, out, [AGE], background="control", kinds=KINDS)
    assert "was predicted twice" in (out / "associations.md").read_text()
    assert (out / "figures" / "salient_spaces.png").is_file()
    interval = pd.read_csv(out / "intervals.csv").query("contender != 'pixels'").iloc[0]
    assert interval["kind"] == "bootstrap over test groups"
    assert interval["low"] < interval["mean"] < interval["high"]


def test_without_clinical_scores_there_are_no_associations(parts, tmp_path):
    cells, kinds = (
        make_cells([contender("ContrastivePCA")], [0], 1),
        {"sex": "categorical", "age": "continuous"},
    )
    how = HOW | {"kinds": kinds}
    write_outputs(
        run_benchmark(cells, parts, tmp_path / "out", **how),
        cells,
        tmp_path / "out",
        [AGE],
        background="control",
        kinds=kinds,
    )
    assert not list((tmp_path / "out").glob("associations*"))
    assert (tmp_path / "out" / "intervals.md").is_file()
