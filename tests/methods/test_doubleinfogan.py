"""DoubleInfoGAN: its terms against torch's own losses, what each of them trains, a planted factor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Laplace
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from torch.testing import assert_close

from sepvae import DoubleInfoGAN, load
from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.objective import Losses, weighted
from sepvae.training.sampling import Noise, draw_noise

from ..helpers import quick

WEIGHTS = {
    "adversarial": 0.7,
    "classification": 0.6,
    "common_information": 0.5,
    "salient_information": 0.4,
    "background_salient": 0.3,
    "reconstruction": 0.2,
}
OBJECTIVE = DoubleInfoGAN(**WEIGHTS).objective()
Y = torch.tensor([0, 1, 2, 0, 1, 0])  # two targets
X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def model() -> ContrastiveAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        kinds: dict[str, Any] = {"critic_kind": "samples", "exact_codes": True}
        return build_autoencoder("mlp", (5,), 3, 2, 3, **kinds).double()


def noise_of(model: ContrastiveAutoencoder) -> Noise:
    return draw_noise(model.encode(X), torch.Generator().manual_seed(1))


def losses_of(model: ContrastiveAutoencoder) -> Losses:
    torch.manual_seed(3)
    return OBJECTIVE.losses(model, X, Y, model.encode(X), noise_of(model))


def decoded(model: ContrastiveAutoencoder) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples with codes, as the generator with seed 3 gives them; that of the background is s' = 0."""
    torch.manual_seed(3)
    c, s = (torch.randn(6, n, dtype=torch.float64) for n in (3, 2))
    s[Y == 0] = 0
    return model.decoder(torch.cat([c, s], dim=1)), c, s


def test_the_weighted_terms_are_those_of_the_page_sample_by_sample(model: ContrastiveAutoencoder) -> None:
    losses = losses_of(model)
    loss = sum(weighted(losses.terms, losses.weights).values())
    (x_p, c, s), codes = decoded(model), model.encode(X)
    found, (of_data, of_target) = model.encode(x_p), model.critic(x_p)
    for i, group in enumerate(Y.tolist()):
        y = torch.tensor(float(group > 0), dtype=torch.float64)
        own = torch.cat([codes.common_mean[i], y * codes.salient_mean[i]])
        wanted = (
            -0.7 * Bernoulli(logits=of_data[i]).log_prob(torch.ones_like(y))
            - 0.6 * Bernoulli(logits=of_target[i, 0]).log_prob(y)
            + 0.5 * l1_loss(found.common_mean[i], c[i])
            + 0.2 * l1_loss(model.decoder(own), X[i])
        )
        if group:
            wanted += 0.4 * l1_loss(found.salient_mean[i], s[i])
        else:
            wanted += 0.3 * (codes.salient_mean[i].abs().mean() + found.salient_mean[i].abs().mean())
        assert_close(loss[i], wanted)


def test_the_information_is_the_likelihood_of_codes_under_a_laplace_distribution(
    model: ContrastiveAutoencoder,
) -> None:
    """The bound of InfoGAN, E log q(c | x~), up to a constant: log 2 for a scale of 1."""
    x_p, c, _ = decoded(model)
    likelihood = Laplace(model.encode(x_p).common_mean, 1.0).log_prob(c).mean(dim=1)
    assert_close(losses_of(model).terms["common_information"], -likelihood - np.log(2))


def test_the_discriminator_learns_data_from_decoded_and_target_from_background(
    model: ContrastiveAutoencoder,
) -> None:
    codes = model.encode(X).map(torch.Tensor.detach)
    torch.manual_seed(3)
    loss = OBJECTIVE.critic_loss(model, X, Y, codes, noise_of(model))
    (of_data, of_target), (of_decoded, _) = model.critic(X), model.critic(decoded(model)[0])
    cross_entropy = [
        binary_cross_entropy_with_logits(logits, wanted.double(), reduction="none")
        for logits, wanted in [
            (of_data, torch.ones(6)),
            (of_decoded, torch.zeros(6)),
            (of_target[:, 0], Y > 0),
        ]
    ]
    assert_close(loss, sum(cross_entropy))
    loss.sum().backward()
    assert reached(model) == {"critic"}


