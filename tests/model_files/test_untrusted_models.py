"""Model folders that somebody else wrote: each is loaded or refused in one line, and nothing in it is run."""

import json
import pickle
import shutil
import struct
import sys
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load, save
from torch import nn

import sepvae
from sepvae import ContrastivePCA, SepVAE
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError, ModelFileError
from sepvae.grid import Grid

from ..helpers import quick

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], 10)
MOST = 100  # MiB that a refusal may take
Arrays = dict[str, Any]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models: of a table, by a network; of a table and of volumes, by axes, the last of two sites."""
    folder, table = tmp_path_factory.mktemp("models"), RNG.normal(size=(20, 4))
    SepVAE(**quick(salient_dim=3)).fit(table, Y).save(folder / "network")
    ContrastivePCA(1, 1).fit(table, Y).save(folder / "axes")
    grid = Grid((3, 3, 3), np.eye(4), size=(4, 3, 3), mask=np.ones((3, 3, 3), dtype=bool))
    ContrastivePCA(1, 1).fit(ArraySource(RNG.normal(size=(20, 1, 4, 3, 3)), Y, grid=grid)).save(
        folder / "volumes"
    )
    sites = pd.DataFrame({"site": np.arange(20) // 2 % 2})
    volumes = ArraySource(RNG.normal(size=(20, 1, 4, 3, 3)), Y, grid=grid, attributes=sites)
    ContrastivePCA(1, 1, harmonise="site").fit(volumes).save(folder / "sites")
    return folder


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """A copy of the network's, to be spoilt."""
    return shutil.copytree(models / "network", tmp_path / "model")


def spoil(folder: Path, change: Callable[[dict[str, Any], Arrays], object]) -> Path:
    """Change what a model's files say, so that its checksum is right."""
    about, weights = json.loads((folder / "model.json").read_text()), (folder / "model.safetensors")
    arrays = load(weights.read_bytes())
    change(about, arrays)
    weights.write_bytes(save(arrays))
    about["sha256"] = sha256(weights.read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(about))
    return folder


def put_weights(folder: Path, weights: bytes) -> Path:
    """Put other weights there, with their checksum."""
    (folder / "model.safetensors").write_bytes(weights)
    about = json.loads((folder / "model.json").read_text()) | {"sha256": sha256(weights).hexdigest()}
    (folder / "model.json").write_text(json.dumps(about))
    return folder


