import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from sepvae.benchmark import make_cells, run_benchmark
from sepvae.benchmark.cells import Cell, Pixels
from sepvae.benchmark.folder import BenchmarkFolder, CellFolder
from sepvae.benchmark.outputs import write_outputs
from sepvae.data import ArraySource
from sepvae.errors import CollapseWarning, DataError, RunFolderError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.preprocessing.input_adapter import InputAdapter
from sepvae.recipes.recipe import ScoreColumn
from sepvae.report.benchmark_tables import benchmark_table
from sepvae.training.module import AlternatingTraining

from .conftest import COLUMNS, KINDS, contender, make_source

HOW: dict[str, Any] = {"recipe": "made-up", "background": "control", "kinds": KINDS, "n_permutations": 0}
CONTENDERS = [contender("SepVAE"), contender("MMcVAE"), contender("ContrastivePCA:pca")]


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    out, seen = tmp_path_factory.mktemp("benchmark") / "out", []
    cells = make_cells(CONTENDERS, range(2), 1)
    results = run_benchmark(cells, parts, out, **HOW, watch=seen.append)
    return cells, out, results, seen


def without_time(results):
    return results.drop(columns="seconds")


def test_a_row_for_each_cell_and_score(finished):
    cells, out, results, _ = finished
    assert results.groupby(["contender", "seed"]).ngroups == len(cells) == 6
    assert results["error"].isna().all()
    rows = results.query(
        "contender == 'SepVAE (default)' and seed == 1 and attribute == 'sex' and probe == 'linear'"
    )
    assert set(rows["space"]) == {"common", "salient", "both"}
    assert rows[["recipe", "method", "preset"]].drop_duplicates().to_numpy().tolist() == [
        ["made-up", "SepVAE", "default"]
    ]
    pd.testing.assert_frame_equal(pd.read_csv(BenchmarkFolder(out).results.path), results, check_dtype=False)


def test_app_d_has_the_own_classifier_for_sepvae_and_a_network_for_the_others(finished):
    of_groups = (
        finished[2].query("attribute == 'label' and metric == 'auc'").groupby("method")["probe"].agg(set)
    )
    assert of_groups["SepVAE"] == {"linear", "own classifier"}
    assert of_groups["MMcVAE"] == of_groups["ContrastivePCA"] == of_groups["pixels"] == {"linear", "mlp"}


def test_pixels_of_a_residualised_recipe_know_nothing_of_the_covariate():
    rng = np.random.default_rng(0)
    age, y = rng.normal(50, 10, 200), np.arange(200) % 2
    X = age[:, None] + 0.1 * rng.normal(size=(200, 3))
    source = ArraySource(X, y.astype(str), attributes=pd.DataFrame({"age": age}))
    train, test = source.select(np.arange(120)), source.select(np.arange(120, 200))
    for names, knows in ((None, True), (["age"], False)):
        codes = Pixels(2, "0", adapter=InputAdapter(names)).components(train, test)
        rho = abs(np.corrcoef(codes.loc[codes["split"] == "test", "salient0"], age[120:])[0, 1])
        assert (rho > 0.9) == knows
        assert knows or rho < 0.4