def reached(model: ContrastiveAutoencoder) -> set[str]:
    named = model.named_parameters()
    return {name.split(".")[0] for name, p in named if p.grad is not None and p.grad.abs().max() > 0}


@pytest.mark.parametrize(
    ("term", "group", "wanted"),
    [
        ("adversarial", 0, {"decoder"}),
        ("classification", 1, {"decoder"}),
        ("common_information", 0, {"common_encoder", "decoder"}),
        ("salient_information", 1, {"salient_encoder", "decoder"}),
        ("salient_information", 0, set()),
        ("background_salient", 0, {"salient_encoder", "decoder"}),
        ("background_salient", 1, set()),
        ("reconstruction", 0, {"common_encoder", "decoder"}),
        ("reconstruction", 1, {"common_encoder", "salient_encoder", "decoder"}),
    ],
)
def test_each_term_reaches_its_networks(
    model: ContrastiveAutoencoder, term: str, group: int, wanted: set[str]
) -> None:
    losses_of(model).terms[term][group == Y].sum().backward()
    assert reached(model) == wanted


def test_classifiers_train_on_detached_codes(model: ContrastiveAutoencoder) -> None:
    losses_of(model).classifiers.sum().backward()
    assert reached(model) == {"read_out", "salient_classifier"}


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two common factors of both groups, and one of targets only, which is returned too."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    y = np.arange(600) % 2
    salient = y * rng.normal(size=600)
    codes = np.column_stack([rng.normal(size=(600, 2)), 2 * salient])
    return codes @ axes[:3] + 0.3 * rng.normal(size=(600, 8)), y, salient


def test_a_planted_factor_of_targets_is_in_the_salient_code_and_the_background_at_zero() -> None:
    x, y, factor = planted()
    keywords = quick(salient_dim=1, max_epochs=12, batch_size=50, learning_rate=3e-3, random_state=0)
    model = DoubleInfoGAN(**keywords).fit(x, y)
    codes, target = model.encode(x), y == 1
    assert abs(np.corrcoef(codes.salient_mean[target, 0], factor[target])[0, 1]) > 0.9
    assert codes.salient_mean[~target].std() < 0.4 * codes.salient_mean[target].std()
    np.testing.assert_allclose(codes.salient_logvar, np.log(1e-6), rtol=1e-6)
    history = model.history_.iloc[-1]
    parts = ["common_information", "salient_information", "background_salient", "reconstruction"]
    kept = sum(history[f"train_{name}_weighted"] for name in parts)
    assert history["train_loss_without_mi"] == pytest.approx(kept)


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((1, 16, 16), "auto"),
        ((1, 16, 16), "linear"),
        ((4,), (torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6)), torch.nn.Linear(4, 4))),
    ],
    ids=["images", "scores", "own modules"],
)
def test_a_saved_model_gives_the_same_samples(shape: tuple[int, ...], network: Any, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random(size=(20, *shape), dtype=np.float32), np.arange(20) % 2
    model = DoubleInfoGAN(**quick(network=network)).fit(x, y)
    own = {} if isinstance(network, str) else {"network": network}
    again = load(model.save(tmp_path / "model"), cls=DoubleInfoGAN, **own)
    np.testing.assert_array_equal(again.swap(x, x[::-1]), model.swap(x, x[::-1]))
    assert [*again.module_.state_dict()] == [*model.module_.state_dict()]


def test_the_preset_of_the_authors_has_all_their_weights() -> None:
    original = DoubleInfoGAN.from_preset("original").get_params()
    assert (original["common_dim"], original["salient_dim"], original["max_epochs"]) == (95, 5, 1000)
    assert [original[name] for name in WEIGHTS] == [0.5, 0.5, 1, 1, 1, 2]


def test_weights_are_not_negative() -> None:
    with pytest.raises(DataError, match="adversarial: wanted a number of 0 or more, got -1"):
        DoubleInfoGAN(**quick(adversarial=-1)).fit(X.numpy(), [0, 1] * 3)
