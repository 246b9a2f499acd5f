import torch
from torch.distributions import Categorical
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from sepvae.losses.vae import group_cross_entropy, group_logits


def logits(groups):
    return 5 * torch.randn(8, groups - 1, generator=torch.Generator().manual_seed(0))


def test_two_groups_are_binary_cross_entropy():
    y = torch.tensor([0, 1] * 4)
    wanted = binary_cross_entropy_with_logits(logits(2)[:, 0], y.float(), reduction="none")
    assert_close(group_cross_entropy(logits(2), y), wanted)


def test_three_groups_are_a_categorical_whose_background_has_logit_0():
    y = torch.tensor([0, 1, 2, 2, 1, 0, 1, 2])
    of_all = torch.cat([torch.zeros(8, 1), logits(3)], dim=1)
    assert_close(group_cross_entropy(logits(3), y), -Categorical(logits=of_all).log_prob(y))


def test_softmax_of_two_groups_is_a_sigmoid():
    assert_close(group_logits(logits(2)).softmax(dim=1)[:, 1], logits(2)[:, 0].sigmoid())


def test_a_sure_mistake_costs_its_logit():
    assert group_cross_entropy(torch.tensor([[500.0], [-500.0]]), torch.tensor([0, 1])).tolist() == [500, 500]