def test_pixels_of_few_samples_are_not_drowned_by_rounding(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(["control", "patient"], 20)
    train, test = (
        ArraySource(rng.normal(size=(40, 80)) + 2.0 * (labels == "patient")[:, None], labels) for _ in "ab"
    )
    test = ArraySource(test.x, labels, ids=[f"test{i}" for i in range(40)])
    Pixels(100, "control").run(train, test, CellFolder(tmp_path, {}), n_permutations=0)
    scores = CellFolder(tmp_path).scores.required().query("metric == 'auc' and probe == 'linear'")
    assert scores["score"].item() > 0.95


def test_its_state_was_told_until_the_end(finished):
    assert set(finished[3][-1].values()) == {"finished"}
    assert set(finished[3][-1]) == {"pixels-4", *(cell.name for cell in finished[0])}


def test_what_is_finished_stays_and_what_is_missing_is_done(finished, parts):
    cells, out, results, _ = finished
    folder, other = (BenchmarkFolder(out).cell(cell.name) for cell in cells[:2])
    stamp = other.codes.path.stat().st_mtime_ns
    for file in (folder.scores, folder.codes):  # killed after the fit, before its codes were written
        file.path.unlink()
    weights = (folder.model / "model.safetensors").stat().st_mtime_ns
    again = run_benchmark(cells, parts, out, **HOW)
    pd.testing.assert_frame_equal(without_time(again), without_time(results))
    assert other.codes.path.stat().st_mtime_ns == stamp
    assert (folder.model / "model.safetensors").stat().st_mtime_ns == weights


def test_killed_while_the_model_was_written_a_cell_is_fitted_again(parts, tmp_path):
    cells, folder = (
        make_cells(CONTENDERS[2:], [0], 1),
        tmp_path / "out" / "cells" / "ContrastivePCA-pca-seed0",
    )
    first = run_benchmark(cells, parts, tmp_path / "out", **HOW)
    for file in ("scores.csv", "codes.csv", "model/model.json", "model/model.safetensors"):
        (folder / file).unlink()
    (folder / "model").rename(folder / ".model.half")
    again = run_benchmark(cells, parts, tmp_path / "out", **HOW)
    pd.testing.assert_frame_equal(without_time(again), without_time(first))


def test_a_cell_goes_on_after_its_last_epoch(parts, tmp_path, monkeypatch):
    (cell, *_), (train, test) = make_cells(CONTENDERS, [0], 1), parts[0]
    save = ContrastiveEstimator.save
    monkeypatch.setattr(ContrastiveEstimator, "save", lambda *_: 1 / 0)
    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(ZeroDivisionError):
        cell.run(train, test, CellFolder(out, KINDS), n_permutations=0)
    assert (out / "last.ckpt").is_file()
    monkeypatch.setattr(ContrastiveEstimator, "save", save)
    cell.run(train, test, CellFolder(whole, KINDS), n_permutations=0)
    monkeypatch.setattr(AlternatingTraining, "training_step", lambda *_: 1 / 0)  # all epochs are done
    cell.run(train, test, CellFolder(out, KINDS), n_permutations=0)
    assert (out / "codes.csv").read_bytes() == (whole / "codes.csv").read_bytes()
    assert not (out / "last.ckpt").exists()


def test_samples_set_aside_are_marked(parts, tmp_path):
    cells = make_cells([contender("SepVAE", validation_fraction=0.3)], [0], 1)
    run_benchmark(cells, parts, tmp_path / "out", **HOW)
    codes = pd.read_csv(tmp_path / "out" / "cells" / cells[0].name / "codes.csv")
    assert codes["split"].value_counts().to_dict() == {"train": 42, "validation": 18, "test": 40}


def test_a_process_that_dies_fails_its_cells_only(parts, tmp_path, monkeypatch):
    cells, calls = make_cells([contender("SepVAE"), contender("ContrastivePCA")], [0], 1), []

    class Dying:
        """The first time a process dies over the first cell; then all goes well."""

        def __init__(self, **_):
            calls.append(1)

        def __call__(self, tasks):
            for function, arguments, keywords in tasks:
                if len(calls) == 1 and arguments[0] is cells[0]:
                    arguments[3].started.touch()
                    raise TerminatedWorkerError("killed")
                arguments[3].path.mkdir(parents=True, exist_ok=True)
                if len(calls) > 1:
                    function(*arguments, **keywords)

    (tmp_path / "out" / "cells" / cells[0].name).mkdir(parents=True)
    monkeypatch.setattr(BenchmarkFolder, "claim", lambda *_: None)
    monkeypatch.setattr("sepvae.benchmark.running.Parallel", Dying)
    results = run_benchmark(cells, parts, tmp_path / "out", **HOW)
    errors = results[results["error"].notna()]
    assert errors["contender"].tolist() == ["SepVAE (default)"]
    assert errors["error"].item() == "its process was killed, perhaps for want of memory"
    assert BenchmarkFolder(tmp_path / "out").cell(cells[1].name).state() == "finished"


@pytest.mark.slow
def test_cells_at_once_give_what_one_after_the_other_gives(finished, parts, tmp_path):
    cells, _, results, _ = finished
    with parallel_config(backend="loky", n_jobs=2):
        both = run_benchmark(cells[:3], parts, tmp_path / "out", **HOW)
    wanted = without_time(results).query("seed == 0 or contender == 'pixels'").reset_index(drop=True)
    pd.testing.assert_frame_equal(without_time(both), wanted, check_dtype=False)


def test_a_cell_that_fails_is_a_row_with_its_error_and_the_others_go_on(parts, tmp_path):
    cells = make_cells([contender("SepVAE", batch_size=3), contender("ContrastivePCA")], [0], 1)
    results = run_benchmark(cells, parts, tmp_path / "out", **HOW)
    failed = results[results["error"].notna()]
    assert failed["contender"].tolist() == ["SepVAE (default)"]
    assert failed["error"].item().startswith("DataError: batch_size: wanted 4 or more")
    assert results.query("contender == 'ContrastivePCA (default)'")["score"].notna().any()
    assert BenchmarkFolder(tmp_path / "out").cell(cells[0].name).state() == "failed"


def test_folds_are_scored_on_their_own_part(tmp_path):
    folds = [(make_source(40, 2 * fold), make_source(20, 2 * fold + 1)) for fold in range(2)]
    cells = make_cells([contender("ContrastivePCA")], [0], 2)
    results = run_benchmark(cells, folds, tmp_path / "out", **HOW)
    assert sorted(results["fold"].unique()) == [0, 1]
    rows = results.query("method == 'ContrastivePCA' and attribute == 'age' and population == 'all'")
    of_age = rows.query("metric == 'mae' and space == 'common'").set_index("fold")["score"]
    assert of_age[0] != of_age[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 7}, "holds another benchmark .other samples, ids, subjects or labels, or another split"),
        ({"threads": 2}, "holds another benchmark .threads was 1, now 2.; choose another out="),
        ({"kappa": 3.0}, "was fitted with kappa 10.0, now 3.0; choose another out=, or remove that folder"),
    ],
)
def test_another_benchmark_is_not_mixed_in(finished, parts, change, message):
    _, out, _, _ = finished
    data = [(make_source(60, change.pop("seed")), parts[0][1])] if "seed" in change else parts
    threads = change.pop("threads", 1)
    cells = make_cells([contender("SepVAE", **change)], [0], 1)
    with pytest.raises(RunFolderError, match=message):
        run_benchmark(cells, data, out, **HOW, threads=threads)


