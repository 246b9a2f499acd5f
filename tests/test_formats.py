"""Files that older programs wrote are read for ever; those of newer ones are refused in words."""

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import nn

import sepvae
from sepvae.errors import ModelFileError
from sepvae.methods._saving import FORMAT
from sepvae.networks.autoencoder import NETWORKS, build_autoencoder

STORED = Path(__file__).parent / "fixtures"
FORMATS = range(1, FORMAT + 1)
CODES = ("common_mean", "common_logvar", "salient_mean", "salient_logvar")


def own_modules() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    return encoder, nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5))


def assert_close(got: npt.NDArray[np.floating], stored: npt.NDArray[np.floating]) -> None:
    np.testing.assert_allclose(got, stored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", FORMATS)
def test_a_stored_model_of_a_table_gives_what_it_gave(number: int) -> None:
    folder = STORED / f"format-{number}"
    table, then = pd.read_csv(folder / "table.csv"), np.load(folder / "table.npz")
    model = sepvae.load(folder / "table", network=own_modules())
    codes = model.encode(table)
    for part in CODES:
        assert_close(getattr(codes, part), then[part])
    assert_close(model.reconstruct(table), then["reconstruction"])
    assert_close(model.predict_proba(table), then["probabilities"])
    assert model.background_ == "control"


@pytest.mark.parametrize("number", FORMATS)
def test_a_stored_model_of_volumes_gives_what_it_gave(number: int) -> None:
    folder = STORED / f"format-{number}"
    then, model = np.load(folder / "volumes.npz"), sepvae.load(folder / "volumes")
    codes = model.encode(then["x"])
    for part in CODES:
        assert_close(getattr(codes, part), then[part])
    assert_close(model.reconstruct(then["x"]), then["reconstruction"])
    assert model.grid_.mask.sum() < model.grid_.mask.size
    assert model.grid_.axes == "LAS"


@pytest.mark.parametrize("name", [name for names in NETWORKS.values() for name in names])
def test_networks_have_the_weights_that_files_have(name: str) -> None:
    stored = json.loads((STORED / "networks.json").read_text())[name]
    with torch.device("meta"):
        model = build_autoencoder(name, tuple(stored["sample_shape"]), 2, 3, 2)
    assert {key: list(weight.shape) for key, weight in model.state_dict().items()} == stored["weights"]


@pytest.mark.parametrize("more", [{}, {"keywords": {"of_a_later": 1}}, {"class": "Later", "sha256": None}])
def test_a_newer_format_is_refused_in_words(tmp_path: Path, more: dict[str, object]) -> None:
    folder = shutil.copytree(STORED / "format-2" / "volumes", tmp_path / "model")
    about = json.loads((folder / "model.json").read_text()) | {"format": FORMAT + 1} | more
    (folder / "model.json").write_text(json.dumps(about))
    told = rf"newer sepvae \(format {FORMAT + 1}, this program reads up to {FORMAT}\); update sepvae$"
    with pytest.raises(ModelFileError, match=told):
        sepvae.load(folder)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (2.5, "valid integer"),
        ("2", "valid integer"),
        (True, "valid integer"),
        (None, "valid integer"),
        (0, "format 0"),
        (-1, "format -1"),
    ],
)
def test_a_format_that_never_was_is_refused(tmp_path: Path, number: object, told: str) -> None:
    folder = shutil.copytree(STORED / "format-2" / "volumes", tmp_path / "model")
    about = json.loads((folder / "model.json").read_text()) | {"format": number}
    (folder / "model.json").write_text(json.dumps(about))
    with pytest.raises(ModelFileError, match=told):
        sepvae.load(folder)
