"""Missing values of tables from the command line: what check says, what a fit refuses, what a run keeps."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from sepvae.errors import DataError

from ..helpers import invoke, linear

HOW = ["--features", "lh_*", "--label", "dx", "--background", "HC"]
FIT = [*HOW, *linear()]
pytestmark = pytest.mark.usefixtures("undrawn")


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    age, n = rng.uniform(8, 30, 80), 80
    frame = pd.DataFrame(
        rng.normal(3, 0.1, (n, 4)) - 0.02 * age[:, None], columns=[f"lh_r{k}" for k in range(4)]
    )
    frame = frame.assign(participant_id=[f"s{i}" for i in range(n)], dx=["HC", "ASD"] * 40, AGE=age)
    return frame.assign(SEX=["F", "F", "M", "M"] * 20, TRUE_AGE=age)


def found(file: Path, *options: str) -> dict[str, list[str]]:
    text = invoke("check", file, *HOW, *options, "--json", status=None)
    messages: dict[str, list[str]] = {}
    for finding in json.loads(text)["findings"]:
        messages.setdefault(finding["code"], []).append(finding["message"])
    return messages


def test_check_names_codes_of_every_column(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.loc[[3, 41], "AGE"] = -9999
    frame.loc[frame["dx"] == "HC", "ADOS"] = -9999
    frame["ADOS"] = frame["ADOS"].fillna(pd.Series(np.arange(80) % 17 + 3.0))
    frame.loc[[5, 6, 7], "SEX"] = "-9"
    frame.loc[[8, 9], ["lh_r0", "lh_r1"]] = -999
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    columns = ["--attribute", "AGE:continuous", "--attribute", "ADOS:continuous", "--attribute", "SEX"]
    messages = found(file, *columns)["missing-code"]
    assert [message.partition(";")[0] for message in messages] == [
        "AGE: 2 of 80 samples have -9999",
        "ADOS: 40 of 80 samples have -9999, all 40 of HC among them",
        "SEX: 3 of 80 samples have -9",
        "4 values of 2 features (lh_r0, lh_r1) are -999",
    ]
    assert "--missing -9999 makes it missing" in messages[0]
    codes = ["--missing", "-9999", "--missing", "-9", "--missing", "-999"]
    named = found(file, *columns, *codes)
    assert "missing-code" not in named
    assert named["missing-values"] == [
        "AGE: 2 of 80 missing, written -9999.0",
        "ADOS: 40 of 80 missing, written -9999.0",
        "SEX: 3 of 80 missing, written -9",
        "features: 4 of 320 missing, written -999.0",
    ]
    assert named["attribute-of-one-label"] == ["ADOS is known of ASD only: it is scored among them alone"]
    kept = found(file, *columns, "--not-missing", "-9999", "--not-missing", "-9", "--not-missing", "-999")
    assert "missing-code" not in kept


def test_attributes_are_looked_at_as_features_are(frame: pd.DataFrame, tmp_path: Path) -> None:
    fiq = np.r_[np.linspace(80, 120, 79), 290]
    frame.assign(site="A", FIQ=fiq).to_csv(file := tmp_path / "t.csv", index=False)
    messages = found(file, "--attribute", "site", "--attribute", "FIQ:continuous")
    assert messages["constant-attribute"][0].startswith("site is A of all who have it")
    far = "FIQ: 1 value more than 10 robust standard deviations from the median (290)"
    assert messages["far-out-attribute"][0].startswith(far)


def test_one_spelling_has_one_meaning(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["AGE"], frame["SEX"] = frame["AGE"].astype(str), frame["SEX"].astype(str)
    frame.loc[:19, ["AGE", "SEX"]] = "NA"
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    columns = ["--attribute", "AGE:continuous", "--attribute", "SEX"]
    messages = found(file, *columns)["missing-values"]
    assert messages == ["AGE: 20 of 80 missing, written NA", "SEX: 20 of 80 missing, written NA"]
    invoke("fit", file, "--out", tmp_path / "run", *FIT, *columns[2:])
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    chance = scores.query("attribute == 'SEX' and metric == 'balanced_accuracy'")["chance"]
    assert set(chance) == {0.5}  # two classes, not three
    kept = found(file, "--attribute", "SEX", "--not-missing", "NA")
    assert "missing-values" not in kept
    assert "missing-word" not in kept


def test_labels_and_ids_stay_words_but_are_named(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["dx"] = frame["dx"].replace("ASD", "NA")
    frame.loc[7, "participant_id"] = "nan"
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    messages = found(file)
    assert messages["label-looks-missing"][0].startswith("label: 40 samples of label 'NA', which looks like")
    assert messages["name-looks-missing"][0].startswith("id: 1 sample named 'nan', which looks like")


def test_residualise_refuses_codes(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.loc[[3, 42], "AGE"] = -9999
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    how = [*FIT, "--attribute", "AGE:continuous", "--set", "residualise=AGE"]
    with pytest.raises(DataError, match=r"residualise: \d of 64 samples have AGE -9999, but all others lie"):
        invoke("fit", file, "--out", tmp_path / "run", *how)
    with pytest.raises(DataError, match="samples have no 'AGE'; fill it in, or leave"):
        invoke("fit", file, "--out", tmp_path / "run", *how, "--missing", "-9999")


@pytest.mark.slow
def test_a_fit_says_what_its_scores_are_of_and_keeps_what_was_named(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.loc[[3, 41, 42], "AGE"] = -9999
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    told = in_one_line(invoke("fit", file, "--out", tmp_path / "run", *FIT, "--attribute", "AGE:continuous"))
    assert "warning: AGE: 3 of 80 samples have -9999" in told
    assert "missing-code" in (tmp_path / "run" / "check.json").read_text()
    assert "AGE: 3 of 80 samples have -9999" in (tmp_path / "run" / "report.html").read_text()
    named = ["--attribute", "AGE:continuous", "--missing", "-9999", "--not-missing", "none"]
    told = in_one_line(invoke("fit", file, "--out", tmp_path / "run2", *FIT, *named))
    assert "note: AGE: 3 of 80 missing, written -9999.0" in told
    assert "note: t.csv: read 80 rows from 81 lines (1 of names)" in told
    about = yaml.safe_load((tmp_path / "run2" / "recipe.yaml").read_text())["data"]
    assert (about["missing"], about["not_missing"], about["encoding"]) == (["-9999"], ["none"], None)
    told = in_one_line(invoke("rerun", tmp_path / "run2", file, "--out", tmp_path / "again"))
    assert "all numbers are those of" in told
    new = frame.assign(participant_id=[f"new{i}" for i in range(80)])
    new.to_csv(tmp_path / "new.csv", index=False)
    told = in_one_line(invoke("evaluate", tmp_path / "run2", tmp_path / "new.csv", "--permutations", "0"))
    assert "AGE: 3 of 80 missing, written -9999.0" in told


def test_encode_takes_columns_by_name(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(file := tmp_path / "t.csv", index=False)
    invoke("fit", file, "--out", tmp_path / "run", *FIT)
    frame[frame.columns[::-1]].to_csv(tmp_path / "turned.csv", index=False)
    for name in ("t", "turned"):
        invoke("encode", tmp_path / "run", tmp_path / f"{name}.csv", "--out", tmp_path / f"{name}-codes.csv")
    codes = [(tmp_path / f"{name}-codes.csv").read_text() for name in ("t", "turned")]
    assert codes[0] == codes[1]


def test_an_index_that_pandas_wrote_is_no_feature(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.drop(columns="AGE").sample(frac=1, random_state=0).to_csv(file := tmp_path / "t.csv")
    text = file.read_text()
    for header in ("", "Unnamed: 0"):
        file.write_text(header + text)
        how = ["--features", "number", *HOW[2:]]
        told = in_one_line(invoke("fit", file, "--out", tmp_path / f"run{header}", *how, *FIT[6:]))
        assert "features: number took 5 of 9 columns: lh_r0, lh_r1, lh_r2, lh_r3, .., TRUE_AGE" in told
        assert f"left out: no name: {header!r}" in told
