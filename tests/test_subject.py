"""The person is called subject; for one version `group` is taken, with a note."""

import warnings

import pandas as pd
import pytest
import yaml

from sepvae.data import frame_source
from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.loading import list_data
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError
from sepvae.run_folder import RunFolder

from .helpers import linear, outcome

LINEAR = linear(common_dim=1)
pytestmark = pytest.mark.usefixtures("undrawn")

RECIPE = """
title: Visits
reader: regions
data: {label: dx, id: visit, subject: who, features: x*}
protocol:
  test_size: 0.2
  contenders: [ContrastivePCA]
  columns:
    - {title: label, attribute: label, population: all, space: salient, metric: auc, better: high}
methods:
  ContrastivePCA:
    default: {}
"""


@pytest.fixture
def visits(tmp_path):
    """Two visits of each of 20 people."""
    frame = pd.DataFrame(
        {
            "x1": [i * 3 % 41 for i in range(40)],
            "x2": [i % 7 for i in range(40)],
            "dx": ["ASD"] * 20 + ["HC"] * 20,
        }
    )
    frame["visit"], frame["who"] = [f"v{i}" for i in range(40)], [f"p{i // 2}" for i in range(40)]
    frame.to_csv(tmp_path / "visits.csv", index=False)
    return tmp_path / "visits.csv"


@pytest.mark.parametrize("option", ["--subject", "--group"])
def test_persons_are_not_split_by_either_name(visits, tmp_path, option):
    run, columns = tmp_path / "run", ["--features", "x*", "--label", "dx", "--id", "visit", option, "who"]
    code, said = outcome("fit", visits, *columns, "--out", run, *LINEAR)
    assert code == 0
    assert ("--group is called --subject now" in said) == (option == "--group")
    split = pd.read_csv(run / "split.csv")
    assert split["group"].nunique() == 20
    assert split.groupby("group")["split"].agg(lambda parts: parts.eq("test").nunique()).eq(1).all()
    assert RunFolder(run).recipe.required()["data"]["subject"] == "who"
    assert outcome("check", visits, *columns)[0] == 0


def test_old_recipes_of_runs_are_read(visits, tmp_path):
    run = tmp_path / "run"
    columns = ["--features", "x*", "--label", "dx", "--id", "visit", "--subject", "who"]
    assert outcome("fit", visits, *columns, "--out", run, *LINEAR)[0] == 0
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["data"]["group"] = recipe["data"].pop("subject")
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert outcome("rerun", run, visits, "--out", tmp_path / "again")[0] == 0


def test_recipes_take_the_old_name_with_a_note(visits, tmp_path):
    with pytest.warns(FutureWarning, match="data.group is called data.subject now"):
        assert DataSpec.model_validate({"group": "who"}) == DataSpec(subject="who")
    for name in ("group", "subject"):
        file = tmp_path / f"{name}.yaml"
        file.write_text(RECIPE.replace("subject:", f"{name}:"))
        code, said = outcome("fit", visits, "--recipe", file, "--out", tmp_path / name, *LINEAR)
        assert code == 0
        assert (f"note: {file}: data.group is called data.subject now" in said) == (name == "group")
        assert pd.read_csv(tmp_path / name / "split.csv")["group"].nunique() == 20


def test_both_names_are_one_too_many(visits):
    columns = ["--features", "x*", "--label", "dx", "--id", "visit", "--subject", "who", "--group", "who"]
    assert "--group is called --subject now; give one of both" in outcome("check", visits, *columns)[1]
    assert "--group" not in outcome("fit", "--help")[1]


def test_readers_take_the_old_name_with_a_warning(visits):
    frame = pd.read_csv(visits)
    with pytest.warns(FutureWarning, match="group= is called subject= now"):
        old = frame_source(frame, label="dx", group="who", id="visit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = frame_source(frame, label="dx", subject="who", id="visit")
    assert old.groups.tolist() == new.groups.tolist() == frame["who"].tolist()
    with pytest.raises(DataError, match="give one of both"):
        frame_source(frame, label="dx", subject="who", group="who", id="visit")
    with pytest.warns(FutureWarning, match="group= is called subject= now") as caught:
        manifest = list_data(visits, features=["x*"], label="dx", id="visit", group="who")
    assert len(caught) == 1
    assert manifest.about["group"].tolist() == frame["who"].tolist()


@pytest.mark.parametrize("name", ["subject", "group"])
def test_a_pattern_names_persons_by_either_name(tmp_path, name):
    from PIL import Image

    for label in ("ill", "well"):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("L", (4, 4), i).save(tmp_path / label / f"{label}{i // 2}_{i}.png")
    manifest = ImageFolder().list(tmp_path, DataSpec(pattern=rf"(?P<{name}>[a-z]+\d)_(?P<scan>\d)"))
    assert manifest.about["group"].tolist() == ["ill0", "ill0", "ill1", "well0", "well0", "well1"]
    assert list(manifest.attributes) == ["scan"]
