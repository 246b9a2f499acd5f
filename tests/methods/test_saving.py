"""Models on disk: what comes back, and what is refused."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sepvae
from sepvae import SepVAE
from sepvae.errors import DataError, ModelFileError

QUICK = {"common_dim": 2, "salient_dim": 3, "max_epochs": 1, "progress_bar": False, "accelerator": "cpu"}
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], 20)
IMAGES = RNG.random((40, 1, 16, 16))
TABLE = pd.DataFrame(RNG.normal(size=(40, 4)), columns=list("abcd")).assign(c=1.0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SepVAE(**QUICK).fit(IMAGES, Y).save(tmp_path_factory.mktemp("models") / "model")


def test_images_come_back_alike(saved: Path, tmp_path: Path) -> None:
    model = SepVAE(**QUICK).fit(IMAGES, Y)
    again = sepvae.load(saved)
    assert type(again) is SepVAE
    np.testing.assert_array_equal(again.transform(IMAGES), model.transform(IMAGES))
    np.testing.assert_array_equal(again.predict_proba(IMAGES), model.predict_proba(IMAGES))
    assert again.save(tmp_path / "again").is_dir()


def test_tables_come_back_with_names_scale_and_labels(tmp_path: Path) -> None:
    model = SepVAE(**QUICK, background="ill").fit(TABLE, np.where(Y, "well", "ill"))
    again = sepvae.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.reconstruct(TABLE), model.reconstruct(TABLE))
    np.testing.assert_array_equal(again.predict(TABLE), model.predict(TABLE))
    assert again.background_ == "ill"
    with pytest.raises(ValueError, match="feature names"):
        again.transform(TABLE[list("dcba")])


def test_double_precision_survives(tmp_path: Path) -> None:
    model = SepVAE(**QUICK, precision="64-true").fit(TABLE, Y)
    again = sepvae.load(model.save(tmp_path / "model"))
    assert again.transform(TABLE).dtype == np.float64
    np.testing.assert_array_equal(again.transform(TABLE), model.transform(TABLE))


def own_modules() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(5, 256), nn.Sigmoid(), nn.Unflatten(1, (1, 16, 16)))
    return encoder, decoder


def test_own_modules_are_given_again(tmp_path: Path) -> None:
    model = SepVAE(**QUICK, network=own_modules()).fit(IMAGES, Y)
    path = model.save(tmp_path / "model")
    again = sepvae.load(path, network=own_modules())
    np.testing.assert_array_equal(again.transform(IMAGES), model.transform(IMAGES))
    with pytest.raises(DataError, match=r"give them again: network=\(encoder, decoder\)"):
        sepvae.load(path)
    with pytest.raises(DataError, match="wanted an encoder with output"):
        sepvae.load(path, network=(nn.Identity(), own_modules()[1]))


def test_an_existing_folder_is_not_touched(saved: Path) -> None:
    with pytest.raises(ModelFileError, match="wanted a new folder for the model, but it exists"):
        SepVAE(**QUICK).fit(IMAGES, Y).save(saved)


def copy_with(saved: Path, folder: Path, **changes: object) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    about = json.loads((saved / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"class": "os.system"},
            "wanted one of SepVAE, ConVAE, MMcVAE, ContrastivePCA, got class 'os.system'",
        ),
        ({"class": "load"}, "wanted one of SepVAE, ConVAE, MMcVAE, ContrastivePCA, got class 'load'"),
        ({"sample_shape": [1, 40, 40]}, "weights do not fit"),
        ({"keywords": {"no": 1}}, "damaged"),
        ({"keywords": None}, "damaged"),
    ],
)
def test_changed_files_are_refused(
    saved: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        sepvae.load(copy_with(saved, tmp_path / "changed", **changes))


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.json", "damaged"), ("model.safetensors", "not those that were saved; copy the folder again")],
)
def test_half_a_file_is_refused(saved: Path, tmp_path: Path, name: str, message: str) -> None:
    path = copy_with(saved, tmp_path / "half") / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelFileError, match=message):
        sepvae.load(path.parent)


def test_one_bit_of_the_weights_is_missed(saved: Path, tmp_path: Path) -> None:
    path = copy_with(saved, tmp_path / "flipped") / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-5] ^= 1
    path.write_bytes(weights)
    with pytest.raises(ModelFileError, match=r"the weights are not those that were saved; copy the folder"):
        sepvae.load(path.parent)


def test_the_checksum_is_that_of_the_file(saved: Path) -> None:
    about = json.loads((saved / "model.json").read_text())
    assert about["sha256"] == sha256((saved / "model.safetensors").read_bytes()).hexdigest()


def test_weights_are_read_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read(path))
    sepvae.load(saved)
    assert sorted(opened) == ["model.json", "model.safetensors"]


def test_a_checksum_may_be_missing_in_the_first_format_only(saved: Path, tmp_path: Path) -> None:
    first = sepvae.load(copy_with(saved, tmp_path / "first", format=1, sha256=None))
    np.testing.assert_array_equal(first.transform(IMAGES), sepvae.load(saved).transform(IMAGES))
    with pytest.raises(ModelFileError, match="format 2 without a checksum"):
        sepvae.load(copy_with(saved, tmp_path / "second", sha256=None))


def test_loading_leaves_the_global_generator_as_found(saved: Path) -> None:
    state = torch.get_rng_state()
    sepvae.load(saved)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"wanted a folder with model.json and model.safetensors"):
        sepvae.load(tmp_path)
