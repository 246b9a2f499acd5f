from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sepvae import SepVAE
from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.networks.model import GaussianEncoder
from sepvae.training.diagnostics import ENCODERS, gradient_norms
from sepvae.training.objective import weighted
from sepvae.training.sampling import draw_noise

OBJECTIVE = SepVAE(beta_common=0.5, beta_salient=0.3, kappa=2.0, gamma=0.7, rectify_mi=False).objective()
TERMS = (
    *("reconstruction", "common_kl", "salient_kl_target", "salient_kl_background", "salient_classification"),
    *("mutual_information", "removal_common", "removal_salient", "swap_common", "swap_salient"),
)
rng = np.random.default_rng(0)
Y = np.repeat([0, 1], [7, 5])
X = rng.normal(size=(12, 5)) + Y[:, None]


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_autoencoder("mlp", (5,), 3, 4, 2).double()


def table(objective, model, x=X, y=Y, **keywords):
    return gradient_norms(objective, model, x, y, **keywords).set_index("term")


def weighted_terms(model, seed=0):
    """The terms of a step, on a copy of the model, times their weights."""
    fresh, x, y = deepcopy(model).train(), torch.from_numpy(X), torch.from_numpy(Y)
    codes = OBJECTIVE.posterior(fresh.encode(x), y)
    noise = draw_noise(codes, torch.Generator().manual_seed(seed))
    losses = OBJECTIVE.losses(fresh, x, y, codes, noise)
    return fresh, {name: term.mean() for name, term in weighted(losses.terms, losses.weights).items()}


def gradient(part):
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in part])


def by_backward(model, chosen):
    """Gradient vectors of both encoders, the way training gets them."""
    fresh, terms = weighted_terms(model)
    sum(terms[name] for name in chosen).backward()
    return [gradient(list(getattr(fresh, part).parameters())) for part in ENCODERS]


class Merged:
    """The whole loss of OBJECTIVE as one term."""

    def posterior(self, codes, y):
        return OBJECTIVE.posterior(codes, y)

    def losses(self, model, x, y, codes, noise):
        losses = OBJECTIVE.losses(model, x, y, codes, noise)
        whole = sum(weighted(losses.terms, losses.weights).values())
        return SimpleNamespace(terms={"all": whole}, weights={"all": 1.0})


class Only:
    """One term, a function of codes."""

    def __init__(self, term, weight=1.0):
        self.weight, self.term = weight, term

    def posterior(self, codes, y):  # noqa: ARG002
        return codes

    def losses(self, model, x, y, codes, noise):  # noqa: ARG002
        return SimpleNamespace(terms={"only": self.term(codes)}, weights={"only": self.weight})


@pytest.mark.parametrize("name", TERMS)
def test_each_row_is_what_a_backward_pass_on_a_copy_gives(model, name):
    row, expected = table(OBJECTIVE, model).loc[name], by_backward(model, [name])
    np.testing.assert_allclose(row[list(ENCODERS)].astype(float), [float(g.norm()) for g in expected])
    assert (row["salient_encoder"] > 0) == (name != "common_kl")
    value = float(weighted_terms(model)[1][name].detach())
    assert row["weight"] * row["value"] == pytest.approx(value)


def test_gradients_of_the_terms_add_up_to_that_of_the_whole_loss(model):
    by_term = [by_backward(model, [name]) for name in TERMS]
    sums = [float(sum(parts).norm()) for parts in zip(*by_term, strict=True)]
    np.testing.assert_allclose(table(Merged(), model).loc["all", list(ENCODERS)].astype(float), sums)


def test_a_kl_on_linear_encoders_has_the_gradient_of_its_formula(model):
    model.common_encoder = GaussianEncoder(nn.Identity(), 5, 3).double()
    weight, bias = (p.detach().numpy() for p in model.common_encoder.mean.parameters())
    mean = X @ weight.T + bias
    only = Only(lambda codes: 0.5 * codes.common_mean.square().sum(dim=1), weight=3.0)
    expected = 3 / 12 * np.hypot(np.linalg.norm(mean.T @ X), np.linalg.norm(mean.sum(axis=0)))
    assert table(only, model).loc["only", "common_encoder"] == pytest.approx(expected)