def most_memory() -> int:
    """KiB that this process took at most so far, as Linux counts them; 0 elsewhere."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def refusal(folder: Path, **network: Any) -> str:
    before = most_memory()
    with pytest.raises(ModelFileError) as caught:
        sepvae.load(folder, **network)
    assert most_memory() - before < MOST * 1024
    told = str(caught.value)
    assert "\n" not in told
    assert len(told) < 600
    return told


def as_safetensors(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def one(dtype: str, shape: list[int], end: int) -> dict[str, Any]:
    return {"module.x": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


def as_checkpoint(content: object) -> bytes:
    file = BytesIO()
    torch.save({"state_dict": content}, file)
    return file.getvalue()


@pytest.mark.parametrize("dump", [pickle.dumps, as_checkpoint])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_pickle_named_like_weights_is_not_run(
    model: Path, tmp_path: Path, dump: Callable[[object], bytes], sealed: bool
) -> None:
    made = tmp_path / "made"
    weights = dump(Payload(made))
    if sealed:
        put_weights(model, weights)
    else:
        (model / "model.safetensors").write_bytes(weights)
    assert ("model.safetensors is damaged" if sealed else "not those that were saved") in refusal(model)
    assert not made.exists()


def test_a_pickle_named_like_the_json_is_not_run(model: Path, tmp_path: Path) -> None:
    (model / "model.json").write_bytes(pickle.dumps(Payload(tmp_path / "made")))
    assert "model.json is damaged" in refusal(model)
    assert not (tmp_path / "made").exists()


def test_torch_refuses_a_payload_in_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = as_checkpoint(Payload(tmp_path / "made"))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(BytesIO(checkpoint), weights_only=True)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"model",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 20_000) + b"[" * 20_000,
        as_safetensors([]),
        as_safetensors(one("F32", [2**40], 2**42)),
        as_safetensors(one("F32", [2**40], 8), b"0" * 8),
        as_safetensors(one("F32", [2**40, 2**40], 8), b"0" * 8),
        as_safetensors(one("F32", [0, 2**63], 0)),
        as_safetensors(one("F32", [-1], 4), b"0" * 4),
        as_safetensors(one("F32", [1] * 70, 4), b"0" * 4),
        as_safetensors(one("F32", [1], 4), b"0" * 400),
        as_safetensors(one("BF16", [2], 4), b"0" * 4),
        as_safetensors(one("pickle", [2], 4), b"0" * 4),
        as_safetensors(
            {f"a\n{i}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for i in "ab"}, b"0" * 4
        ),
    ],
)
def test_weights_that_declare_what_is_not_there_are_refused(model: Path, weights: bytes) -> None:
    assert "model.safetensors is damaged" in refusal(put_weights(model, weights))


WEIGHT = "module.common_encoder.mean.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a.update({WEIGHT: a[WEIGHT].T.copy()}), "wanted common_dim, 2, rows"),
        (lambda a: a.update({WEIGHT: a[WEIGHT][:, 1:].copy()}), r"wanted shape (2, 128), got (2, 127)"),
        (lambda a: a.update({WEIGHT: a[WEIGHT].astype(np.int32)}), "wanted a dtype of kind 'f', got int32"),
        (lambda a: a.update({WEIGHT: a[WEIGHT] * np.float32(np.nan)}), "wanted finite numbers"),
        (lambda a: a.update({WEIGHT: a[WEIGHT] + np.float32(np.inf)}), "wanted finite numbers"),
        (lambda a: a.pop(WEIGHT), "wanted common_dim, 2, rows"),
        (lambda a: a.pop(WEIGHT.replace("weight", "bias")), "is missing"),
        (lambda a: a.update({"module.more": np.zeros(2)}), "'more' does not belong there"),
        (lambda a: a.update({"more\n": np.zeros(2)}), r"'more\n' does not belong there"),
        (lambda a: a.update({"grid.mask": np.zeros(2)}), "does not belong there"),
        (lambda a: a.clear(), "wanted common_dim, 2, rows"),
        (lambda a: a.pop("scaler.kept"), "'scaler.kept' is missing"),
        (lambda a: a.update({"scaler.kept": np.zeros(4, dtype=bool)}), "wanted a feature that was kept"),
        (lambda a: a.update({"scaler.kept": np.arange(4)}), "wanted a dtype of kind 'b'"),
        (lambda a: a.update({"scaler.kept": np.arange(4) > 0}), "wanted shape (128, 3), got (128, 4)"),
        (lambda a: a.update({"scaler.mean": np.full(4, np.nan)}), "wanted finite numbers"),
        (lambda a: a.update({"scaler.mean": np.zeros(5)}), "wanted shape (4,), got (5,)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    model: Path, change: Callable[[Arrays], None], told: str
) -> None:
    assert told in refusal(spoil(model, lambda _, arrays: change(arrays)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a.pop("module.alphas"), "'alphas' is missing"),
        (lambda a: a.update({"module.alphas": np.zeros((3, 3))}), "wanted shape (3,), got (3, 3)"),
        (lambda a: a.update({"module.alpha": np.zeros(0)}), "wanted shape (1,), got (0,)"),
        (lambda a: a.update({"module.common_axes": np.ones((1, 4), dtype=int)}), "kind 'f', got int64"),
        (lambda a: a.update({"module.common_axes": np.ones((1, 5))}), "wanted shape (1, 4), got (1, 5)"),
        (lambda a: a.update({"module.center": np.full(4, np.inf)}), "wanted finite numbers"),
        (lambda a: a.update({"module.more": np.zeros(2)}), "does not belong there"),
        (lambda a: a.clear(), "'alpha' is missing"),
    ],
)
def test_axes_that_do_not_fit_are_refused(
    models: Path, tmp_path: Path, change: Callable[[Arrays], None], told: str
) -> None:
    folder = shutil.copytree(models / "axes", tmp_path / "model")
    assert told in refusal(spoil(folder, lambda _, arrays: change(arrays)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"format": 2, "keywords": ' + b'{"a":' * 100_000,
        b'{"format": 2, "class": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": 2}',
        b'{"format": 2, "class": "SepVAE", "sample_shape": [' + b"1," * 100_000 + b"1]}",
    ],
)
def test_text_that_is_no_model_is_refused(model: Path, text: bytes) -> None:
    (model / "model.json").write_bytes(text)
    assert "model.json is damaged" in refusal(model)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        *(
            ({"class": name}, "SepCLR, SepVAE, got class")
            for name in ("os.system", "ContrastiveEstimator", "ContrastiveVAE", "__init__", "load", "a\nb")
        ),
        ({"class": "ContrastivePCA"}, "is none that this method has"),
        ({"class": None}, "valid string"),
        ({"sha256": None}, "format 2 without a checksum"),
        ({"sha256": "0"}, "sha256"),
        ({"classes": []}, "classes"),
        ({"classes": [0, 1, 2]}, "order: wanted the position of each class once"),
        ({"classes": list(range(21)), "order": list(range(21))}, "classes"),
        ({"classes": [0, 0]}, "wanted different labels"),
        ({"classes": [0, "1"]}, "wanted labels of one type"),
        ({"classes": [0, [1]]}, "classes"),
        ({"classes": [0, 10**30]}, "wanted different labels"),
        ({"order": [5, 7]}, "order: wanted the position"),
        ({"order": [0, 0]}, "order: wanted the position"),
        ({"order": [0.0, 1.0]}, "valid integer"),
        ({"sample_shape": [-4]}, "sample_shape"),
        ({"sample_shape": [4.0]}, "sample_shape"),
        ({"sample_shape": []}, "sample_shape"),
        ({"sample_shape": [2, 2]}, "does not belong there"),
        ({"sample_shape": [10**9]}, "sample_shape"),
        ({"sample_shape": [10**4000]}, "sample_shape"),
        ({"sample_shape": [1, 2**20, 2**20]}, "sample_shape"),
        ({"sample_shape": [5]}, "wanted shape (5,), got (4,)"),
        ({"sample_shape": [1, 16, 16]}, "does not belong there"),
        ({"features": ["a"]}, "wanted as many names as sample_shape says"),
        ({"features": [1, 2, 3, 4]}, "valid string"),
        ({"residuals": {"kinds": {}, "levels": {}}}, "is missing"),
        ({"residuals": {"kinds": {"age": "code"}, "levels": {}}}, "residuals"),
        ({"residuals": {"kinds": {}, "levels": {"site": ["a"]}}}, "wanted levels of each"),
        ({"residuals": {"kinds": {"site": "categorical"}, "levels": {"site": []}}}, "residuals"),
        ({"grid": {"shape": [3, 3, 3], "size": [3, 3, 3], "axes": "RAS"}}, "wanted the size of a sample"),
        ({"keywords": None}, "keywords: "),
        ({"keywords": {"__class__": "os"}}, "'__class__' is none that this method has"),
        ({"keywords": {"self": 1}}, "'self' is none that this method has"),
    ],
)
def test_json_that_does_not_fit_is_refused(model: Path, changes: dict[str, Any], told: str) -> None:
    about = json.loads((model / "model.json").read_text()) | changes
    (model / "model.json").write_text(json.dumps(about))
    assert told in refusal(model)


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"common_dim": 10**12}, "common_dim: wanted a number below 100000"),
        ({"salient_dim": 10**400}, "a number is too large"),
        ({"common_dim": 0}, "common_dim: wanted a whole number of 1 or more"),
        ({"common_dim": [2]}, "is no number, no word and no list of words"),
        ({"common_dim": True}, "common_dim: wanted a whole number"),
        ({"salient_dim": "3"}, "salient_dim: wanted a whole number"),
        ({"network": "os"}, "network: wanted one for tables (residual-mlp, mlp, linear, auto), got 'os'"),
        (
            {"network": "cnn2d"},
            "network: wanted one for tables (residual-mlp, mlp, linear, auto), got 'cnn2d'",
        ),
        ({"network": ["a", "b"]}, "network is no name"),
        ({"network": 3}, "network is no name"),
        ({"precision": ["a"]}, "precision is no name"),
        ({"background": ["a"]}, "background is no label"),
        ({"space": {"a": 1}}, "is no number, no word and no list of words"),
        ({"kappa": float("inf")}, "kappa: wanted a number of 0 or more, got inf"),
        ({"residualise": [["a"]]}, "is no number, no word and no list of words"),
        ({"residualise": 1}, "residualise: wanted names of covariates"),
    ],
)
def test_keywords_that_do_not_fit_are_refused(model: Path, keywords: dict[str, Any], told: str) -> None:
    assert told in refusal(spoil(model, lambda about, _: about["keywords"].update(keywords)))


@pytest.mark.parametrize("name", ["network", "axes"])
def test_odd_keywords_are_taken_or_refused(models: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(models / name, tmp_path / "model")
    text = (folder / "model.json").read_text()
    known, refused = sorted(json.loads(text)["keywords"]), []
    for keyword in known:
        for value in (None, True, -1, 0.5, 10**400, float("nan"), "../../x", ["x"], [], {"a": []}, [[1]]):
            about = json.loads(text)
            about["keywords"][keyword] = value
            (folder / "model.json").write_text(json.dumps(about))
            try:
                sepvae.load(folder)
            except (ModelFileError, DataError) as error:  # the latter where modules are to be given
                refused.append(str(error))
    assert len(refused) > 5 * len(known)
    assert not any("\n" in told for told in refused)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("callbacks", ["os.system"]),
        ("logger", "https://example.org"),
        ("checkpoint", "/somewhere/else"),
        ("strategy", "ddp"),
        ("devices", 64),
        ("accelerator", "tpu"),
        ("num_workers", 10**6),
        ("compile", True),
        ("gradient_checkpointing", True),
    ],
)
def test_a_file_does_not_say_how_a_fit_is_run(model: Path, keyword: str, value: object) -> None:
    again = sepvae.load(spoil(model, lambda about, _: about["keywords"].update({keyword: value})))
    assert getattr(again, keyword) == getattr(SepVAE(), keyword)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda about, _: about["grid"].update(size=[10**6] * 3), "wanted the size of a sample"),
        (lambda about, _: about["grid"].update(shape=[10**6] * 3), "grid: "),
        (lambda about, _: about["grid"].update(shape=[10**4000] * 3), "grid: "),
        (lambda about, _: about["grid"].update(shape=[3, 3]), "grid: "),
        (lambda about, _: about["grid"].update(shape=[3, 3, 3.0]), "grid: "),
        (lambda about, _: about["grid"].update(shape=[3, 3, 4]), "wanted shape (3, 3, 4), got (3, 3, 3)"),
        (lambda about, _: about["grid"].update(axes="RLS"), "wanted three axes, got 'RLS'"),
        (lambda about, _: about["grid"].update(axes="../"), "grid: "),
        (lambda about, _: about.update(grid=None), "'grid.affine' does not belong there"),
        (lambda about, _: about.update(sample_shape=[4, 1, 3, 3]), "wanted the size of a sample"),
        (lambda about, _: about.update(residuals={"kinds": {}, "levels": {}}), "is missing"),
        (lambda about, _: about.update(features=["a"]), "wanted as many names"),
        (lambda _, a: a.update({"grid.affine": np.eye(3)}), "wanted shape (4, 4), got (3, 3)"),
        (lambda _, a: a.update({"grid.affine": np.full((4, 4), np.nan)}), "wanted finite numbers"),
        (lambda _, a: a.update({"grid.mask": np.ones((3, 3, 3))}), "wanted a dtype of kind 'biu'"),
        (lambda _, a: a.pop("grid.affine"), "is missing"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(
    models: Path, tmp_path: Path, change: Callable[[dict[str, Any], Arrays], None], told: str
) -> None:
    folder = shutil.copytree(models / "volumes", tmp_path / "model")
    assert told in refusal(spoil(folder, change))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda about, _: about["keywords"].pop("harmonise"), "wanted harmonise, for the model holds site"),
        (lambda about, _: about["harmonisation"]["sites"].append("x"), "wanted shape (3, 27), got (2, 27)"),
        (lambda about, _: about["harmonisation"].update(sites=[]), "harmonisation: "),
        (lambda about, _: about["harmonisation"].update(sites=["0", "0"]), "wanted each site once"),
        (lambda about, _: about.update(harmonisation=None), "does not belong there"),
        (lambda _, a: a.pop("harmonisation.shift"), "'harmonisation.shift' is missing"),
        (lambda _, a: a["harmonisation.variance"].fill(0), "harmonisation.variance: wanted numbers above 0"),
        (lambda _, a: a["harmonisation.shift"].fill(np.nan), "wanted finite numbers"),
        (lambda _, a: a.update({"grid.mask": np.zeros((3, 3, 3), bool)}), "wanted shape (1, 0), got (1, 27)"),
    ],
)
def test_sites_that_do_not_fit_are_refused(
    models: Path, tmp_path: Path, change: Callable[[dict[str, Any], Arrays], None], told: str
) -> None:
    folder = shutil.copytree(models / "sites", tmp_path / "model")
    assert told in refusal(spoil(folder, change))


def test_a_file_too_long_to_be_read_is_refused(model: Path) -> None:
    with (model / "model.json").open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    assert "wanted at most 67108864 bytes, got 1099511627776" in refusal(model)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["nothing", "folder", "link to nothing", "link to itself", "device"])
def test_what_is_no_file_is_refused(model: Path, name: str, kind: str) -> None:
    path = model / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "nothing":
        path.symlink_to({"link to nothing": "no", "link to itself": name, "device": "/dev/zero"}[kind])
    assert "wanted a folder with model.json and model.safetensors" in refusal(model)


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    assert "cannot be read (File name too long)" in refusal(tmp_path / ("x" * 300))


def own_modules() -> tuple[nn.Module, nn.Module]:
    return nn.Linear(5, 8), nn.Linear(3, 5)


def stored_with_own(tmp_path: Path) -> Path:
    stored = Path(__file__).parents[1] / "fixtures" / "format-2" / "table"
    folder = shutil.copytree(stored, tmp_path / "model")
    return spoil(folder, lambda _, arrays: arrays)


def wide(about: dict[str, Any], arrays: Arrays) -> None:
    """Weights of next to no bytes, for codes of 65 536 dimensions."""
    about["keywords"]["common_dim"] = 2**16
    arrays["module.common_encoder.mean.weight"] = np.zeros((2**16, 1), dtype=bool)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (wide, "weights do not fit the network"),
        (lambda about, _: about["keywords"].update(common_dim=10**12), "common_dim: wanted"),
        (lambda about, _: about.update(sample_shape=[2**27], features=None), "wanted shape (134217728,)"),
        (lambda _, a: a.update({"module.critic.layers.0.weight": np.zeros((9, 9))}), "wanted shape (3, 3)"),
    ],
)
def test_own_modules_are_given_only_what_fits(
    tmp_path: Path, change: Callable[[dict[str, Any], Arrays], None], told: str
) -> None:
    assert told in refusal(spoil(stored_with_own(tmp_path), change), network=own_modules())


class Careless(ContrastivePCA):
    """A method that takes for granted which arrays a file holds."""

    def _state_shapes(self, arrays: Any, sample_shape: Any) -> Any:
        return super()._state_shapes(arrays, arrays["center"].shape[:1] or sample_shape)


def test_a_method_of_ones_own_may_take_arrays_for_granted(models: Path, tmp_path: Path) -> None:
    def without_center(about: dict[str, Any], arrays: Arrays) -> None:
        about["class"] = "Careless"
        del arrays["module.center"]

    folder = spoil(shutil.copytree(models / "axes", tmp_path / "model"), without_center)
    with pytest.raises(ModelFileError, match="weights do not fit the network that model"):
        sepvae.load(folder, cls=Careless)
