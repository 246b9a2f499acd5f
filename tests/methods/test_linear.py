"""Network "linear": its scores against scikit-learn's PCA, and fits on all kinds of samples."""

import json

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sepvae import ConVAE, SepVAE, load
from sepvae.data import ArraySource
from sepvae.errors import DataError, ModelFileError
from sepvae.grid import Grid
from sepvae.methods.principal import MOST_COMPONENTS, PrincipalScores
from sepvae.networks.autoencoder import build_autoencoder, network_name

from ..helpers import quick

QUICK = quick(max_epochs=2, validation_fraction=0.0, background="well")
Y = np.repeat(["well", "ill"], 24)


def volumes(n=48, side=6):
    """Fields of a few factors, standardised as volumes are; the faces of the cube lie outside the mask."""
    rng = np.random.default_rng(0)
    mask = np.zeros((side,) * 3, dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    x = rng.normal(size=(n, 4)) @ rng.normal(size=(4, mask.sum())) + 0.1 * rng.normal(size=(n, mask.sum()))
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    whole = np.zeros((n, 1, *mask.shape), dtype=np.float32)
    whole[:, 0, mask] = x
    return whole, Grid(mask.shape, np.eye(4), mask=mask)


def source(rows=slice(None)):
    x, grid = volumes()
    ids = [f"p{i}" for i in range(len(x))]
    return ArraySource(x[rows], Y[rows], ids=ids[rows], grid=grid)


def test_scores_are_those_of_pca_within_the_mask():
    x, grid = volumes()
    scores = PrincipalScores.fit(source(), np.arange(40))
    reference = PCA(5, whiten=True, svd_solver="full").fit(x[:40, 0, grid.valid_mask])
    found, wanted = scores.transform(source()).x, reference.transform(x[:, 0, grid.valid_mask])
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), rtol=2e-3, atol=2e-3)
    back = scores.inverse_transform(found)
    np.testing.assert_allclose(back[:, 0, grid.valid_mask], reference.inverse_transform(wanted), atol=2e-3)
    assert back.shape == x.shape
    assert (back[:, 0, ~grid.valid_mask] == 0).all()


@pytest.mark.parametrize(("n", "components"), [(9, 2), (40, 5), (48, 6)])
def test_there_is_one_component_for_every_8_samples_of_the_training_part(n, components):
    assert PrincipalScores.fit(source(), np.arange(n)).axes.shape == (components, 64)


def test_large_data_have_256_components_of_2048_samples():
    x = np.random.default_rng(0).normal(size=(4096, 300)) * np.geomspace(10, 0.1, 300)
    scores = PrincipalScores.fit(ArraySource(x, np.arange(4096) % 2), np.arange(4096))
    assert scores.axes.shape == (MOST_COMPONENTS, 300)
    some = PCA(MOST_COMPONENTS).fit(x[np.linspace(0, 4095, 2048).astype(int)])
    np.testing.assert_allclose(scores.scale**2, some.explained_variance_, rtol=1e-4)


def test_constant_directions_are_left_out():
    x = np.random.default_rng(0).normal(size=(80, 2)) @ np.random.default_rng(1).normal(size=(2, 7))
    scores = PrincipalScores.fit(ArraySource(x, np.arange(80) % 2), np.arange(80))
    assert scores.axes.shape == (2, 7)


def test_volumes_with_nan_on_disk_are_refused():
    x, grid = volumes()
    x[3, 0, 2, 2, 2] = np.nan
    with pytest.raises(DataError, match="wanted finite samples"):
        PrincipalScores.fit(ArraySource(x, Y, grid=grid), np.arange(48))


def samples(kind):
    x = volumes()[0]
    if kind == "volumes":
        return source()
    return (
        x[:, 0, 1:-1, 1:-1, 2] if kind == "table" else (x[:, 0, :3] * 40 + 120).clip(0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize("kind", ["volumes", "images", "table"])
def test_a_saved_model_gives_what_the_fitted_one_does(kind, tmp_path):
    x = samples(kind)
    x = x.reshape(48, -1) if kind == "table" else x
    model = ConVAE(**QUICK, network="linear").fit(x, None if kind == "volumes" else Y)
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    np.testing.assert_array_equal(again.encode(x).salient_mean, model.encode(x).salient_mean)
    assert model.reconstruct(x).shape == (x.x.shape if kind == "volumes" else x.shape)
    assert np.isfinite(model.reconstruction_error(x)).all()


def test_the_common_code_starts_at_the_leading_scores():
    model = build_autoencoder("linear", (6,), 4, 2, 2)
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32))
    mean, logvar = model.common_encoder(z)
    assert torch.equal(mean, z[:, :4])
    assert (logvar == 0).all()
    decoded = model.decode(mean, torch.zeros(3, 2))
    assert torch.equal(decoded, torch.cat([z[:, :4], torch.zeros(3, 2)], dim=1))


@pytest.mark.slow
def test_the_common_space_does_not_collapse():
    data = source()
    model = SepVAE(**QUICK | {"max_epochs": 200}).fit(data)
    x, inside = data.x[:, 0], data.grid.valid_mask
    error = (model.reconstruct(data)[:, 0] - x)[:, inside]
    assert (error**2).sum() < 0.6 * ((x - x.mean(axis=0))[:, inside] ** 2).sum()


@pytest.mark.slow
def test_volumes_have_it_by_default_and_what_a_target_has_is_found():
    x, grid = volumes()
    x[24:, 0, 2:4, 2:4, 2:4] += 3 * np.random.default_rng(2).uniform(1, 2, size=(24, 1, 1, 1))
    data = ArraySource(x, Y, grid=grid)
    model = SepVAE(**QUICK | {"max_epochs": 100, "learning_rate": 1e-2}).fit(data)
    added = (model.reconstruct(data) - model.reconstruct(data, salient="none"))[24:, 0].mean(axis=0)
    truth = np.zeros(grid.shape)
    truth[2:4, 2:4, 2:4] = 1
    assert np.corrcoef(added[grid.valid_mask], truth[grid.valid_mask])[0, 1] > 0.8


