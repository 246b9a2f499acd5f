import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.data.nifti import write_volume
from sepvae.grid import Grid

SCORES = """\
space,attribute,population,metric,score,low,high,chance,p_value,n_train,n_test,n_test_groups
salient,label,all,auc,0.914,0.881,0.942,0.5,0.0099,300,100,40
common,label,all,auc,0.637,0.561,0.702,0.5,0.0198,300,100,40
both,label,all,auc,0.921,0.893,0.951,0.5,0.0099,300,100,40
salient,age,all,mae,8.41,7.5,9.1,8.3,0.61,300,100,40
common,age,all,mae,4.26,3.9,4.7,8.3,0.0099,300,100,40
salient,age,all,r2,0.012,-0.08,0.09,-0.001,0.41,300,100,40
salient,subtype,target,balanced_accuracy,0.834,0.761,0.893,0.5,0.0099,150,50,20
common,subtype,target,balanced_accuracy,0.527,0.446,0.613,0.5,0.27,150,50,20
salient,,all,variance_ratio,20.31,,,,,,100,40
common,,all,variance_ratio,1.07,,,,,,100,40
common,,target,active_units,12.0,,,,,,50,20
both,,target,reconstruction_error,0.00312,,,,,,50,20
"""
RECIPE = """\
data: {reader: image_folder, name: chest_xray, image_size: [64, 64], fingerprint: 0a1b2c3d4e5f6071}
attributes: {age: continuous, subtype: categorical}
method: SepVAE
keywords: {common_dim: 16, kappa: 2.0, max_epochs: 30, random_state: 7}
protocol: {n_permutations: 100, scored_on: {part: test}}
seconds: {fit: 611.0, all: 754.2}
command: [sepvae, fit, my images, --out, run]
"""
REMOVAL = """\
attribute,images,population,wanted,metric,score,low,high,chance,n_train,n_test,n_test_groups
label,swapped,target,donor's,share,0.55,0.45,0.64,0.5,300,50,20
label,full,all,own,balanced_accuracy,0.81,0.72,0.9,0.5,300,100,40
label,real,all,own,balanced_accuracy,0.93,0.88,0.97,0.5,300,100,40
label,full,target,background,share,0.07,0.02,0.12,0.5,300,50,20
label,salient removed,target,background,share,0.77,0.7,0.83,0.5,300,50,20
"""
CORRELATIONS = """\
attribute,kind,population,axis,measure,value,p_value,n,p_adjusted
label,categorical,all,salient0,eta,0.71,0.0001,100,0.0004
label,categorical,all,salient1,eta,,,100,
age,continuous,all,salient0,spearman,-0.12,0.03,100,0.06
age,continuous,all,salient1,spearman,-0.34,0.004,100,0.008
"""
FINDINGS = [
    {"level": "note", "code": "sizes", "message": "All images are 64 x 64.", "examples": []},
    {"level": "error", "code": "copies", "message": "2 images are in both splits.", "examples": ["test-3"]},
]
FIGURES = (
    "reconstructions",
    "traversals",
    "swaps",
    "map_group",
    "map_people",
    "map_regions",
    "map_axes",
    "codes_age",
    "codes_label",
    "learning_curves",
    "correlations",
)


COUNTERFACTUALS = """measure,part,population,score,low,high,reference
composition_1,salient,target,0.03,0.02,0.04,0.12
"""


def png(shade):
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def codes_table(n_train=20, n_test=40):
    """Targets spread in the salient space; the subtype of targets has gaps."""
    rng = np.random.default_rng(0)
    n = n_train + n_test
    y = np.arange(n) % 2
    names = [*(f"train-{i}" for i in range(n_train)), *(f"test-{i}" for i in range(n_test))]
    return pd.DataFrame(
        {
            "id": names,
            "group": [f"patient-{name.replace('-', '')}" for name in names],
            "label": np.where(y, "ill", "well"),
            "split": ["train"] * n_train + ["test"] * n_test,
            "y": y,
            "age": rng.normal(50, 9, n).round(1),
            "subtype": [None if i % 4 != 1 else rng.choice(["a", "b"]) for i in range(n)],
            "common0": rng.normal(size=n),
            "common1": 3 * rng.normal(size=n),
            "salient0": y * 5 * rng.normal(size=n),
            "salient1": 0.1 * rng.normal(size=n),
        }
    )


@pytest.fixture
def run(tmp_path):
    """A run folder with everything that the report reads."""
    (tmp_path / "figures").mkdir()
    for i, name in enumerate(FIGURES):
        (tmp_path / "figures" / f"{name}.png").write_bytes(png(10 * i))
    codes = codes_table()
    codes.to_csv(tmp_path / "codes.csv", index=False)
    codes[["id", "group", "label", "split"]].to_csv(tmp_path / "split.csv", index=False)
    rng = np.random.default_rng(1)
    inputs = rng.random((6, 1, 8, 8))
    examples = {"inputs": inputs, "full": inputs * 0.9, "common_only": inputs * 0.5}
    np.savez(tmp_path / "examples.npz", **examples, ids=codes["id"][-6:].to_numpy(str))
    shown = codes["id"][codes["split"] == "test"].to_numpy(str)[:30]
    shades = np.arange(30, dtype=np.uint8)[:, None, None, None]
    np.savez(tmp_path / "thumbnails.npz", ids=shown, images=8 * shades * np.ones((1, 1, 12, 10), np.uint8))
    maps = {name: share * inputs for name, share in (("images", 1), ("without", 0.9), ("added", 0.1))}
    people = {"y": np.repeat([0, 1], 3), "labels": np.array(["well", "ill"])}
    of_people = codes[codes["split"] == "test"].sort_values("y", kind="stable")["id"].to_numpy(str)
    people["ids"] = of_people[[0, 5, 9, 20, 25, 29]]
    (tmp_path / "maps").mkdir()
    np.savez(tmp_path / "maps" / "people.npz", **maps, **people, quantiles=[0.25, 0.5, 0.75] * 2)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "versions.json").write_text(json.dumps({"python": "3.11.7", "sepvae": "0.1.0"}))
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n0,2.0\n1,1.0\n")
    (tmp_path / "scores.csv").write_text(SCORES)
    (tmp_path / "removal.csv").write_text(REMOVAL)
    (tmp_path / "correlations.csv").write_text(CORRELATIONS)
    (tmp_path / "counterfactuals.csv").write_text(COUNTERFACTUALS)
    (tmp_path / "check.json").write_text(json.dumps({"findings": FINDINGS}))
    return tmp_path


@pytest.fixture
def mapped_run(run):
    """A run folder with maps of volumes."""
    shape = (12, 14, 10)
    image = np.zeros(shape)
    image[2:10, 2:12, 2:8] = np.random.default_rng(2).uniform(1, 2, size=(8, 10, 6))
    effect = np.where(image > 0, 0.1, 0)
    effect[4, 5, 6] = -2
    for name, voxels in (("desc-salient_stat-d_map", effect), ("desc-input_stat-mean_map", image)):
        write_volume(run / "maps" / f"{name}.nii.gz", voxels, Grid(shape, np.eye(4)), "LAS")
    return run


class UMAP:
    """The place of a sample is ten times its first two codes."""

    def __init__(self, **keywords):
        assert keywords == {"n_components": 2, "random_state": 0, "n_jobs": 1}

    def fit_transform(self, codes):
        return 10 * codes[:, :2]


@pytest.fixture
def umap(monkeypatch):
    """As if umap-learn was installed."""
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
