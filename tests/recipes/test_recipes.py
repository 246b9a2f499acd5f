"""Packaged recipes say what the paper says; mistakes in a user's are one line with their place."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sepvae.data import split
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS
from sepvae.recipes import load_recipe
from sepvae.recipes.recipe import INFORMATION, ScoreColumn, recipe_names, recipe_text
from sepvae.registry import find_method

NAMES = [
    "autism",
    "autism-regions",
    "brats",
    "celeba-accessories",
    "digits-on-photos",
    "pneumonia",
    "schizophrenia",
]


def test_every_experiment_has_its_recipe() -> None:
    assert recipe_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_its_keywords_are_those_of_its_methods(name: str) -> None:
    recipe = load_recipe(name)
    assert "default" in recipe.methods["SepVAE"]
    for method, presets in recipe.methods.items():
        known = find_method(method)().get_params()
        for preset in presets:
            keywords = recipe.keywords(method, preset)
            assert set(keywords) <= set(known)
            assert all(not isinstance(v, str) or not v[:1].isdigit() for v in keywords.values())


def test_metrics_are_those_of_the_library() -> None:
    allowed = ScoreColumn.model_json_schema()["properties"]["metric"]["enum"]
    assert set(allowed) - {*INFORMATION} == {metric.name for kind in METRICS.values() for metric in kind}


# Dimensions, beta_common, beta_salient, kappa, gamma, sigma_p, learning rate, batch, epochs; App. E.1 to E.3.
APPENDIX = {
    "celeba-accessories": (16, 0.5, 0.5, 2, 1e-10, 0.025, 1e-3, 512, 250),
    "pneumonia": (128, 0.5, 0.1, 2, 5e-10, 0.05, 1e-3, 512, 100),
    "schizophrenia": (128, 1, 0.1, 10, 1e-8, 0.01, 5e-5, 32, 51),
    "autism": (128, 1, 0.1, 10, 1e-8, 0.01, 2e-5, 32, 51),
}
KEYS = ("salient_dim", "beta_common", "beta_salient", "kappa", "gamma", "background_prior_var")
KEYS += ("learning_rate", "batch_size", "max_epochs")


@pytest.mark.parametrize("name", APPENDIX)
def test_the_papers_values_are_those_of_appendix_e(name: str) -> None:
    recipe = load_recipe(name)
    keywords = recipe.keywords("SepVAE", "paper")
    assert tuple(keywords[key] for key in KEYS) == APPENDIX[name]
    assert keywords["common_dim"] == keywords["salient_dim"]
    mmd = recipe.keywords("MMcVAE", "paper")
    assert mmd["background_mmd"] * keywords["batch_size"] == 100
    assert mmd["common_mmd"] * keywords["batch_size"] == 1000


@pytest.mark.parametrize("method", ["SepVAE", "ConVAE", "MMcVAE"])
def test_digits_scale_the_weights_of_celeba_by_the_number_of_pixels(method: str) -> None:
    digits, celeba = (
        load_recipe(n).keywords(method, "paper") for n in ("digits-on-photos", "celeba-accessories")
    )
    names = {"beta_common", "beta_salient", "kappa", "gamma", "background_mmd", "common_mmd"} & set(digits)
    assert len(names) >= 3
    for name in names:
        assert digits[name] * (64 * 64 * 3) / (32 * 32) == pytest.approx(celeba[name], rel=1e-5)


def test_methods_of_one_recipe_share_network_and_training() -> None:
    shared = ("network", "common_dim", "salient_dim", "learning_rate", "batch_size", "max_epochs")
    for name in NAMES:
        recipe = load_recipe(name)
        papers = [recipe.keywords(method, "paper") for method in ("SepVAE", "ConVAE", "MMcVAE")]
        assert len({tuple(paper[key] for key in shared) for paper in papers}) == 1


def test_a_saved_recipe_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe_text("pneumonia"))
    mine = load_recipe(tmp_path / "mine.yaml")
    assert mine.model_dump() == load_recipe("pneumonia").model_dump()
    assert mine.name == "mine.yaml"


def test_a_fold_is_what_one_fit_is_scored_on() -> None:
    assert load_recipe("autism").protocol.test_share == 0.2


def test_how_many_values_are_left_out_only_the_data_tell(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = recipe_text("autism").replace("folds: 5\n  stratify_by: site", "leave_out: site")
    file.write_text(text)
    protocol = load_recipe(file).protocol
    assert (protocol.leave_out, protocol.folds, protocol.test_share) == ("site", None, 0.2)
    assert protocol.adjust_for == ["age", "sex", "site"]


def test_celeba_tests_on_4000_of_24000() -> None:
    share = load_recipe("celeba-accessories").protocol.test_share
    train, test = split(np.repeat([0, 1], 12000), np.arange(24000), test_size=share)
    assert (len(train), len(test)) == (20000, 4000)


MISTAKES = {
    "seeds: 5 -> sedes: 5": "protocol.sedes: no such key; did you mean seeds?",
    "  SepVAE: ->   SepVEA:": "methods.SepVEA: no such method; did you mean SepVAE?",
    "seeds: 5 -> seeds: many": "protocol.seeds: wanted a valid integer, got 'many'",
    "seeds: 5 -> folds: 5": "protocol: wanted one of test_size, folds and leave_out",
    "seeds: 5 -> leave_out: site": "protocol: wanted one of test_size, folds and leave_out",
    "test_size: 0.2 -> leave_out: site\n  stratify_by: site": "protocol: stratify_by has no meaning with "
    "leave_out",
    "metric: auc, probe: own -> metric: auc, probe: least_squares": "protocol.columns.2: wanted metric mae "
    "or r2 with probe least_squares",
    "space: salient, metric: auc -> space: salient SZ, metric: auc": "protocol.columns.2: wanted space "
    "common, salient, both, 'salient, shared' or 'salient of TARGET'",
    "salient, metric: auc, probe: own -> common, metric: auc, probe: own": "protocol.columns.2: wanted space "
    "salient and attribute label with probe own",
    "test_size: 0.2 -> test_size: 2": "protocol.test_size: wanted less than 1, got 2",
    "metric: accuracy -> metric: acc": "protocol.columns.0.metric: wanted 'balanced_accuracy', 'accuracy', "
    "'auc', 'mae', 'r2', 'information' or 'shared_information', got 'acc'",
    "attribute: subtype, population: target, -> population: target,": "protocol.columns.0: wanted an "
    "attribute, or metric shared_information, which has none",
    "salient, metric: auc, probe: own -> both, metric: shared_information": "protocol.columns.2: wanted an "
    "attribute, or metric shared_information, which has none",
    "attribute: label, population: all, space: salient, metric: auc, probe: own -> population: target, "
    "space: salient, metric: shared_information": "protocol.columns.2: wanted space both with metric "
    "shared_information",
    "salient, metric: auc, probe: own -> both, metric: information": "protocol.columns.2: wanted attribute "
    "label, population all and space common or salient with metric information",
    "background: NORMAL -> background: NO": "data.background: wanted text (put it in quotes), got False",
    "reader: kermany -> # none": "reader: wanted a value, found no such key",
    "default: {network: e2, batch_size: 128, max_epochs: 100} -> default:": "methods.SepVAE.default: "
    "wanted keys with values, got nothing",
}


@pytest.mark.parametrize("edit", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(edit: str, tmp_path: Path) -> None:
    before, after = edit.split(" -> ")
    assert before in recipe_text("pneumonia")
    file = tmp_path / "mine.yaml"
    file.write_text(recipe_text("pneumonia").replace(before, after, 1))
    with pytest.raises(DataError) as error:
        load_recipe(str(file))
    assert str(error.value) == f"{file}: {MISTAKES[edit]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"reader: [1\ntitle: a", "mine.yaml line 2: is not YAML"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"", "mine.yaml: wanted keys with values, got nothing"),
        (b"!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"title: !!bool x", "is not YAML that is read here (KeyError"),
        (b"title: !!int ''", "is not YAML that is read here (IndexError"),
        (b"title: !!timestamp x", "is not YAML that is read here (AttributeError"),
        (b"title: 1" + b":59" * 300 + b".5", "is not YAML that is read here (OverflowError"),
        (b'title: "\\ud800"', "is not YAML that is read here (UnicodeEncodeError"),
        (b"0" + b"7" * 9000, "wanted keys with values, got a number of thousands of digits"),
        (b"[" + b"a," * 499_000 + b"]", "more than 10000 values"),  # in time
    ],
)
def test_what_is_no_recipe_is_one_line(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(text)
    with pytest.raises(DataError) as error:
        load_recipe(tmp_path / "mine.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_that_yaml_takes_for_words_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe_text("pneumonia").replace("kappa: 2", "random_state: None", 1))
    keywords = load_recipe(file).keywords("SepVAE", "paper")
    assert (keywords["gamma"], keywords["random_state"]) == (5e-10, None)


def test_labels_that_yaml_takes_for_numbers_are_words(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe_text("pneumonia").replace("background: NORMAL", "background: 0\n  target: 1"))
    with pytest.raises(DataError, match=r"data\.target: wanted a valid list, got 1"):
        load_recipe(file)


def test_what_a_recipe_does_not_have_is_named() -> None:
    recipe = load_recipe("autism")
    with pytest.raises(DataError, match=r"no method 'ContrastivePCA'; it has SepVAE, ConVAE, MMcVAE"):
        recipe.keywords("ContrastivePCA", "default")
    with pytest.raises(DataError, match=r"no preset of SepVAE 'release'; it has default, paper"):
        recipe.keywords("SepVAE", "release")
    with pytest.raises(DataError, match="got 'autsm'; did you mean autism"):
        load_recipe("autsm")


def test_recipes_are_read_without_torch_or_pandas() -> None:
    code = "import sys; from sepvae.recipes import load_recipe; load_recipe('pneumonia'); "
    code += "sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
