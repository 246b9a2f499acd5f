"""Which label is the background: named, told by a word, or a guess that is said."""

import warnings

import numpy as np
import pandas as pd
import pytest
import yaml

from sepvae import ContrastivePCA
from sepvae.checks import guess_background, order_labels
from sepvae.data import ArraySource
from sepvae.errors import BackgroundWarning, DataError
from sepvae.inspection import inspect
from sepvae.runs import fit_run

from .helpers import linear, outcome

LINEAR = linear(common_dim=1)
pytestmark = pytest.mark.usefixtures("undrawn")
COLUMNS = ["--features", "x*", "--label", "dx"]


@pytest.fixture
def table(tmp_path):
    """80 people, half with `ill`, half with `well` as their label; only the ill have a score."""

    def written(ill, well):
        rng, dx = np.random.default_rng(0), np.repeat([ill, well], 40)
        frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=["x1", "x2", "x3"])
        frame["ados"] = np.where(dx == ill, rng.integers(3, 20, 80), np.nan)
        frame["participant_id"] = [f"s{i:02d}" for i in range(80)]
        frame.assign(dx=dx).to_csv(tmp_path / "people.csv", index=False)
        return tmp_path / "people.csv"

    return written


@pytest.mark.parametrize(
    ("labels", "background", "why"),
    [
        (["ASD", "HC"], "HC", "word"),
        (["AD", "cn"], "cn", "word"),
        (["ADHD", "Healthy Controls"], "Healthy Controls", "word"),
        (["PNEUMONIA", "NORMAL"], "NORMAL", "word"),
        (["autism", "typically-developing"], "typically-developing", "word"),
        (["ASD", "0"], "0", "word"),
        (["a", "b"], "a", "alphabet"),
        (["control", "healthy"], "control", "alphabet"),
        (["1", "2"], "1", "number"),
        (["-1", "0"], "0", "number"),
        (["2.0", "1.0"], "1.0", "number"),
        (["True", "False"], "False", "number"),
        ([True, False], False, "number"),
        ([1, 2], 1, "number"),
    ],
)
def test_no_patients_are_taken_beside_a_word_for_controls(labels, background, why):
    assert guess_background(labels) == (background, why)


def test_python_takes_the_word_and_says_when_it_guesses():
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.repeat(["ASD", "HC"], 6)
    model = ContrastivePCA(1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", BackgroundWarning)
        assert model.fit(X, y).background_ == "HC"
        named = ContrastivePCA(1, 1, background=2).fit(X, np.repeat([1, 2], 6))
        assert named.background_ == 2
    with pytest.warns(
        BackgroundWarning, match=r"labels 1 \(6 samples\) and 2 \(6\) do not tell .*background=1 or"
    ):
        assert model.fit(X, np.repeat([1, 2], 6)).background_ == 1
    with pytest.warns(BackgroundWarning, match=r"did you mean background=False\?; False is taken"):
        assert not model.fit(X, np.repeat([True, False], 6)).background_


def test_a_run_folder_needs_a_background_for_numbers(tmp_path):
    source = ArraySource(np.random.default_rng(0).normal(size=(12, 3)), np.repeat([1, 2], 6))
    with pytest.raises(DataError, match="name the label of the controls: background=1 or background=2"):
        fit_run(ContrastivePCA(1, 1), source, source, tmp_path / "run", about_data={})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("labels", "background", "message"),
    [
        ([1, 2], "1", r"wanted one of 1, 2, got '1'; did you mean background=1\?"),
        (["1", "2"], 1, r"wanted one of '1', '2', got 1; did you mean background='1'\?"),
        ([1, 2], True, "wanted one of 1, 2, got True"),
        (["a", "b"], "c", "wanted one of a, b, got 'c'"),
    ],
)
def test_a_number_and_its_text_are_told_apart(labels, background, message):
    with pytest.raises(DataError, match=message):
        order_labels(np.array(labels), background)


@pytest.mark.parametrize(
    ("ill", "well", "hint"),
    [
        ("1", "2", "name the label of the controls: --background 1 or --background 2"),
        ("True", "False", "did you mean --background False?"),
        ("1.0", "0.0", "did you mean --background 0.0?"),
    ],
)
def test_numbers_need_a_background(table, tmp_path, ill, well, hint):
    data = table(ill, well)
    code, said = outcome("fit", data, *COLUMNS, "--out", tmp_path / "run", *LINEAR)
    assert code != 0
    assert "do not tell which is the background" in said
    assert hint in said
    code, said = outcome("check", data, *COLUMNS)
    assert code == 1
    assert hint in said
    code, said = outcome("check", data, *COLUMNS, "--background", well)
    assert (code, f"background: {well} (40), target: {ill} (40)" in said) == (0, True)