def test_the_validation_part_has_no_say_in_the_components():
    model = SepVAE(**QUICK | {"validation_fraction": 0.25}).fit(source())
    train = np.setdiff1d(np.arange(48), model.validation_indices_)
    np.testing.assert_array_equal(model.principal_scores_.mean, PrincipalScores.fit(source(), train).mean)


def test_a_warm_start_keeps_the_components():
    model = SepVAE(**QUICK, warm_start=True).fit(source())
    axes = model.principal_scores_.axes
    assert model.fit(source(slice(8, 40))).principal_scores_.axes is axes


def other_data():
    x, grid = volumes()
    wider = Grid(grid.shape, np.eye(4), mask=np.pad(np.ones((5, 4, 4), bool), ((0, 1), (1, 1), (1, 1))))
    return {
        "mask": (ArraySource(x, Y, grid=wider), {}),
        "size": (ArraySource(volumes(side=7)[0], Y), {}),
        "network": (source(), {"network": "cnn3d"}),
    }


@pytest.mark.parametrize("what", ["mask", "size", "network"])
def test_a_warm_start_on_other_data_is_refused_and_leaves_the_model_as_it_was(what):
    model = SepVAE(**QUICK, warm_start=True).fit(source())
    before = model.principal_scores_, model.module_
    data, keywords = other_data()[what]
    with pytest.raises(DataError, match="warm_start"):
        model.set_params(**keywords).fit(data)
    assert (model.principal_scores_, model.module_) == before


def test_a_fit_that_fails_leaves_the_components_as_they_were():
    model = SepVAE(**QUICK).fit(source())
    scores = model.principal_scores_
    with pytest.raises(DataError):
        model.set_params(early_stopping=3).fit(source(slice(4, 44)))
    assert model.principal_scores_ is scores


def test_a_checkpoint_of_other_volumes_is_refused(tmp_path):
    file = tmp_path / "fit.ckpt"
    SepVAE(**QUICK, checkpoint=file).fit(ArraySource(volumes(side=6)[0], Y))
    with pytest.raises(ModelFileError):
        SepVAE(**QUICK, checkpoint=file).fit(ArraySource(volumes(side=7)[0], Y))


def test_equal_samples_are_refused():
    with pytest.raises(DataError, match="wanted samples that differ"):
        SepVAE(**QUICK).fit(np.ones((48, 1, 6, 6, 6), np.float32), Y)


def test_a_mask_holds_for_every_channel():
    x, grid = volumes()
    data = ArraySource(np.concatenate([x, 2 * x], axis=1), Y, grid=grid)
    decoded = SepVAE(**QUICK).fit(data).reconstruct(data)
    assert decoded.shape == (48, 2, 6, 6, 6)
    assert (decoded[:, :, ~grid.valid_mask] == 0).all()
    assert (decoded[:, :, grid.valid_mask] != 0).any()


def test_decoded_images_are_within_their_range():
    x = np.random.default_rng(0).integers(0, 2, size=(48, 1, 16, 16)).astype(np.float32)
    decoded = (
        SepVAE(**QUICK | {"max_epochs": 20, "learning_rate": 1e-2}, network="linear").fit(x, Y).reconstruct(x)
    )
    assert 0 <= decoded.min() < 0.3 < 0.7 < decoded.max() <= 1


def test_gradient_norms_are_those_of_scores():
    norms = SepVAE(**QUICK).fit(source()).gradient_norms(source(), Y)
    assert np.isfinite(norms["common_encoder"]).all()


def test_an_older_model_of_volumes_is_a_convolutional_one():
    stored = ["common_encoder.mean.weight"]
    assert network_name("auto", (1, 32, 32, 32), stored) == "cnn3d"
    assert network_name("auto", (1, 32, 32, 32)) == "linear"


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ((), "linear"),
        (("principal.axes", "decoder.weight"), "linear"),
        (("decoder.linear.weight",), "residual-mlp"),
        (("decoder.0.weight",), "mlp"),
    ],
)
def test_auto_of_many_features_is_linear_unless_a_file_has_another(
    stored: tuple[str, ...], name: str
) -> None:
    assert network_name("auto", (5000,), stored) == name
    assert network_name("auto", (4999,)) == "residual-mlp"


def test_a_damaged_file_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = SepVAE(**QUICK).fit(source()).save(tmp_path / "model")
    about = json.loads((folder / "model.json").read_text()) | {"format": 1, "sha256": None}
    (folder / "model.json").write_text(json.dumps(about))
    arrays = load_file(folder / "model.safetensors")
    for name, value, message in [
        ("principal.axes", arrays["module.principal.axes"][:, :-1], "wanted shape"),
        ("principal.mean", arrays["module.principal.mean"] * np.nan, "wanted finite"),
        ("principal.scale", arrays["module.principal.scale"] * 0, "principal.scale: wanted numbers above 0"),
    ]:
        save_file(arrays | {f"module.{name}": np.ascontiguousarray(value)}, folder / "model.safetensors")
        with pytest.raises(ModelFileError, match=message):
            load(folder)
    del arrays["module.principal.scale"]
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(ModelFileError):
        load(folder)


def test_convolutions_need_32_voxels_a_side():
    with pytest.raises(
        DataError, match="network cnn3d: wanted volumes of 32 voxels or more a side, got 6 x 6"
    ):
        SepVAE(**QUICK, network="cnn3d").fit(source())