def test_a_cell_of_an_older_version_has_the_defaults_of_newer_keywords(parts, tmp_path):
    cells, out = make_cells([contender("ContrastivePCA")], [0], 1), tmp_path / "out"
    first = run_benchmark(cells, parts, out, **HOW)
    file = BenchmarkFolder(out).cell(cells[0].name).recipe
    recipe = file.required()
    file.write(recipe | {"keywords": {k: v for k, v in recipe["keywords"].items() if k != "harmonise"}})
    pd.testing.assert_frame_equal(run_benchmark(cells, parts, out, **HOW), first)
    with pytest.raises(RunFolderError, match="was fitted with harmonise None, now sex"):
        run_benchmark(make_cells([contender("ContrastivePCA", harmonise="sex")], [0], 1), parts, out, **HOW)


def test_keywords_in_a_tuple_are_the_same_again(parts, tmp_path):
    cells = make_cells([contender("SepCLR", skip_augmentations=("mask",))], [0], 1)
    first, again = (run_benchmark(cells, parts, tmp_path / "out", **HOW) for _ in range(2))
    assert first["error"].isna().all()
    pd.testing.assert_frame_equal(first, again)


def test_contenders_that_share_a_name_are_refused(parts, tmp_path):
    twice = [contender("ContrastivePCA", alpha=0.0), contender("ContrastivePCA", alpha=5.0)]
    with pytest.raises(DataError, match="wanted each contender, seed and fold once"):
        run_benchmark(make_cells(twice, [0], 1), parts, tmp_path / "out", **HOW)


def test_a_folder_with_other_files_is_left_alone(parts, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        RunFolderError, match="wanted a new folder or a benchmark's, but it holds other files"
    ):
        run_benchmark(make_cells(CONTENDERS, [0], 1), parts, tmp_path, **HOW)