def test_a_word_for_controls_is_taken_and_said(table, tmp_path):
    code, said = outcome("fit", table("ASD", "HC"), *COLUMNS, "--out", tmp_path / "run", *LINEAR)
    assert code == 0
    assert "background: HC (40), target: ASD (40) (by its name" in said
    assert pd.read_csv(tmp_path / "run" / "codes.csv").query("y == 0")["label"].unique().tolist() == ["HC"]


def test_a_score_of_the_background_alone_is_an_inverted_analysis(table):
    score = ["--attribute", "ados:continuous"]
    code, said = outcome("check", table("1", "2"), *COLUMNS, *score, "--background", "1")
    assert code == 1
    assert "ados is known of 1 only, the background" in said
    assert "(--background 2)" in said
    assert outcome("check", table("1", "2"), *COLUMNS, *score, "--background", "2")[0] == 0


def test_words_of_the_background_alone_are_a_warning():
    about = pd.DataFrame({"id": range(80), "group": range(80), "label": ["ASD", "HC"] * 40, "split": None})
    about["subtype"] = np.where(about["label"] == "ASD", "a", None)
    levels = [{f.code: f.level for f in inspect(about, background=label).findings} for label in ("ASD", "HC")]
    assert levels[0]["attribute-of-background"] == "warning"
    assert levels[1]["attribute-of-one-label"] == "note"


def test_named_labels_stand_in_every_file_and_new_data_are_read_alike(table, tmp_path):
    data, run, new = table("1", "2"), tmp_path / "run", tmp_path / "new.csv"
    names = ["--background", "2=control", "--target", "1=autism"]
    code, said = outcome("fit", data, *COLUMNS, *names, "--out", run, *LINEAR)
    assert code == 0
    assert "background: control (40), target: autism (40)" in said
    for file in ("codes.csv", "split.csv", "maps/maps.csv"):
        assert set(pd.read_csv(run / file)["label"]) <= {"control", "autism"}
    codes = pd.read_csv(run / "codes.csv")
    assert (codes["label"].eq("control") == codes["y"].eq(0)).all()
    assert yaml.safe_load((run / "recipe.yaml").read_text())["data"]["labels"] == {
        "1": "autism",
        "2": "control",
    }
    frame = pd.read_csv(data)
    frame.assign(participant_id="new-" + frame["participant_id"]).to_csv(new, index=False)
    assert outcome("evaluate", run, new, "--permutations", "0")[0] == 0
    assert outcome("rerun", run, data, "--out", tmp_path / "again")[0] == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["--background", "3=control"], "wanted LABEL=NAME with one of 1, 2, got '3=control'"),
        (["--background", "2="], "wanted LABEL=NAME with one of 1, 2, got '2='"),
        (["--background", "2=1"], "'1' in '2=1' is taken"),
        (["--background", "2=a", "--target", "1=a"], "'a' is the name of background and target"),
    ],
)
def test_names_refused(table, tmp_path, names, message):
    code, said = outcome("fit", table("1", "2"), *COLUMNS, *names, "--out", tmp_path / "run", *LINEAR)
    assert code != 0
    assert message in said


WORDS = {
    "image": "image brightness goes with the label: exposure or windowing may differ",
    "volume": "volume sd of intensity goes with the label: scanner, processing or the amount of tissue",
    "attribute": "what the salient space shows may be age",
    "missing": "whether age is known goes with the label: scores of it are of those who have it",
}


@pytest.mark.parametrize("of", WORDS)
def test_each_kind_of_confound_has_its_own_words(of):
    from sepvae.inspection.confounds import VariableTest, confound_finding

    variable = {"image": "brightness", "volume": "sd of intensity"}.get(of, "age")
    test = VariableTest({"variable": variable, "of": of, "p": 0.001}, 1.0, "goes", "with the label")
    message = confound_finding(test, 0.01).message
    assert WORDS[of] in message
    others = [words.partition(":")[2] or words for kind, words in WORDS.items() if kind != of]
    assert not any(words in message for words in others)
