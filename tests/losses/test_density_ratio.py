import math

import pytest
import torch
from scipy.integrate import dblquad
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import binary_cross_entropy
from torch.testing import assert_close

from sepvae.losses.vae import critic_loss, mutual_information
from sepvae.training.sampling import derangement


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_critic_loss_is_the_cross_entropy_of_both_pairs():
    joint, shuffled = 8 * torch.randn(2, 20, generator=seeded(), dtype=torch.float64)
    told, mistaken = joint.sigmoid(), shuffled.sigmoid()
    wanted = [
        binary_cross_entropy(p, target, reduction="none")
        for p, target in [(told, torch.ones_like(told)), (mistaken, torch.zeros_like(mistaken))]
    ]
    assert_close(critic_loss(joint, shuffled), sum(wanted))


def test_critic_loss_of_a_sure_critic_is_finite():
    assert critic_loss(torch.tensor([-500.0, 500.0]), torch.tensor([500.0, -500.0])).tolist() == [1000, 0]


def test_mutual_information_is_log_d_over_1_minus_d_rectified_one_by_one():
    logits = torch.randn(20, generator=seeded(), dtype=torch.float64)
    ratios = [math.log(d / (1 - d)) for d in logits.sigmoid().tolist()]
    assert mutual_information(logits, rectified=False).tolist() == pytest.approx(ratios)
    assert mutual_information(logits).tolist() == pytest.approx([max(ratio, 0) for ratio in ratios])


def correlated(n, rho, generator):
    """Pairs of standard normals, and the log-density ratio of joint and product."""
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    z = torch.stack([noise[:, 0], rho * noise[:, 0] + math.sqrt(1 - rho**2) * noise[:, 1]], dim=1)
    joint = MultivariateNormal(torch.zeros(2).double(), torch.tensor([[1, rho], [rho, 1]]).double())
    return z, joint.log_prob(z) - Normal(0, 1).log_prob(z).sum(dim=1)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.9])
def test_the_best_critic_of_a_gaussian_pair_gives_its_mutual_information(rho):
    estimate = mutual_information(correlated(100_000, rho, seeded())[1], rectified=False)
    error = estimate.std().item() / math.sqrt(100_000)
    assert estimate.mean().item() == pytest.approx(-0.5 * math.log(1 - rho**2), abs=3 * error + 1e-12)


@pytest.mark.parametrize("rho", [0.5, -0.9])
def test_rectified_its_mean_is_the_integral_of_the_positive_part(rho):
    def positive_part(b, a):
        density = math.exp(-(a * a - 2 * rho * a * b + b * b) / (2 * (1 - rho**2)))
        density /= 2 * math.pi * math.sqrt(1 - rho**2)
        ratio = -0.5 * math.log(1 - rho**2) + (2 * rho * a * b - rho**2 * (a * a + b * b)) / (
            2 * (1 - rho**2)
        )
        return density * max(ratio, 0)

    integral, _ = dblquad(positive_part, -8, 8, -8, 8, epsabs=1e-4)
    estimate = mutual_information(correlated(100_000, rho, seeded())[1])
    assert estimate.mean().item() == pytest.approx(
        integral, abs=3 * estimate.std().item() / math.sqrt(100_000)
    )
    assert integral > -0.5 * math.log(1 - rho**2) + 0.01  # more than the mutual information


def test_a_trained_critic_comes_near_to_it():
    rho, generator = 0.8, seeded()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = nn.Sequential(
            nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
        ).double()
    adam = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(300):
        z, _ratio = correlated(500, rho, generator)
        pairs = torch.stack([z[:, 0], z[derangement(500, generator), 1]], dim=1)
        adam.zero_grad()
        critic_loss(critic(z)[:, 0], critic(pairs)[:, 0]).mean().backward()
        adam.step()
    estimate = mutual_information(critic(correlated(20_000, rho, generator)[0])[:, 0], rectified=False)
    assert estimate.mean().item() == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.05)
