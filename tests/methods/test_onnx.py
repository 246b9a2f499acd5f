"""Encoders and decoder as ONNX graphs: they compute what the estimator does, for any number of samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnxruntime import InferenceSession

from sepvae import ContrastivePCA, SepCLR, SepVAE
from sepvae.data import ArraySource
from sepvae.errors import DataError, RunFolderError
from sepvae.grid import Grid
from sepvae.methods import onnx_graphs

from ..helpers import invoke, quick

Y = np.repeat([0, 1], 20)


def table(seed: int = 0) -> pd.DataFrame:
    """Amounts of different sizes, a gap, and a constant column."""
    x = np.random.default_rng(seed).normal(size=(40, 4)) * [1, 10, 1e4, 0] + [0, 5, 1e5, 7]
    x[3, 1] = np.nan
    return pd.DataFrame(x, columns=list("abcd"))


def images(seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((40, 1, 16, 16), dtype=np.float32)


def volumes(seed: int = 0) -> Any:
    """Volumes of a source with a mask."""
    mask = np.zeros((6, 6, 6), bool)
    mask[1:5, 1:5, 2:5] = True
    x = np.random.default_rng(seed).normal(size=(40, 1, 6, 6, 6)).astype(np.float32) * mask
    return ArraySource(x, Y, grid=Grid((6, 6, 6), np.eye(4), (6, 6, 6), mask=mask))


def outputs(file: Path, **inputs: Any) -> list[Any]:
    return InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, inputs)


def see_that_graphs_agree(model: Any, new: Any, folder: Path) -> None:
    """Compare both graphs with the estimator on 5 new samples."""
    model.to_onnx(folder)
    x, codes = new[:5], model.encode(new[:5])
    for found, wanted in zip(
        outputs(folder / "encoder.onnx", x=np.asarray(x)), vars(codes).values(), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    if model.capabilities.decoder:
        given = {"common": codes.common_mean, "salient": codes.salient_mean}
        decoded = outputs(folder / "decoder.onnx", **given)[0]
        np.testing.assert_allclose(decoded, model.decode(*given.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_table_is_scaled_in_the_graph_and_the_command_writes_it(tmp_path: Path) -> None:
    model = ContrastivePCA(common_dim=2, salient_dim=1, background=0).fit(table(), Y)
    see_that_graphs_agree(model, table(1), tmp_path / "onnx")
    about = json.loads((tmp_path / "onnx" / "onnx.json").read_text())
    assert about["features"] == list("abcd")
    assert max(about["largest_differences"].values()) < 1e-6
    model.save(tmp_path / "model")
    assert "ONNX graphs: " in invoke("export", tmp_path / "model", "--out", tmp_path / "again", "--onnx")
    assert {file.name for file in (tmp_path / "again").iterdir()} == {
        "encoder.onnx",
        "decoder.onnx",
        "onnx.json",
    }
    with pytest.raises(RunFolderError, match="wanted a new folder"):
        model.to_onnx(tmp_path / "again")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["residual-mlp", "linear"])
def test_networks_of_tables(network: str, tmp_path: Path) -> None:
    model = SepVAE(network=network, background=0, **quick()).fit(table(), Y)
    see_that_graphs_agree(model, table(1), tmp_path / "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn2d", "linear"])
def test_networks_of_images(network: str, tmp_path: Path) -> None:
    model = SepVAE(network=network, background=0, **quick()).fit(images(), Y)
    see_that_graphs_agree(model, images(1), tmp_path / "onnx")


@pytest.mark.slow
def test_linear_networks_of_volumes_with_a_mask(tmp_path: Path) -> None:
    model = SepVAE(background=0, **quick()).fit(volumes())
    see_that_graphs_agree(model, volumes(1).x, tmp_path / "onnx")
    about = json.loads((tmp_path / "onnx" / "onnx.json").read_text())
    assert about["grid"]["affine"] == np.eye(4).tolist()


@pytest.mark.slow
def test_a_convolution_of_volumes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 1, 32, 32, 32)).astype(np.float32)
    model = SepVAE(network="cnn3d-group", background=0, **quick(batch_size=6)).fit(x, np.repeat([0, 1], 6))
    see_that_graphs_agree(model, x, tmp_path / "onnx")


@pytest.mark.slow
def test_salient_codes_are_gated_by_the_severity(tmp_path: Path) -> None:
    y = np.where(Y, np.linspace(0.1, 1, 40), 0)
    see_that_graphs_agree(
        SepVAE(target="severity", **quick()).fit(table(), y), table(1), tmp_path / "severity"
    )


@pytest.mark.slow
def test_covariates_of_the_decoder_are_those_of_an_average_person(tmp_path: Path) -> None:
    model = SepVAE(condition_on=["d"], background=0, **quick()).fit(table().assign(d=range(40)), Y)
    see_that_graphs_agree(model, table(1)[list("abc")], tmp_path / "conditions")


@pytest.mark.slow
def test_a_method_without_decoder_has_one_graph(tmp_path: Path) -> None:
    model = SepCLR(background=0, **quick(batch_size=16)).fit(images(), Y)
    see_that_graphs_agree(model, images(1), tmp_path / "onnx")
    assert not (tmp_path / "onnx" / "decoder.onnx").exists()


def test_what_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_age = ContrastivePCA(2, 1, background=0, residualise=["age"]).fit(table().assign(age=range(40)), Y)
    with pytest.raises(
        DataError, match="to_onnx: a graph has no covariates, which harmonise and residualise"
    ):
        of_age.to_onnx(tmp_path / "onnx")
    model = ContrastivePCA(2, 1, background=0).fit(table(), Y)
    monkeypatch.setattr(onnx_graphs, "_export", lambda *_: b"")
    found = [array.copy() for array in vars(model.encode(onnx_graphs._random_samples(model))).values()]
    found[0][0, 0] = np.nan  # of the row with a gap
    session = type("Session", (), {"__init__": lambda *_, **__: None, "run": lambda *_: found})
    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    with pytest.raises(DataError, match=r"common_mean differs from that of the model by inf .* nothing was"):
        model.to_onnx(tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("sepvae.checks.import_module", refuse)
    with pytest.raises(DataError, match=r"onnx is not installed; pip install 'sepvae\[onnx\]'"):
        model.to_onnx(tmp_path / "onnx")
