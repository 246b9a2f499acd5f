"""Several targets that share some salient dimensions and have a block each: SepVAE's `shared_dim`."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from sepvae import SepVAE, load
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError, ModelFileError
from sepvae.methods.labels import BlockLabels
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.sampling import donors, draw_noise

from ..helpers import quick

BLOCKS = SepVAEObjective(
    beta_common=0.5,
    beta_salient=0.3,
    kappa=2.0,
    gamma=0.7,
    background_prior_var=0.05,
    background_posterior_var=0.1,
    reconstruction_var=0.25,
    rectify_mi=True,
    removal_common=5,
    removal_salient=1,
    swap_common=2,
    swap_salient=3,
    owners=(0, 1, 1, 2, 2),
)
FREE = {0: [0, 0, 0, 0, 0], 1: [1, 1, 1, 0, 0], 2: [1, 0, 0, 1, 1]}  # by hand
Y = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
MASK = torch.tensor([FREE[int(y)] for y in Y], dtype=torch.bool)
X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = np.array(["BD", "HC", "SZ"] * 20)
TABLE = np.random.default_rng(0).normal(size=(60, 4))
KEYWORDS = quick(salient_dim=6, shared_dim=2, background="HC", batch_size=16, max_epochs=2)


@pytest.fixture
def networks():
    """Small networks in double precision, for c of 3 dimensions and s of 5."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_autoencoder("mlp", (4,), 3, 5, 3).double()


@pytest.fixture(scope="module")
def model():
    return SepVAE(**KEYWORDS).fit(TABLE, LABELS)


def losses_of(objective, networks, codes=None):
    codes = objective.posterior(networks.encode(X), Y) if codes is None else codes
    return objective.losses(networks, X, Y, codes, draw_noise(codes, torch.Generator().manual_seed(1)))


def test_shared_dimensions_and_its_block_are_free_for_a_target_and_none_for_the_background():
    prior = BLOCKS.prior
    assert torch.equal(prior.salient_gate(Y), MASK.float())
    assert_close(prior.variance(Y), torch.where(MASK, 1.0, 0.05))


def test_the_divergence_is_from_the_prior_of_the_background_where_a_dimension_is_not_free(networks):
    terms, codes = losses_of(BLOCKS, networks).terms, networks.encode(X)
    deviation = torch.where(MASK, (codes.salient_logvar / 2).exp(), 0.1**0.5)
    prior = Normal(torch.zeros(8, 5), torch.where(MASK, 1.0, 0.05**0.5))
    wanted = kl_divergence(Normal(codes.salient_mean, deviation), prior).sum(dim=1)
    assert_close(terms["salient_kl_target"] + terms["salient_kl_background"], wanted, check_dtype=False)


def test_gradients_of_the_reconstruction_reach_free_dimensions_only(networks):
    codes = networks.encode(X).map(lambda part: part.detach().requires_grad_())
    terms = losses_of(BLOCKS, networks, codes).terms
    (pull,) = torch.autograd.grad(terms["reconstruction"].sum(), codes.salient_mean)
    assert torch.equal(pull != 0, MASK)


def test_a_swap_gives_the_free_part_of_the_donor_and_wants_no_other(networks):
    terms = losses_of(BLOCKS, networks).terms
    donor_of, deviation = donors(Y, ["swap_salient"]).tolist(), 0.1**0.5
    swapped = [i for i in range(8) if Y[i] == 0 and donor_of[i] >= 0]
    assert {int(Y[donor_of[i]]) for i in swapped} == {1, 2}
    for i in swapped:
        codes, free = networks.encode(X[[i, donor_of[i]]]), MASK[donor_of[i]]
        given = torch.where(free, codes.salient_mean[1], 0)
        again = networks.encode(networks.decode(codes.common_mean[:1], given[None]))
        first, second = (
            torch.where(free, (logvar / 2).exp(), deviation)
            for logvar in (codes.salient_logvar[1], again.salient_logvar[0])
        )
        wanted = kl_divergence(Normal(given, first), Normal(again.salient_mean[0], second)).sum()
        assert_close(terms["swap_salient"][i], 3 / len(swapped) * wanted)


