"""Covariates of the decoder from the command line: a fit, new people without them, and a later reading."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae import load
from sepvae.errors import DataError
from sepvae.preprocessing.covariates import conditions_of
from sepvae.run_folder import RunFolder

from ..helpers import invoke, quick_sets, without_figures

COLUMNS = ["--features", "lh_*", "--label", "dx", "--background", "hc"]
COLUMNS += ["--attribute", "sex:categorical", "--attribute", "age:continuous", "--permutations", "0"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 80 people with age and sex."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("people")
    table = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(80)]})
    table["dx"], table["age"] = np.where(np.arange(80) % 2, "hc", "sz"), rng.normal(50, 9, 80)
    table["sex"] = rng.choice(["F", "M"], 80)
    table[["lh_a", "lh_b", "lh_c"]] = rng.normal(size=(80, 3))
    table.to_csv(folder / "people.csv", index=False)
    return folder / "people.csv"


@pytest.fixture(scope="module")
def run(people: Path) -> Path:
    folder = people.parent / "run"
    with without_figures():
        given = ["--condition-on", "age", "--condition-on", "sex"]
        invoke("fit", people, "--out", folder, *COLUMNS, *given, *quick_sets())
    return folder


def test_the_recipe_and_the_model_name_the_covariates(run: Path, people: Path) -> None:
    assert conditions_of(RunFolder(run).recipe.required()["keywords"]) == ["age", "sex"]
    model, table = load(run), pd.read_csv(people)
    x = table[["lh_a", "lh_b", "lh_c", "age", "sex"]]
    assert (model.reconstruct(x, at={"age": 60}) != model.reconstruct(x)).any()
    assert RunFolder(run).report.is_file()


def test_new_people_are_encoded_without_covariates(run: Path, people: Path, tmp_path: Path) -> None:
    table = pd.read_csv(people)
    table.drop(columns=["age", "sex", "dx"]).to_csv(tmp_path / "new.csv", index=False)
    invoke("encode", run, tmp_path / "new.csv", "--out", tmp_path / "new_codes.csv")
    invoke("encode", run, people, "--out", tmp_path / "codes.csv")
    new, codes = (pd.read_csv(tmp_path / name).set_index("id") for name in ("new_codes.csv", "codes.csv"))
    pd.testing.assert_frame_equal(
        new.filter(regex=r"\d"), codes.filter(regex=r"\d")[new.filter(regex=r"\d").columns]
    )
    with pytest.raises(DataError, match="condition_on: wanted a covariate 'age' of these samples"):
        invoke("maps", run, tmp_path / "new.csv", "--out", tmp_path / "maps")


def test_people_that_the_decoder_would_refuse_are_found_before_the_fit(
    run: Path, people: Path, tmp_path: Path
) -> None:
    table, codes = pd.read_csv(people), pd.read_csv(run / "codes.csv")
    in_test = codes.loc[codes["split"] == "test", "id"]
    table.loc[table["participant_id"] == in_test.iloc[0], "sex"] = "other"
    table.to_csv(tmp_path / "people.csv", index=False)
    with pytest.raises(DataError, match="1 of 16 samples have sex 'other', which no person that was fitted"):
        invoke(
            "fit",
            tmp_path / "people.csv",
            "--out",
            tmp_path / "run",
            *COLUMNS,
            *quick_sets(condition_on="sex"),
        )
    assert not (tmp_path / "run").exists()
