"""RbVAE: its terms against torch.distributions, its density ratio against a known one, a planted factor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal
from torch.testing import assert_close

from sepvae import RbVAE, load
from sepvae.codes import Codes
from sepvae.errors import DataError
from sepvae.losses.vae import critic_loss
from sepvae.methods.rbvae import RbVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.backbones import linear_encoder
from sepvae.networks.model import ContrastiveAutoencoder, JointCritic
from sepvae.training.objective import Losses, weighted
from sepvae.training.sampling import draw_noise

from ..helpers import quick

WEIGHTS: dict[str, Any] = {
    "beta_common": 0.0,
    "beta_salient": 0.0,
    "reconstruction_var": 0.5,
    "forward_kl": 0.7,
    "reverse_kl": 0.3,
    "latent_reconstruction": 0.2,
}
SYMMETRIC, FORWARD = (RbVAEObjective(**WEIGHTS, symmetric=symmetric) for symmetric in (True, False))
Y = torch.tensor([0, 1, 1, 0, 1, 0])
X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def model() -> ContrastiveAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build_autoencoder("mlp", (5,), 3, 2, 2, critic_kind="joint").double()


def losses_of(objective: RbVAEObjective, model: ContrastiveAutoencoder) -> Losses:
    codes = model.encode(X)
    torch.manual_seed(3)
    return objective.losses(model, X, Y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))


def drawn_from_q(codes: Codes[torch.Tensor], update: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of the samples, as update 0, of the critic, or 1, of the model, draws them."""
    noise = draw_noise(codes, torch.Generator().manual_seed(1))
    e_c, e_s = (noise.critic, noise.model)[update]
    c = codes.common_mean + (codes.common_logvar / 2).exp() * e_c
    return c, codes.salient_mean + (codes.salient_logvar / 2).exp() * e_s


