"""Gradient checkpointing: the same numbers, bit for bit, and fewer activations kept for the backward pass."""

import numpy as np
import pytest
import torch
from torch import nn

from sepvae import DoubleInfoGAN, RbVAE, SepVAE, load
from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder

from ..helpers import quick

rng = np.random.default_rng(0)
Y = np.repeat(["control", "patient"], 12)
X = rng.normal(size=(24, 6)) + 2 * (Y == "patient")[:, None]
VOLUMES = rng.normal(size=(8, 1, 32, 32, 32)).astype(np.float32)


def own_network():
    """Layers that a second run may change: running statistics, random units, a power iteration."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hidden = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8))
        encoder = nn.Sequential(hidden, nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        return encoder, nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=None), nn.Linear(8, 6))


def check_same(method, x, y=Y, **keywords):
    keywords = quick(batch_size=8, validation_fraction=0.2, max_epochs=2) | keywords
    kept, recomputed = (method(gradient_checkpointing=value, **keywords).fit(x, y) for value in (False, True))
    state = recomputed.module_.state_dict()
    for name, value in kept.module_.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert kept.history_.equals(recomputed.history_)


@pytest.mark.parametrize("method", [SepVAE, RbVAE, DoubleInfoGAN])
def test_weights_running_statistics_and_history_are_the_same(method):
    check_same(method, X, network=own_network())


def test_the_network_of_volumes_is_the_same():
    check_same(SepVAE, VOLUMES, Y[8:16], network="cnn3d", max_epochs=1, validation_fraction=0)


def test_the_same_with_half_precision(monkeypatch):
    monkeypatch.setattr("sepvae.training.fit.check_precision", lambda *_: None)
    check_same(SepVAE, X, network=own_network(), precision="bf16-mixed")


def kept_values(model, x):
    """Number of values that autograd keeps for the backward pass through encoders and decoder."""
    kept: dict[int, int] = {}

    def count(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        codes = model.encode(x)
        model.decode(codes.common_mean, codes.salient_mean).square().sum().backward()
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    return sum(n for place, n in kept.items() if place not in weights)


def test_activations_are_not_kept():
    model, x = build_autoencoder("cnn3d", (1, 32, 32, 32), 2, 2, 2), torch.from_numpy(VOLUMES[:2])
    plain = kept_values(model, x)
    model.checkpoint_gradients()
    assert kept_values(model, x) < plain / 5  # the volumes and their reconstructions remain


def test_without_gradients_nothing_changes():
    model = build_autoencoder("mlp", (6,), 2, 2, 2).eval()
    x = torch.from_numpy(X).float()
    plain = model.encode(x).common_mean
    model.checkpoint_gradients()
    with torch.no_grad():
        assert torch.equal(model.encode(x).common_mean, plain)


def test_it_is_no_part_of_the_model(tmp_path):
    model = SepVAE(gradient_checkpointing=True, **quick()).fit(X, Y)
    assert not load(model.save(tmp_path / "model")).gradient_checkpointing
    assert len(model.gradient_norms(X, Y)) == 10


def test_it_is_refused_with_compile():
    with pytest.raises(DataError, match="compile: wanted False with gradient_checkpointing, got True"):
        SepVAE(gradient_checkpointing=True, compile=True, **quick()).fit(X, Y)