def test_what_reaches_one_encoder_only_is_zero_in_the_other(model):
    norms = table(OBJECTIVE, model)
    assert norms.loc["common_kl", "salient_encoder"] == 0 < norms.loc["common_kl", "common_encoder"]
    of_salient = norms.loc[["salient_kl_target", "salient_kl_background", "salient_classification"]]
    assert (of_salient["common_encoder"] == 0).all()
    assert (of_salient["salient_encoder"] > 0).all()


def test_an_ablation_is_a_row_of_zeros_and_leaves_the_others_alone(model):
    ablated = table(SepVAE(beta_common=0.5, beta_salient=0.3, kappa=0, gamma=0.7).objective(), model)
    assert (ablated.loc["mutual_information", ["weight", *ENCODERS]] == 0).all()
    others = [name for name in TERMS if name != "mutual_information"]
    assert ablated.loc[others].equals(table(OBJECTIVE, model).loc[others])


def test_a_weight_of_1e_30_is_not_lost_in_single_precision(model):
    def of(weight):
        only = Only(lambda codes: codes.salient_mean.square().sum(dim=1), weight)
        return table(only, model.float()).loc["only", "salient_encoder"]

    assert of(1e-30) == pytest.approx(1e-30 * of(1.0), rel=1e-12)


def test_a_batch_level_term_counts_like_its_mean(model):
    by_sample = table(Only(lambda codes: codes.salient_mean.square().sum(dim=1)), model)
    assert by_sample.equals(table(Only(lambda codes: codes.salient_mean.square().sum(dim=1).mean()), model))


def test_terms_without_gradient_and_frozen_encoders_give_zeros(model):
    constant = table(Only(lambda codes: codes.salient_mean.detach().square().sum(dim=1)), model)
    assert constant[list(ENCODERS)].eq(0).all(axis=None)
    model.salient_encoder.requires_grad_(False)
    norms = table(OBJECTIVE, model)
    assert norms["salient_encoder"].eq(0).all()
    assert norms.loc["reconstruction", "common_encoder"] > 0


def test_nothing_is_changed():
    backbone = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model = build_autoencoder((backbone, nn.Linear(5, 5)), (5,), 3, 2, 2).double().eval()
    model.common_encoder.mean.weight.grad = torch.ones(3, 4, dtype=torch.float64)
    state, generator = deepcopy(model.state_dict()), torch.get_rng_state()
    norms = table(OBJECTIVE, model)
    assert_close(model.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module.training for module in model.modules())
    with_grad = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_grad == {"common_encoder.mean.weight"}
    assert model.common_encoder.mean.weight.grad.eq(1).all()
    torch.rand(1)
    assert table(OBJECTIVE, model).equals(norms)  # dropout too comes from random_state


def test_batch_norm_works_as_in_training_not_as_afterwards(model):
    backbone = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    model = build_autoencoder((backbone, nn.Linear(5, 5)), (5,), 3, 2, 2).double().eval()
    expected = by_backward(model, ["common_kl"])[0].norm()
    assert table(OBJECTIVE, model).loc["common_kl", "common_encoder"] == pytest.approx(float(expected))


def test_another_seed_is_other_noise(model):
    one, other = (table(OBJECTIVE, model, random_state=seed) for seed in (0, 1))
    assert one.loc["reconstruction", "value"] != other.loc["reconstruction", "value"]
    assert one.loc["common_kl"].equals(other.loc["common_kl"])


def test_eight_bit_images_are_those_in_the_unit_range_and_no_grad_is_no_hindrance():
    x = rng.integers(0, 256, size=(4, 1, 16, 16), dtype=np.uint8)
    model, y = build_autoencoder("cnn2d", (1, 16, 16), 3, 2, 2), [0, 0, 1, 1]
    with torch.no_grad():
        norms = table(OBJECTIVE, model, x, y)
    assert norms.equals(table(OBJECTIVE, model, torch.from_numpy(x).float() / 255, torch.tensor(y)))
    assert norms.loc["reconstruction", "common_encoder"] > 0


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 3)])
def test_refuses_a_sample_alone_and_groups_of_other_samples(model, n, m):
    with pytest.raises(DataError, match=f"got {n} samples and {m} groups"):
        gradient_norms(OBJECTIVE, model, X[:n], Y[:m])
