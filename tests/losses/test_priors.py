import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae.losses.vae import GroupPrior, SeverityPrior, gaussian_kl

Y = torch.tensor([0, 2, 1, 0])  # a background and two targets


def test_background_is_narrow_and_every_target_standard():
    prior = GroupPrior(0.05)
    assert prior.mean(Y).tolist() == [[0.0]] * 4
    assert prior.variance(Y).flatten().tolist() == pytest.approx([0.05, 1.0, 1.0, 0.05])
    assert prior.salient_gate(Y).tolist() == [[0.0], [1.0], [1.0], [0.0]]


def test_presence_multiplies_the_salient_code_to_y_s_plus_1_minus_y_s_prime():
    s = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    wanted = [torch.zeros(3) if y == 0 else row for row, y in zip(s, Y, strict=True)]
    assert torch.equal(GroupPrior(0.05).salient_gate(Y) * s, torch.stack(wanted))


def test_kl_from_it_is_sample_by_sample_that_of_torch():
    mean, logvar = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    prior = GroupPrior(0.05)
    kl = gaussian_kl(mean, logvar, prior.mean(Y), prior.variance(Y))
    for i, y in enumerate(Y):
        p = Normal(0, 0.05**0.5 if y == 0 else 1.0)
        assert_close(kl[i], kl_divergence(Normal(mean[i], (logvar[i] / 2).exp()), p).sum())


def test_severity_widens_the_prior_from_the_backgrounds_to_the_targets():
    prior, y = SeverityPrior(0.05), torch.tensor([0.0, 0.5, 1.0])
    assert prior.variance(y).flatten().tolist() == pytest.approx([0.05, 0.05 + 0.95 * 0.25, 1.0])
    assert prior.salient_gate(y).flatten().tolist() == y.tolist()
    ends, groups = GroupPrior(0.05), torch.tensor([0, 1])
    assert torch.equal(prior.variance(y[[0, 2]]), ends.variance(groups))
    assert torch.equal(prior.salient_gate(y[[0, 2]]), ends.salient_gate(groups))
    assert prior.mean(y).tolist() == [[0.0]] * 3
