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
from sepvae import ContrastivePCA, SepVAE, load
from sepvae.errors import DataError, ModelFileError

from ..helpers import quick

QUICK = quick(salient_dim=3)
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
            "wanted one of CLVM, .*, SepVAE, got class 'os.system'",
        ),
        ({"class": "load"}, "wanted one of CLVM, .*, SepVAE, got class 'load'"),
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


class Mine(ContrastivePCA):
    """A method of somebody else."""


def small(cls=ContrastivePCA, seed=0):
    x = np.random.default_rng(seed).normal(size=(40, 4))
    return cls(2, 1, background="HC").fit(x, ["autism", "HC"] * 20), x


def test_a_model_is_overwritten_when_asked(tmp_path):
    (old, x), (new, _) = small(), small(seed=1)
    old.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="exists; choose another name, or give overwrite=True"):
        new.save(tmp_path / "model")
    new.save(tmp_path / "model", overwrite=True)
    np.testing.assert_array_equal(load(tmp_path / "model").transform(x), new.transform(x))
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    new.save(tmp_path / "another", overwrite=True)
    assert (tmp_path / "another" / "model.json").is_file()


def test_what_is_no_model_is_never_overwritten(tmp_path):
    model, _ = small()
    model.save(tmp_path / "run" / "model")
    (tmp_path / "file").write_text("mine")
    for other in (tmp_path / "run", tmp_path / "file"):
        with pytest.raises(ModelFileError, match="only a model is overwritten"):
            model.save(other, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_overwrite_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    model, x = small()
    model.save(tmp_path / "model")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sepvae.model_files.write_whole", full)
    with pytest.raises(Exception, match="No space left"):
        small(seed=1)[0].save(tmp_path / "model", overwrite=True)
    np.testing.assert_array_equal(load(tmp_path / "model").transform(x), model.transform(x))


def test_a_class_of_ones_own_is_loaded_when_it_is_given(tmp_path):
    model, x = small(Mine)
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"got class 'Mine'; a class of your own is given .* cls="):
        load(tmp_path / "model")
    with pytest.raises(ModelFileError, match="wanted ContrastivePCA, got class 'Mine'"):
        load(tmp_path / "model", cls=ContrastivePCA)
    again = load(tmp_path / "model", cls=Mine)
    assert type(again) is Mine
    np.testing.assert_array_equal(again.transform(x), model.transform(x))


def test_a_class_with_the_name_of_another_method_is_not_saved(tmp_path):
    model, _ = small(type("SepVAE", (ContrastivePCA,), {"__module__": __name__}))
    with pytest.raises(ModelFileError, match=r"would be loaded as sepvae\.SepVAE; rename the class"):
        model.save(tmp_path / "model")


def test_samples_are_asked_for_by_label():
    model, _ = small()  # sorted, the background HC comes first; with "autism" < "HC" it would not
    by_number, by_label = model.sample(3, 1, random_state=0), model.sample(3, "autism", random_state=0)
    np.testing.assert_array_equal(by_label, by_number)
    np.testing.assert_array_equal(model.sample(3, "HC", random_state=0), model.sample(3, random_state=0))
    with pytest.raises(DataError, match="y: wanted 0 or 1 or 'HC' or 'autism', got 'asthma'"):
        model.sample(3, "asthma")
