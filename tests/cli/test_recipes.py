"""`sepvae recipes`, and what a recipe tells `sepvae fit`: what is typed comes first."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from sepvae import methods
from sepvae.errors import SepVAEError
from sepvae.recipes import load_recipe
from sepvae.recipes.recipe import recipe_names, recipe_text
from sepvae.registry import find_method, method_names

from ..helpers import invoke

RECIPE = """
title: Noise with a bright half
source: tests
reader: folder
data:
  background: patient
  pattern: '(?P<group>p\\d+)_(?P<kind>left|right)'
  image_size: 16
  limit: 30
protocol:
  folds: 4
  split_seed: 3
  contenders: [SepVAE]
  columns:
    - {title: side, attribute: kind, population: target, space: salient, metric: auc, better: high}
methods:
  SepVAE:
    paper: {network: cnn2d, gamma: 1e-10, kappa: 3}
    quick: {max_epochs: 1, kappa: 3}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path / "mine.yaml"


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `fit_run` is called with; nothing is fitted."""
    seen = SimpleNamespace()

    def fit_run(model: Any, train: Any, test: Any, *_: Any, about_data: dict[str, Any], **__: Any) -> None:
        seen.model, seen.train, seen.test, seen.about = model, train, test, about_data

    monkeypatch.setattr("sepvae.runs.from_data.fit_run", fit_run)
    return seen


def test_recipes_are_listed_with_title_and_reader() -> None:
    lines = invoke("recipes").splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(load_recipe(line.split()[0]).title in line for line in lines)
    assert lines[5].split()[-1] == "kermany"


def test_a_recipe_is_printed_as_it_is_packaged() -> None:
    assert invoke("recipes", "pneumonia") == recipe_text("pneumonia")
    with pytest.raises(SepVAEError, match="there is no 'pnemonia'; did you mean pneumonia"):
        invoke("recipes", "pnemonia")


def test_a_recipe_gives_options_and_keywords(mine: Path, folder: Path, fitted: SimpleNamespace) -> None:
    output = invoke("fit", folder, "--recipe", mine, "--preset", "paper", "--out", mine.parent / "run")
    assert fitted.about["recipe"] == {"name": "mine.yaml", "preset": "paper"}
    assert (fitted.about["image_size"], fitted.about["limit"]) == (16, 30)
    assert "drawn with seed 3, 0.25 for the test" in output
    model = fitted.model.get_params()
    assert (model["background"], model["gamma"], model["kappa"]) == ("patient", 1e-10, 3)
    assert model["beta_common"] == methods.SepVAE.presets["paper"]["beta_common"]  # not in the recipe


def test_a_preset_of_the_recipe_alone_is_on_top_of_the_defaults(
    mine: Path, folder: Path, fitted: SimpleNamespace
) -> None:
    invoke("fit", folder, "--recipe", mine, "--preset", "quick", "--out", mine.parent / "run")
    expected = methods.SepVAE(max_epochs=1, kappa=3, background="patient")
    assert fitted.model.get_params() == expected.get_params()


def test_what_is_typed_comes_before_the_recipe(mine: Path, folder: Path, fitted: SimpleNamespace) -> None:
    typed = ["--background", "control", "--image-size", "64", "--test-size", "0.2", "--split-seed", "0"]
    typed += ["--set", "kappa=7", "--preset", "quick"]  # 64, 0.2 and 0 are what they are without a recipe
    output = invoke("fit", folder, "--recipe", mine, *typed, "--out", mine.parent / "run")
    assert (fitted.about["image_size"], fitted.about["limit"]) == (64, 30)
    assert "drawn with seed 0, 0.2 for the test" in output
    assert (fitted.model.background, fitted.model.kappa, fitted.model.max_epochs) == ("control", 7, 1)


def test_digits_need_no_data(tmp_path: Path, fitted: SimpleNamespace) -> None:
    name = "digits-on-photos"
    invoke("fit", name, "--recipe", name, "--preset", "paper", "--out", tmp_path / "run")
    assert (len(fitted.train), len(fitted.test)) == (2874, 720)
    assert fitted.about == {
        "reader": name,
        "split_seed": 1,
        "recipe": {"name": name, "preset": "paper"},
    }
    assert fitted.model.max_epochs == load_recipe(name).keywords("SepVAE", "paper")["max_epochs"]


@pytest.mark.parametrize("method", method_names())
def test_each_method_has_its_keywords(method: str, tmp_path: Path, fitted: SimpleNamespace) -> None:
    name = "digits-on-photos"
    invoke("fit", name, "--recipe", name, "--method", method, "--out", tmp_path / "run")
    assert type(fitted.model).__name__ == method


def test_a_method_needs_no_recipe(folder: Path, tmp_path: Path, fitted: SimpleNamespace) -> None:
    method = method_names()[-1]
    preset = list(find_method(method).presets)[-1]
    options = ["--method", method, "--preset", preset, "--image-size", "16", "--out", tmp_path / "run"]
    invoke("fit", folder, *options)
    assert "recipe" not in fitted.about
    expected = find_method(method).from_preset(preset, background="control")
    assert fitted.model.get_params() == expected.get_params()


DIGITS = "digits-on-photos"
MISTAKES = {
    "data of another kind": ("{folder}", ["pneumonia"], "reads Kermany's chest X-rays, but this is a folder"),
    "a file": ("{table}", ["celeba-accessories"], "reads CelebA, but this is a table of image files"),
    "a path for digits": ("{folder}", [DIGITS], "brings its data; write digits-on-photos instead"),
    "an option for digits": (DIGITS, [DIGITS, "--limit", "9"], "--limit has no meaning for recipe digits"),
    "volumes": (
        "{folder}",
        ["autism"],
        "reads a table of volumes, or a packed store, but this is a folder of images",
    ),
    "a preset": (DIGITS, [DIGITS, "--preset", "papr"], "no preset of SepVAE 'papr'; it has default, paper"),
    "a method": (DIGITS, [DIGITS, "--method", "SepVEA"], "--method: wanted one of CLVM"),
    "a keyword": (DIGITS, [DIGITS, "--set", "gama=1"], "no keyword 'gama'; did you mean gamma?"),
    "a recipe": (DIGITS, ["digits"], "got 'digits'; there are autism"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(
    case: str, folder: Path, tmp_path: Path, fitted: SimpleNamespace
) -> None:
    data, options, message = MISTAKES[case]
    (tmp_path / "table.csv").write_text("a,b\n")
    data = data.format(folder=folder, table=tmp_path / "table.csv")
    with pytest.raises(SepVAEError) as error:
        invoke("fit", data, "--out", tmp_path / "run", "--recipe", *options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not vars(fitted)


def test_keywords_of_a_recipe_are_those_of_its_method(mine: Path, folder: Path) -> None:
    mine.write_text(RECIPE.replace("kappa: 3}", "kapa: 3}"))
    message = r"mine.yaml: methods.SepVAE.quick: SepVAE has no keyword 'kapa'; did you mean kappa\?"
    with pytest.raises(SepVAEError, match=message):
        invoke("fit", folder, "--recipe", mine, "--preset", "quick", "--out", mine.parent / "run")


def test_a_recipe_of_chest_x_rays_reads_them(tmp_path: Path, fitted: SimpleNamespace) -> None:
    names = [f"NORMAL/IM-{i:04d}.jpeg" for i in range(10)]
    names += [f"PNEUMONIA/person{i}_{('bacteria', 'virus')[i % 2]}_{i}.jpeg" for i in range(20)]
    for i, name in enumerate(names):
        path = tmp_path / "chest_xray" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(path)
    options = ["--recipe", "pneumonia", "--method", "ConVAE", "--preset", "paper", "--out", tmp_path / "run"]
    invoke("fit", tmp_path / "chest_xray", *options)
    assert (fitted.about["reader"], fitted.about["fit"]) == ("kermany", "squash")
    assert fitted.train.sample_shape == (3, 64, 64)
    assert (fitted.model.kappa, fitted.model.network) == (10, "e2")


def test_as_a_process_recipes_are_listed_without_torch() -> None:
    code = "import sys; from sepvae.cli.app import app; app(['recipes'], standalone_mode=False); "
    code += "sys.exit(bool({'torch', 'pandas', 'sklearn'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
