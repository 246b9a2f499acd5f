"""Severities of targets from an attribute: run folders, and every command on them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import spearmanr

from sepvae import SepVAE, fit_folder, load
from sepvae.benchmark import make_cells, parse_contender, run_benchmark
from sepvae.data import DataSpec, frame_source
from sepvae.errors import DataError, ModelFileError, RunFolderError
from sepvae.plotting.codes import severity_scatter
from sepvae.registry import method_names

from ..helpers import invoke, outcome, quick, quick_sets, without_figures

pytestmark = pytest.mark.usefixtures("undrawn", "judged_shortly")
FIELDS: dict[str, Any] = {"label": "dx", "features": ["a", "b", "c"], "attributes": ["age"], "id": "id"}
QUICK = quick(max_epochs=2, validation_fraction=0.2)
FEW = {"n_permutations": 0, "removal": False, "thumbnails": False}


def people(n: int = 80, seed: int = 0) -> pd.DataFrame:
    """Three features; the first falls with a score of patients, which is 0 or empty for controls."""
    rng = np.random.default_rng(seed)
    ill = np.arange(n) % 2 == 1
    score = np.where(ill, rng.integers(1, 21, n), np.where(rng.random(n) < 0.5, 0, np.nan))
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    table["a"] -= np.where(ill, score / 4, 0)
    about = {"id": [f"s{seed}-{i:02d}" for i in range(n)], "dx": np.where(ill, "ASD", "HC")}
    return table.assign(**about, age=rng.normal(40, 9, n).round(1), score=score)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("severity") / "people.csv"
    people().to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    out = table.parent / "run"
    with without_figures():
        fit_folder(
            table,
            out,
            SepVAE(**QUICK),
            **FIELDS,
            target_severity="score",
            scoring=FEW,
            say=lambda _: None,
        )
    return out


def typed(table: Path, **options: str) -> list[Any]:
    """The command of a quick fit to the table, with other options."""
    given = {"label": "dx", "target-severity": "score", "id": "id"} | options
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return ["fit", table, *words, "--features", "a", "--features", "b", *quick_sets(), "--quick"]


def test_y_is_the_share_of_the_maximum_among_training_targets(run: Path, table: Path) -> None:
    about = pd.read_csv(table).set_index("id")
    codes = pd.read_csv(run / "codes.csv").set_index("id")
    fitted = about.loc[codes.index[codes["split"] != "test"]]
    most = fitted["score"].max()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    assert recipe["severity"] == {"attribute": "score", "maximum": most}
    y = (fitted["score"].fillna(0) / most).to_numpy()
    numbers = SepVAE(**QUICK, target="severity").fit(fitted[["a", "b", "c"]], y)
    got = codes.loc[fitted.index].filter(regex="^(common|salient)")
    np.testing.assert_allclose(numbers.transform(fitted[["a", "b", "c"]]), got, rtol=1e-4, atol=1e-5)
    expected = load(run).predict(fitted[["a", "b", "c"]])  # in the units of the score
    np.testing.assert_allclose(expected, most * numbers.predict(fitted[["a", "b", "c"]]), rtol=1e-4)


def test_labels_stay_those_of_groups_and_the_severity_is_scored_among_targets(run: Path) -> None:
    scores, codes = pd.read_csv(run / "scores.csv"), pd.read_csv(run / "codes.csv")
    assert set(scores.loc[scores["attribute"] == "score", "population"]) == {"target"}
    assert {"label", "age", "score"} <= set(scores["attribute"])
    assert sorted(codes.groupby("label")["y"].unique().map(list).items()) == [("ASD", [1]), ("HC", [0])]
    assert codes.loc[codes["label"] == "HC", "score"].isna().all()


def test_the_page_says_what_y_was(run: Path, table_run: Path) -> None:
    page = " ".join((run / "report.html").read_text().split())
    assert "y is <strong>score</strong> divided by 20, its maximum among the targets of the fit" in page
    assert "and 0 for HC" in page
    codes = pd.read_csv(run / "codes.csv").query("split == 'test' and score.notna()")
    length = np.linalg.norm(codes.filter(regex="^salient"), axis=1)
    rho = spearmanr(codes["score"], length).statistic
    said = f"score and the length of the salient code, among {len(codes)} test targets"
    assert f"{said}: <strong>{rho:.2f}</strong>" in page
    assert 'id="severity"' not in (table_run / "report.html").read_text()


def test_the_figure_has_a_point_for_each_sample(run: Path) -> None:
    test = pd.read_csv(run / "codes.csv").query("split == 'test'")
    figure = severity_scatter(test, "score")
    known, right = test["score"].notna(), figure.axes[1]
    grey, coloured = (points.get_offsets() for points in right.collections)
    assert (len(grey), len(coloured)) == ((~known).sum(), known.sum())
    assert set(grey[:, 0]) == {0}
    assert sorted(coloured[:, 0]) == sorted(test.loc[known, "score"])


@pytest.mark.slow
def test_commands_on_such_a_run(run: Path, table: Path, tmp_path: Path) -> None:
    assert f"{run} is finished" in say_of_resume(run, table)
    output = invoke("rerun", run, table, "--out", tmp_path / "again")
    assert "all numbers are those of" in output
    new = people(seed=1)
    new.loc[new["dx"] == "ASD", "score"] *= 3  # above the maximum of the fit
    new.loc[1, "score"] = np.nan  # and not known of one
    new.to_csv(tmp_path / "new.csv", index=False)
    new.drop(columns="score").to_csv(tmp_path / "without.csv", index=False)
    for name, has in (("new", True), ("without", False)):
        file = tmp_path / f"{name}.csv"
        invoke("evaluate", run, file, "--out", tmp_path / f"{name}-scores.csv")
        assert ("score" in set(pd.read_csv(tmp_path / f"{name}-scores.csv")["attribute"])) == has
        invoke("encode", run, file, "--out", tmp_path / f"{name}-codes.csv")
        assert len(pd.read_csv(tmp_path / f"{name}-codes.csv")) == len(new)
        invoke("maps", run, file, "--out", tmp_path / f"{name}-maps")
        assert (tmp_path / f"{name}-maps" / "regions.csv").is_file()
        assert (tmp_path / f"{name}-maps" / "severity.csv").is_file() == has
    model, X = load(run), new[["a", "b", "c"]]
    assert model.swap(X[:5], X[5:10]).shape == (5, 3)
    assert not np.allclose(*(model.sample(4, y=y, random_state=0) for y in (0.2, "ASD")))


def say_of_resume(run: Path, table: Path) -> str:
    said: list[str] = []
    how = FIELDS | {"target_severity": "score", "scoring": FEW, "resume": True, "say": said.append}
    fit_folder(table, run, SepVAE(**QUICK), **how)
    return said[-1]


def test_resume_refuses_another_severity(run: Path, table: Path) -> None:
    with pytest.raises(RunFolderError, match=r"was begun with another fit \(keywords: severity was score"):
        fit_folder(table, run, SepVAE(**QUICK), **FIELDS, scoring=FEW, resume=True, say=lambda _: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: np.nan, 3: np.nan}, "2 of 40 targets have no score, such as s0-01; fill it in, or leave"),
        ({3: 0}, "1 of 40 targets have 0 or less in score, such as s0-03; 0 is the background's"),
        ({5: -2}, "1 of 40 targets have 0 or less in score, such as s0-05"),
        ({0: 7}, "1 of 40 background samples have other than 0 in score, such as s0-00; the column is of"),
        (dict.fromkeys(range(1, 80, 2), 4), "all 40 targets have the same score, 4; fit without"),
    ],
)
def test_numbers_that_are_no_severities(change: dict[int, float], message: str, tmp_path: Path) -> None:
    rows = people()
    rows.loc[list(change), "score"] = list(change.values())
    rows.to_csv(tmp_path / "people.csv", index=False)
    status, said = outcome(*typed(tmp_path / "people.csv", out=str(tmp_path / "run")))
    assert status != 0
    assert f"people.csv: --target-severity: {message}" in said
    assert not (tmp_path / "run").exists()
    source = frame_source(rows, label="dx", features=["a", "b"], attributes=["score"])
    with pytest.raises(DataError, match=message.partition(", such")[0]):
        SepVAE(**QUICK, target="severity", severity="score").fit(source)


def test_words_are_refused_by_line(tmp_path: Path) -> None:
    people().assign(score="mild").to_csv(tmp_path / "people.csv", index=False)
    said = outcome(*typed(tmp_path / "people.csv", out=str(tmp_path / "run")))[1]
    assert "line 2: wanted a number as 'score', got 'mild'" in said
    assert said.endswith("write severities as numbers above 0, or take another column for --target-severity")


def test_several_targets_are_joined_or_refused(tmp_path: Path) -> None:
    rows = people()
    rows.loc[1:20:2, "dx"] = "SZ"
    rows.to_csv(tmp_path / "people.csv", index=False)
    said = outcome(*typed(tmp_path / "people.csv", out=str(tmp_path / "no"), background="HC"))[1]
    assert "--target-severity: wanted one target, got ASD and SZ; join them: --target ASD --target SZ" in said
    source = frame_source(rows, label="dx", features=["a", "b"], attributes=["score"])
    with pytest.raises(DataError, match="severity: wanted one target, got ASD and SZ"):
        SepVAE(**QUICK, background="HC", target="severity", severity="score").fit(source)
    invoke(*typed(tmp_path / "people.csv", out=str(tmp_path / "run")), "--target", "ASD", "--target", "SZ")
    assert load(tmp_path / "run").severity_max_ == 20


@pytest.mark.parametrize("method", [name for name in method_names() if name != "SepVAE"])
def test_methods_without_severity_refuse_it(method: str, table: Path, tmp_path: Path) -> None:
    message = f"target_severity: {method} takes groups of people, not how ill each is; leave it out, or take "
    with pytest.raises(DataError, match=message):
        fit_folder(table, tmp_path / "run", method, **FIELDS, target_severity="score")
    with pytest.raises(DataError, match=message):
        parse_contender(method).with_severity("score")
    assert parse_contender("SepVAE").with_severity("score").keywords == {
        "target": "severity",
        "severity": "score",
    }


def test_a_run_needs_the_name_of_the_severity(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="severities of a run folder are an attribute of the targets"):
        fit_folder(table, tmp_path / "run", SepVAE(**QUICK, target="severity"), **FIELDS, say=lambda _: None)
    with pytest.raises(DataError, match="severity: wanted an attribute with target='severity', got 'score'"):
        SepVAE(**QUICK, severity="score").fit(people()[["a", "b"]], people()["dx"])
    with pytest.raises(DataError, match="wanted a source with attribute 'score', got no attributes"):
        SepVAE(**QUICK, target="severity", severity="score").fit(people()[["a", "b"]], people()["dx"])


def test_gradients_are_of_the_severity_of_a_source() -> None:
    source = frame_source(people(), label="dx", features=["a", "b"], attributes=["score"])
    model = SepVAE(**QUICK, target="severity", severity="score").fit(source)
    assert np.isfinite(model.gradient_norms(source, source.labels)["salient_encoder"]).all()


def test_the_severity_is_an_attribute() -> None:
    spec = DataSpec(attributes=["age"], target_severity="score")
    assert spec.attributes == {"age": None, "score": "continuous"}
    with pytest.raises(ValueError, match="score must not be :categorical"):
        DataSpec(attributes=["score:categorical"], target_severity="score")


@pytest.mark.parametrize("wrong", [None, 0.0, -1.0, "5"])
def test_a_model_file_with_a_wrong_maximum_is_refused(wrong: Any, run: Path, tmp_path: Path) -> None:
    load(run).save(tmp_path / "model")
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps(about | {"severity_max": wrong}))
    with pytest.raises(ModelFileError, match="is damaged"):
        load(tmp_path / "model")


def test_a_benchmark_scores_groups_by_a_classifier_of_groups(tmp_path: Path) -> None:
    how = {"label": "dx", "features": ["a", "b", "c"], "id": "id", "attributes": ["score"]}
    parts = [tuple(frame_source(people(seed=seed), **how) for seed in (0, 1))]
    contender = replace(parse_contender("SepVAE"), keywords=quick(background="HC"))
    kinds = {"score": "continuous"}
    for name, one in (("groups", contender), ("severity", contender.with_severity("score"))):
        cells = make_cells([one], range(1), 1)
        where = {"recipe": "test", "background": "HC", "kinds": kinds}
        results = run_benchmark(cells, parts, tmp_path / name, **where)
        of_method = results.query("method == 'SepVAE'")
        assert of_method["error"].isna().all()
        assert ("own classifier" in set(of_method["probe"])) == (name == "groups")
        assert ("mlp" in set(of_method["probe"])) == (name == "severity")