def drawn_from_p(
    model: ContrastiveAutoencoder, var: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples with codes, as the generator with seed 3 gives them."""
    torch.manual_seed(3)
    c, s, e = (torch.randn(6, n, dtype=torch.float64) for n in (3, 2, 5))
    return model.decoder(torch.cat([c, (Y[:, None] == 1) * s], dim=1)) + var**0.5 * e, c, s


def discriminator(model: ContrastiveAutoencoder, i: int, *inputs: torch.Tensor) -> torch.Tensor:
    """D of sample i: of (x, c, s) for a target, of (x, c) for the background."""
    x, c, s = (part[i] for part in inputs)
    seen = [model.critic.backbone(x), c]
    if Y[i]:
        return model.critic.target(torch.cat([*seen, s])).sigmoid()[0]
    return model.critic.background(torch.cat(seen)).sigmoid()[0]


def test_the_weighted_terms_are_those_of_both_divergences_sample_by_sample(
    model: ContrastiveAutoencoder,
) -> None:
    losses = losses_of(SYMMETRIC, model)
    loss = sum(weighted(losses.terms, losses.weights).values())
    c, s = drawn_from_q(model.encode(X), 1)
    x_p, c_p, s_p = drawn_from_p(model, 0.5)
    found = model.encode(x_p)
    for i, y in enumerate(Y.double()):
        d, d_p = discriminator(model, i, X, c, s), discriminator(model, i, x_p, c_p, s_p)
        q_c = Normal(found.common_mean[i], (found.common_logvar[i] / 2).exp())
        q_s = Normal(found.salient_mean[i], (found.salient_logvar[i] / 2).exp())
        wanted = (
            (X[i] - model.decoder(torch.cat([c[i], y * s[i]]))).square().sum()
            + 0.7 * (d / (1 - d)).log()
            - 0.3 * (d_p / (1 - d_p)).log()
            - 0.2 * (q_c.log_prob(c_p[i]).sum() + y * q_s.log_prob(s_p[i]).sum())
        )
        assert_close(loss[i], wanted)


def test_without_the_reverse_divergence_its_terms_are_not_there(model: ContrastiveAutoencoder) -> None:
    terms = losses_of(FORWARD, model).terms
    assert list(terms) == ["reconstruction", "forward_kl"]
    both = losses_of(SYMMETRIC, model).terms
    assert all(torch.equal(terms[name], both[name]) for name in terms)


@pytest.mark.parametrize("variance", [0.5, "learnt"])
def test_the_discriminators_learn_to_tell_q_from_p(model: ContrastiveAutoencoder, variance: Any) -> None:
    objective = RbVAEObjective(**WEIGHTS | {"reconstruction_var": variance}, symmetric=True)
    codes = model.encode(X).map(torch.Tensor.detach)
    torch.manual_seed(3)
    loss = objective.critic_loss(model, X, Y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))
    c, s = drawn_from_q(codes, 0)
    error = X - model.decoder(torch.cat([c, (Y[:, None] == 1) * s], dim=1))
    var = error.square().mean().item() if variance == "learnt" else 0.5
    for i in range(6):
        d_q, d_p = discriminator(model, i, X, c, s), discriminator(model, i, *drawn_from_p(model, var))
        one = torch.ones((), dtype=torch.float64)
        assert_close(loss[i], -Bernoulli(d_q).log_prob(one) - Bernoulli(d_p).log_prob(0 * one))
    loss.sum().backward()
    assert reached(model) == {"critic"}


def reached(model: ContrastiveAutoencoder) -> set[str]:
    named = model.named_parameters()
    return {name.split(".")[0] for name, p in named if p.grad is not None and p.grad.abs().max() > 0}


@pytest.mark.parametrize(
    ("term", "group", "wanted"),
    [
        ("forward_kl", 1, {"common_encoder", "salient_encoder"}),
        ("forward_kl", 0, {"common_encoder"}),
        ("reverse_kl", 1, {"decoder"}),
        ("reverse_kl", 0, {"decoder"}),
        ("latent_reconstruction", 1, {"common_encoder", "salient_encoder", "decoder"}),
        ("latent_reconstruction", 0, {"common_encoder", "decoder"}),
        ("reconstruction", 0, {"common_encoder", "decoder"}),
    ],
)
def test_each_term_reaches_its_networks(
    model: ContrastiveAutoencoder, term: str, group: int, wanted: set[str]
) -> None:
    losses_of(SYMMETRIC, model).terms[term][group == Y].sum().backward()
    assert reached(model) == wanted


def test_the_discriminators_find_a_known_density_ratio() -> None:
    """Of two Gaussians of (x, c): q with a correlation of 0.8, p with one of 0."""
    torch.manual_seed(0)
    critic = JointCritic(linear_encoder((1,), 2), 1, 1)
    adam, nothing, background = torch.optim.Adam(critic.parameters(), 1e-2), torch.zeros(1000, 1), 0
    y = torch.full((1000,), background)
    q = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    p = MultivariateNormal(torch.zeros(2), torch.eye(2))
    for _ in range(200):
        logits = (critic(z[:, :1], y, z[:, 1:], nothing) for z in (q.sample((1000,)), p.sample((1000,))))
        adam.zero_grad()
        critic_loss(*logits).mean().backward()
        adam.step()
    z = q.sample((1000,))
    found, wanted = critic(z[:, :1], y, z[:, 1:], nothing), q.log_prob(z) - p.log_prob(z)
    assert np.corrcoef(found.detach(), wanted)[0, 1] > 0.95
    assert_close(found.mean().item(), -0.5 * np.log(1 - 0.8**2), rtol=0, atol=0.08)  # KL(q || p)


def test_the_discriminator_of_the_background_sees_no_salient_code(model: ContrastiveAutoencoder) -> None:
    c, s = drawn_from_q(model.encode(X), 1)
    changed = model.critic(X, Y, c, s) != model.critic(X, Y, c, s + 1)
    assert torch.equal(changed, Y == 1)


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two common factors of both groups, and one of targets only, which is returned too."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    y = np.arange(600) % 2
    salient = y * rng.normal(size=600)
    codes = np.column_stack([rng.normal(size=(600, 2)), 2 * salient])
    return codes @ axes[:3] + 0.3 * rng.normal(size=(600, 8)), y, salient


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_planted_factor_of_targets_is_in_the_salient_code(symmetric: bool) -> None:
    x, y, factor = planted()
    keywords = quick(salient_dim=1, max_epochs=12, batch_size=50, learning_rate=3e-3, random_state=0)
    model = RbVAE(**keywords, symmetric=symmetric).fit(x, y)
    codes, target = model.encode(x), y == 1
    assert abs(np.corrcoef(codes.salient_mean[target, 0], factor[target])[0, 1]) > 0.9
    history = model.history_.iloc[-1]
    parts = ["reconstruction", "latent_reconstruction"][: 1 + symmetric]
    assert history["train_loss_without_mi"] == pytest.approx(sum(history[f"train_{name}"] for name in parts))


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((1, 16, 16), "auto"),
        ((1, 16, 16), "linear"),
        ((4,), (torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6)), torch.nn.Linear(4, 4))),
        ((1, 32, 32, 32), "auto"),
    ],
    ids=["images", "scores", "own modules", "volumes"],
)
def test_a_saved_model_gives_the_same_codes(shape: tuple[int, ...], network: Any, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random(size=(20, *shape), dtype=np.float32), np.arange(20) % 2
    model = RbVAE(**quick(network=network)).fit(x, y)
    own = {} if isinstance(network, str) else {"network": network}
    again = load(model.save(tmp_path / "model"), cls=RbVAE, **own)
    np.testing.assert_array_equal(again.transform(x), model.transform(x))
    assert [*again.module_.state_dict()] == [*model.module_.state_dict()]


def test_discriminators_of_volumes_have_no_batch_norm() -> None:
    with torch.device("meta"):
        model = build_autoencoder("cnn3d", (1, 32, 32, 32), 3, 2, 2, critic_kind="joint")
    kinds = {type(module) for module in model.critic.modules()}
    assert torch.nn.GroupNorm in kinds
    assert torch.nn.BatchNorm3d not in kinds


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"symmetric": "yes"}, "symmetric: wanted"), ({"forward_kl": -1}, "forward_kl: wanted")],
)
def test_keywords_that_do_not_fit(keywords: dict[str, Any], message: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    with pytest.raises(DataError, match=message):
        RbVAE(**quick(**keywords)).fit(x, y)