def test_tables_and_figures(finished):
    cells, out, results, _ = finished
    table = write_outputs(results, cells, out, COLUMNS, background="control", kinds=KINDS)
    assert (out / "table.md").read_text() == table + "\n"
    assert table.splitlines()[2].startswith("| chance | 50.00 |")
    assert [line.split(" | ")[0] for line in table.splitlines()[3:7]] == [
        *("| SepVAE (default)", "| MMcVAE (default)", "| ContrastivePCA (pca)", "| pixels"),
    ]
    assert r"\toprule" in (out / "table.tex").read_text()
    assert (out / "figures" / "salient_spaces.png").stat().st_size > 10_000
    differences = pd.read_csv(out / "differences.csv")
    assert set(differences["a"]) == {"SepVAE (default)"}
    within = differences.query("score == 'sex, salient' and b == 'MMcVAE (default)' and low == low")
    rows = results[results["seed"].eq(0) & results["probe"].eq("linear") & results["space"].eq("salient")]
    rows = rows.query("attribute == 'sex' and population == 'all' and metric == 'balanced_accuracy'")
    first = rows.set_index("contender")["score"]
    assert within["difference"].item() == pytest.approx(first["SepVAE (default)"] - first["MMcVAE (default)"])


@pytest.mark.slow
def test_on_a_dask_cluster(parts, finished, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask is the extra sepvae[cluster]")
    cells, _, results, _ = finished
    for name in ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(
            name, "1"
        )  # dask sets them for its workers, and leaves them: here they go with the test
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), parallel_config(backend="dask"):
        found = run_benchmark(cells[1:3], parts, tmp_path / "out", **HOW)
    wanted = without_time(results).query("seed == 0 and method in ['MMcVAE', 'ContrastivePCA']")
    found = without_time(found).query("contender != 'pixels'")
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), wanted.reset_index(drop=True), check_dtype=False
    )


def test_blocks_of_several_targets_are_scored_as_spaces(tmp_path):
    labels, drawn = np.resize(["control", "BD", "SZ"], 60), [make_source(60, seed) for seed in (0, 1)]
    parts = [ArraySource(part.x, labels, ids=part.ids, attributes=part.attributes) for part in drawn]
    cell = make_cells([contender("SepVAE", salient_dim=4, shared_dim=2)], [0], 1)[0]
    cell.run(*parts, folder := CellFolder(tmp_path / "cell", KINDS), n_permutations=0)
    blocks = ["salient, shared", "salient of BD", "salient of SZ"]
    assert set(folder.scores.required()["space"].dropna()) >= {*blocks, "common", "salient"}
    assert list(folder.blocks()) == blocks


def test_columns_in_nats_are_asked_for_without_permutations(parts, tmp_path):
    shared = {"title": "shared", "population": "target", "space": "both", "metric": "shared_information"}
    of_label = {"attribute": "label", "population": "all", "space": "salient", "metric": "information"}
    columns = [
        ScoreColumn(**shared, better="low"),
        ScoreColumn(title="of the label", **of_label, better="high"),
    ]
    cells = make_cells([contender("ContrastivePCA:pca"), contender("ContrastivePCA")], [0], 1)
    results = run_benchmark(cells, parts, tmp_path / "out", **HOW, information=True)
    rows = results[results["metric"].isin(["information", "shared_information"])]
    assert rows["p_value"].isna().all()
    table = benchmark_table(results, columns)
    assert [cell.mean for cell in table.chance] == [0.0, 0.0]
    for name, cells_of in table.contenders.items():
        scores = rows[rows["contender"] == name].set_index(["metric", "space", "population"])["score"]
        wanted = [scores["shared_information", "both", "target"], scores["information", "salient", "all"]]
        assert [cell.mean for cell in cells_of] == wanted
    assert table.pixels is not None
    assert table.pixels[1].n == 1
    assert "shared" in write_outputs(
        results, cells, tmp_path / "out", columns, background="control", kinds=KINDS
    )


def test_warnings_of_a_collapse_are_lines_that_name_the_cell(parts, tmp_path, monkeypatch, capsys):
    def run(*_: object, **__: object) -> None:
        warnings.warn("the salient space holds next to nothing", CollapseWarning, stacklevel=1)
        raise DataError("stopped here")

    monkeypatch.setattr(Cell, "run", run)
    cells = make_cells([contender("ContrastivePCA:pca")], [0], 1)
    run_benchmark(cells, parts, tmp_path / "out", recipe="", background="control", kinds={}, baseline=False)
    said = capsys.readouterr().err
    assert said == "warning: ContrastivePCA-pca-seed0: the salient space holds next to nothing\n"
