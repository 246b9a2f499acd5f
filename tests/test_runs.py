"""Runs from Python: tables leave a run folder as images do."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.errors import DataError, TrainingError
from sepvae.methods import ContrastivePCA
from sepvae.run_folder import RunFolder
from sepvae.runs import evaluate_run, fit_run
from sepvae.runs.finishing import finish_run

from .helpers import quick, table_source

UNDRAWN = pytest.mark.usefixtures("undrawn")


def test_a_table_leaves_everything_but_pictures_of_samples(table_run: Path) -> None:
    figures = {path.name for path in (table_run / "figures").iterdir()}
    names = ("codes_label", "codes_subtype", "codes_age", "learning_curves", "correlations")
    names += ("map_regions", "map_axes")
    assert figures == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert not (table_run / "thumbnails.npz").exists()
    assert (table_run / "report.html").is_file()


def test_categories_that_look_like_numbers_stay_categories(table_run: Path) -> None:
    assert set(RunFolder(table_run).codes.required()["subtype"].dropna()) == {"1", "2"}
    metrics = evaluate_run(table_run, n_permutations=0).query("attribute == 'subtype'")["metric"]
    assert set(metrics) == {"balanced_accuracy", "accuracy", "auc"}


def test_new_tables_are_scored_with_probes_of_the_training_part(table_run: Path) -> None:
    scores = evaluate_run(table_run, table_source(2), n_permutations=0)
    label = scores.query("attribute == 'label'")
    assert label["n_test"].unique().tolist() == [60]
    assert label["n_train"].unique().tolist() == [
        (RunFolder(table_run).codes.required()["split"] == "train").sum()
    ]


@UNDRAWN
def test_what_was_scored_can_be_scored_again(tmp_path: Path) -> None:
    model, how = ContrastivePCA(2, 1).fit(table_source(0)), {"kinds": {}, "n_permutations": 0}
    (tmp_path / "recipe.yaml").write_text("{}")
    for new in (table_source(1), table_source(2)):
        finish_run(model, table_source(0), new, tmp_path, **how, say=lambda _: None)
    assert pd.read_csv(tmp_path / "maps" / "maps.csv")["id"].str.startswith("2-").all()


def test_a_fit_that_goes_astray_leaves_the_ids_of_its_last_steps(tmp_path: Path) -> None:
    diverging, run = SepVAE(**quick(), learning_rate=1e12, batch_size=20), tmp_path / "run"
    with pytest.raises(
        TrainingError, match=r"in epoch 0, step \d, with samples 0-.* lower learning_rate"
    ) as error:
        fit_run(diverging, table_source(0), table_source(1), run, about_data={}, say=lambda _: None)
    last = pd.read_csv(run / "diverged.csv")
    assert last["id"].tolist() == [name for names in error.value.batches.values() for name in names]
    assert set(last["step"]) == set(range(last["step"].max() + 1))
    assert not (run / "model").exists()


def test_a_fit_that_fails_before_there_is_anything_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="batch_size"):
        fit_run(
            SepVAE(**quick(), batch_size=2), table_source(0), table_source(1), tmp_path / "run", about_data={}
        )
    assert list(tmp_path.iterdir()) == []


@UNDRAWN
def test_without_a_seed_a_fit_keeps_no_state_and_ends(tmp_path: Path) -> None:
    model = SepVAE(**quick(), random_state=None)
    how: dict[str, Any] = {"about_data": {}, "n_permutations": 0, "say": lambda _: None}
    assert fit_run(model, table_source(0), table_source(1), tmp_path / "run", **how) is not None


def test_attributes_may_not_be_called_like_codes() -> None:
    with pytest.raises(DataError, match="'salient0' is a column of its own"):
        ArraySource([[1.0]], ["a"], attributes=pd.DataFrame({"salient0": [1]}))


@UNDRAWN
def test_the_recipe_names_the_background_as_it_was_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = (
        ArraySource(rng.normal(size=(40, 3)), [0, 1] * 20, ids=[str(start + i) for i in range(40)])
        for start in (0, 40)
    )
    out = tmp_path / "run"
    fit_run(SepVAE(**quick()), train, test, out, about_data={}, n_permutations=0, say=lambda _: None)
    assert RunFolder(out).recipe.required()["keywords"]["background"] == 0


@UNDRAWN
def test_labels_may_be_called_none_and_groups_may_be_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = (
        ArraySource(
            rng.normal(size=(40, 3)),
            ["None", "ill"] * 20,
            groups=np.arange(40) + start,
            ids=[str(start + i) for i in range(40)],
            attributes=pd.DataFrame({"arm": ["NA", "b", "NA", "c"] * 10}),
        )
        for start in (0, 40)
    )
    out = tmp_path / "run"
    fit_run(SepVAE(**quick()), train, test, out, about_data={}, n_permutations=0, say=lambda _: None)
    assert set(RunFolder(out).codes.required()["label"]) == {"None", "ill"}
    assert set(RunFolder(out).codes.required()["arm"]) == {"NA", "b", "c"}
    with pytest.raises(DataError, match="subjects of the new data were fitted on"):
        evaluate_run(out, train, n_permutations=0)


def test_a_mistake_found_on_the_way_in_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="batch_size"):
        fit_run(
            SepVAE(**quick(), batch_size=2),
            table_source(0),
            table_source(1),
            tmp_path / "run",
            about_data={},
            say=print,
        )
    assert list(tmp_path.iterdir()) == []
