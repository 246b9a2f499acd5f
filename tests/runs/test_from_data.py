"""From data to a run folder in one call, as the command line does it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import sepvae
from sepvae.data import DataSpec
from sepvae.errors import DataError

from ..helpers import invoke, quick, quick_sets

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "data.md"
pytestmark = pytest.mark.usefixtures("undrawn", "judged_shortly")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Slices of 60 people, with a participants.tsv."""
    rng = np.random.default_rng(0)
    (tmp_path / "slices").mkdir()
    names = [f"sub-{i:02d}" for i in range(60)]
    for name in names:
        pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "slices" / f"{name}.png")
    rows = pd.DataFrame({"participant_id": names, "diagnosis": ["HC", "SCZ"] * 30})
    rows.assign(age=rng.normal(40, 9, 60), site=rng.choice(["a", "b"], 60)).to_csv(
        tmp_path / "participants.tsv", sep="\t", index=False
    )
    return tmp_path


@pytest.mark.slow
def test_the_example_of_the_guide_runs(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    section = GUIDE.read_text().split("## From Python")[1]
    example = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    settings = ", ".join(f"{name}={value!r}" for name, value in quick().items())
    names: dict[str, object] = {}
    exec(example.replace("max_epochs=50", settings), names)  # noqa: S102
    assert names["codes"].common_mean.shape == (60, 2)
    assert {"label", "age", "site"} <= set(names["scores"]["attribute"])


def test_it_fits_as_the_command_line_does(study: Path) -> None:
    table, how = study / "participants.tsv", {"n_permutations": 0, "removal": False, "thumbnails": False}
    spec = DataSpec(images="slices/{participant_id}.png", label="diagnosis", image_size=16, limit=25)
    sepvae.fit_folder(
        table,
        study / "python",
        sepvae.SepVAE(**quick()),
        spec=spec,
        split_seed=3,
        scoring=how,
        say=lambda _: None,
    )
    options = ["--images", "slices/{participant_id}.png", "--label", "diagnosis", "--image-size", "16"]
    options += ["--limit", "25", "--split-seed", "3", "--permutations", "0", "--quick", *quick_sets()]
    invoke("fit", table, "--out", study / "typed", *options)
    recipes = [yaml.safe_load((study / run / "recipe.yaml").read_text()) for run in ("python", "typed")]
    assert recipes[0]["data"] == recipes[1]["data"]
    codes = [(study / run / "codes.csv").read_text() for run in ("python", "typed")]
    assert codes[0] == codes[1]


def test_a_wrong_field_is_named(study: Path) -> None:
    with pytest.raises(DataError, match="labell: no such key; did you mean label"):
        sepvae.fit_folder(study / "participants.tsv", study / "run", labell="diagnosis")
    with pytest.raises(DataError, match="is a table of image files, for which mask= has no meaning"):
        sepvae.data.load(study / "participants.tsv", images="participant_id", label="diagnosis", mask="m.nii")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_an_estimator_keeps_its_background_and_its_keywords(study: Path) -> None:
    model = sepvae.ContrastivePCA(common_dim=2, salient_dim=2, background="SCZ")
    how = {"n_permutations": 0, "removal": False, "thumbnails": False}
    spec = DataSpec(images="slices/{participant_id}.png", label="diagnosis", image_size=16)
    sepvae.fit_folder(
        study / "participants.tsv", study / "run", model, spec=spec, scoring=how, say=lambda _: None
    )
    assert yaml.safe_load((study / "run" / "recipe.yaml").read_text())["keywords"]["background"] == "SCZ"
    other = sepvae.ContrastivePCA(common_dim=2, salient_dim=2)
    sepvae.fit_folder(
        study / "participants.tsv", study / "b", other, spec=spec, scoring=how, say=lambda _: None
    )
    assert other.background is None


def test_a_keyword_of_the_method_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^max_epochs: .*; give method=SepVAE\(max_epochs=\.\.\)$"):
        sepvae.fit_folder(tmp_path / "table.csv", tmp_path / "run", max_epochs=3)