def test_if_all_dimensions_are_shared_it_is_one_space_bit_for_bit(networks):
    shared, one = (
        losses_of(SepVAEObjective(**vars(BLOCKS) | {"owners": owners}), networks)
        for owners in ((0,) * 5, None)
    )
    for name, values in one.terms.items():
        assert torch.equal(shared.terms[name], values)


def test_dimensions_are_shared_first_then_divided_in_the_order_of_the_labels(model):
    blocks = {"salient, shared": slice(0, 2), "salient of BD": slice(2, 4), "salient of SZ": slice(4, 6)}
    assert model.salient_blocks_ == blocks
    assert list(SepVAE(**KEYWORDS | {"shared_dim": 0}).fit(TABLE, LABELS).salient_blocks_) == [*blocks][1:]
    assert SepVAE(**KEYWORDS | {"shared_dim": None}).fit(TABLE, LABELS).salient_blocks_ == {}


def test_a_sample_without_one_block_is_decoded_with_zeros_there(model):
    codes = model.encode(TABLE)
    codes.salient_mean[:, 4:] = 0
    wanted = model.decode(codes.common_mean, codes.salient_mean)
    np.testing.assert_array_equal(model.reconstruct(TABLE, without="salient of SZ"), wanted)
    with pytest.raises(DataError, match="without: wanted one of salient, shared, salient of BD"):
        model.reconstruct(TABLE, without="SZ")


def test_new_samples_of_a_target_have_no_part_of_another():
    labels = BlockLabels("HC", 6, 2)
    labels.fit_transform(LABELS)
    wanted = {"HC": [0] * 6, "BD": [1, 1, 1, 1, 0, 0], "SZ": [1, 1, 0, 0, 1, 1]}
    assert {name: labels.salient_std(name).tolist() for name in wanted} == wanted


def test_labels_of_scored_samples_change_no_code(model):
    sources = [ArraySource(TABLE, LABELS), ArraySource(TABLE, np.random.default_rng(1).permutation(LABELS))]
    codes, shuffled = map(model.encode, sources)
    np.testing.assert_array_equal(codes.salient_mean, shuffled.salient_mean)
    np.testing.assert_array_equal(model.reconstruct(sources[0]), model.reconstruct(sources[1]))


def test_a_saved_model_has_its_blocks(model, tmp_path):
    again = load(model.save(tmp_path / "model"))
    assert again.salient_blocks_ == model.salient_blocks_
    np.testing.assert_array_equal(
        again.sample(5, "SZ", random_state=0), model.sample(5, "SZ", random_state=0)
    )
    about = tmp_path / "model" / "model.json"
    about.write_text(about.read_text().replace('"shared_dim": 2', '"shared_dim": 1'))
    with pytest.raises(ModelFileError, match="shared_dim: got 1"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("keywords", "labels", "message"),
    [
        ({"shared_dim": 3}, LABELS, "got 3 of 6 salient .* 3 to divide .* 2 targets; take salient_dim=7"),
        ({"shared_dim": 5}, LABELS, "take salient_dim=7"),
        ({"shared_dim": 6}, LABELS, "wanted a whole number of 0 or more and below 6, or None, got 6"),
        ({}, np.where(LABELS == "HC", "HC", "ill"), r"got 2 with one target \(ill\), expected several"),
        ({"target": "severity", "background": None}, LABELS, "got 2 with severities, expected None"),
    ],
)
def test_numbers_that_do_not_fit_are_one_line(keywords, labels, message):
    with pytest.raises(DataError, match=f"^shared_dim: .*{message}"):
        SepVAE(**KEYWORDS | keywords).fit(TABLE, labels)
