"""CLVM: its terms against torch.distributions, its linear case on a known subspace, and as an estimator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae import CLVM, ContrastivePCA, load
from sepvae.errors import DataError
from sepvae.methods.clvm import CLVMObjective, relevance, salient_loadings
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.objective import weighted
from sepvae.training.sampling import draw_noise

from ..helpers import quick

Y = torch.tensor([0, 1, 1, 0, 1, 0])
X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make_model(decoder: Any) -> ContrastiveAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build_autoencoder("mlp", (5,), 3, 2, 2, decoder=decoder).double()


@pytest.mark.parametrize("decoder", ["additive", "linear"])
def test_terms_are_the_bound_of_a_sum_sample_by_sample(decoder: Any) -> None:
    objective = CLVMObjective(
        beta_common=0.5,
        beta_salient=0.3,
        reconstruction_var=0.5,
        decoder=decoder,
        ard=0.1 * (decoder == "linear"),
    )
    model = make_model(decoder)
    codes = model.encode(X)
    noise = draw_noise(codes, torch.Generator().manual_seed(1))
    losses = objective.losses(model, X, Y, codes, noise)
    loss = sum(weighted(losses.terms, losses.weights).values())
    c = codes.common_mean + (codes.common_logvar / 2).exp() * noise.model[0]
    s = codes.salient_mean + (codes.salient_logvar / 2).exp() * noise.model[1]
    d_c, d_s = model.decoder.common, model.decoder.salient
    for i, y in enumerate(Y.double()):
        q_c = Normal(codes.common_mean[i], (codes.common_logvar[i] / 2).exp())
        q_s = Normal(codes.salient_mean[i], (codes.salient_logvar[i] / 2).exp())
        mean = d_c(c[i]) + y * (d_s(s[i]) - d_s(torch.zeros(2).double()))
        wanted = (
            (X[i] - mean).square().sum()
            + 0.5 * kl_divergence(q_c, Normal(0, 1)).sum()
            + 0.3 * y * kl_divergence(q_s, Normal(0, 1)).sum()
        )
        if decoder == "linear":
            wanted = wanted + 0.1 * relevance(d_s.weight)
        assert_close(loss[i], wanted)


def test_relevance_is_the_prior_at_its_most_likely_precision() -> None:
    loadings = np.random.default_rng(0).normal(size=(7, 3)) * [0.1, 1, 5]

    def least(column: np.ndarray) -> float:
        found = minimize_scalar(lambda log_std: -norm.logpdf(column, scale=np.exp(log_std)).sum())
        return float(found.fun)

    expected = sum(map(least, loadings.T))
    assert_close(relevance(torch.from_numpy(loadings)).item(), expected, rtol=1e-6, atol=1e-6)


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two common directions of both groups, and one of targets only, which is returned too."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    y = np.arange(600) % 2
    codes = np.concatenate([rng.normal(size=(600, 2)), 2 * y[:, None] * rng.normal(size=(600, 1))], axis=1)
    return codes @ axes[:3] + 0.3 * rng.normal(size=(600, 8)), y, axes[2:3]


@pytest.mark.slow
def test_the_linear_case_finds_the_subspace_as_contrastive_pca_does() -> None:
    x, y, direction = planted()
    keywords = quick(salient_dim=3, max_epochs=40, batch_size=100, learning_rate=1e-2)
    model = CLVM(**keywords, decoder="linear", ard=1 / 600).fit(x, y)
    columns = model.decode(np.zeros((3, 2)), np.eye(3)) - model.decode(np.zeros((1, 2)), np.zeros((1, 3)))
    lengths = np.linalg.norm(columns, axis=1)
    kept = columns[lengths.argmax()][:, None]
    assert np.sort(lengths)[-2] < 0.2 * lengths.max()  # two of three salient dimensions are emptied
    assert np.degrees(subspace_angles(kept, direction.T))[0] < 6
    pca = ContrastivePCA(2, 1).fit(x, y)
    axis = pca.decode(np.zeros((1, 2)), np.ones((1, 1))) - pca.decode(np.zeros((1, 2)), np.zeros((1, 1)))
    assert np.degrees(subspace_angles(kept, axis.T))[0] < 20  # that of contrastive PCA is 15 from the truth


@pytest.mark.parametrize("decoder", ["additive", "linear"])
def test_a_saved_model_decodes_the_same_images(decoder: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, size=(20, 1, 16, 16), dtype=np.uint8), np.arange(20) % 2
    model = CLVM(**quick(decoder=decoder)).fit(images, y)
    decoded = model.decode(10 * np.ones((1, 2)), 10 * np.ones((1, 2)))
    assert 0 <= decoded.min() <= decoded.max() <= 1
    again = load(model.save(tmp_path / "model"), cls=CLVM)
    np.testing.assert_array_equal(again.reconstruct(images), model.reconstruct(images))


def test_parts_of_c_and_s_are_added() -> None:
    model = make_model("additive")
    c, s = torch.ones(1, 3).double(), torch.ones(1, 2).double()
    nothing = model.decode(c, 0 * s)
    assert_close(nothing, model.decoder.common(c))
    assert_close(model.decode(c, s) - nothing, model.decode(0 * c, s) - model.decode(0 * c, 0 * s))
    assert salient_loadings(make_model("linear")).shape == (5, 2)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"ard": 0.1}, "ard: wanted 0, or decoder='linear'"),
        ({"decoder": "sum"}, "decoder: wanted"),
        ({"network": (torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))}, "network: wanted a name"),
    ],
)
def test_keywords_that_do_not_fit(keywords: dict[str, Any], message: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    with pytest.raises(DataError, match=message):
        CLVM(**quick(**keywords)).fit(x, y)
