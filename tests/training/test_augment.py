"""`augment`: the user's transform of training samples, repeatable whatever its generator."""

import random
import sys

import numpy as np
import pytest
import torch

from sepvae import ConVAE, SepVAE, load
from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.training.augment import Augment
from sepvae.training.loader import training_batches

from ..helpers import quick

rng = np.random.default_rng(0)
Y = np.repeat(["control", "patient"], 12)
GROUP = np.repeat([0, 1], 12)
X = rng.normal(size=(24, 6)).astype(np.float32)
VOLUMES = rng.normal(size=(4, 1, 32, 32, 32)).astype(np.float32)
KEYWORDS = quick(batch_size=8, validation_fraction=0, max_epochs=2)


class Randomizable:
    """The protocol of MONAI: an own generator, seeded by `set_random_state`."""

    def __init__(self):
        self.R = np.random.RandomState()

    def set_random_state(self, seed=None, state=None):
        self.R = np.random.RandomState(seed) if state is None else state
        return self

    def __call__(self, x):
        return x + torch.from_numpy(self.R.normal(size=tuple(x.shape)))


def of_torch(x):
    return x + torch.randn(x.shape)


def of_numpy(x):
    return (x.numpy() + np.random.normal(size=x.shape))[::-1][::-1]  # noqa: NPY002


def of_python(x):
    return x + random.gauss(0, 1)


TRANSFORMS = pytest.mark.parametrize("transform", [Randomizable(), of_torch, of_numpy, of_python])


def epochs(transform, source, n=2, **how):
    """Batches of some epochs, as arrays."""
    drawn = []
    loader = training_batches(
        source,
        GROUP,
        np.arange(24),
        augment=Augment(transform, 3, None),
        batch_size=8,
        balanced=False,
        random_state=3,
        **how,
    )
    for epoch in range(n):
        loader.sampler.set_epoch(epoch)
        drawn += [x.numpy() for x, _ in loader]
    return np.array(drawn)


@TRANSFORMS
def test_numbers_depend_on_seed_epoch_and_step_and_global_generators_are_left(transform):
    source = ArraySource(X, Y)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first, again = (epochs(transform, source) for _ in range(2))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert np.array_equal(first, again)
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    added = first - epochs(lambda x: x, source)
    assert len(np.unique(added[..., 0].round(4))) > 40  # of 48: each sample of each epoch has its own


@TRANSFORMS
def test_workers_and_shares_of_a_batch_give_the_same(transform):
    in_memory = epochs(transform, ArraySource(X, Y), n=1)
    streamed = StreamSource(lambda rows: X[rows], (6,), Y)
    assert np.array_equal(epochs(transform, streamed, n=1, num_workers=2), in_memory)
    shares = [epochs(transform, streamed, n=1, rank=rank, world_size=2, num_workers=0) for rank in (0, 1)]
    assert np.array_equal(np.stack(shares, axis=2).reshape(in_memory.shape), in_memory)


def test_a_fit_sees_transformed_samples_in_training_only():
    seen = []

    def noted(x):
        seen.append(x.clone())
        return x + 1

    model = ConVAE(augment=noted, **KEYWORDS | {"validation_fraction": 0.4}).fit(X, Y)
    n_train = 24 - len(model.validation_indices_)
    assert len(seen) == 1 + 2 * (n_train // 8 * 8)  # one to try it
    plain = ConVAE(**KEYWORDS | {"validation_fraction": 0.4}).fit(X, Y)
    assert not np.allclose(model.history_["train_reconstruction"], plain.history_["train_reconstruction"])
    model.encode(X)
    model.reconstruct(X)
    assert len(seen) == 1 + 2 * (n_train // 8 * 8)


def test_a_fit_that_goes_on_sees_what_an_uninterrupted_one_sees(tmp_path):
    path = tmp_path / "state"
    whole = SepVAE(augment=Randomizable(), **KEYWORDS).fit(X, Y)
    SepVAE(augment=Randomizable(), checkpoint=path, **KEYWORDS | {"max_epochs": 1}).fit(X, Y)
    resumed = SepVAE(augment=Randomizable(), checkpoint=path, **KEYWORDS).fit(X, Y)
    assert np.array_equal(resumed.encode(X).common_mean, whole.encode(X).common_mean)


def test_voxels_outside_of_the_mask_stay_zero():
    mask = torch.zeros(1, 1, 4, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    new = Augment(lambda x: x + torch.nan_to_num(x * 0) + 5, 0, mask)(
        torch.ones(2, 1, 4, 4, 4), (0, 0), np.arange(2)
    )
    assert (new[..., :2] == 6).all()
    assert (new[..., 2:] == 0).all()


def test_a_mask_of_volumes_reaches_the_transform():
    mask = np.zeros((32, 32, 32), bool)
    mask[8:24] = True
    source = ArraySource(VOLUMES * mask, Y[10:14], grid=Grid((32, 32, 32), np.eye(4), (32, 32, 32), mask))
    fits = [
        SepVAE(network="cnn3d", augment=add, **KEYWORDS | {"max_epochs": 1})
        .fit(source)
        .history_["train_loss"]
        for add in (None, lambda x: x + torch.from_numpy(~mask))
    ]
    assert fits[0].equals(fits[1])


def test_8_bit_images_are_seen_between_0_and_1():
    images = np.full((2, 3, 4, 4), 255, np.uint8)
    assert float(Augment(lambda x: x, 0, None)(torch.from_numpy(images), (0, 0), np.arange(2)).max()) == 1


def test_a_name_is_imported_when_it_is_fitted_and_no_file_of_a_model_holds_it(tmp_path, monkeypatch):
    (tmp_path / "my_transforms.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    named, own = (ConVAE(augment=a, **KEYWORDS).fit(X, Y) for a in ("my_transforms:twice", lambda x: 2 * x))
    sys.modules.pop("my_transforms")
    assert np.array_equal(named.encode(X).common_mean, own.encode(X).common_mean)
    assert load(named.save(tmp_path / "model")).augment is None


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        (3, "augment: wanted a callable on one sample, or 'module:name', got 3"),
        ("no_such:thing", "augment: wanted module:name of a transform on Python's path, got 'no_such:thing'"),
        ("math:pi", "augment: wanted a callable, but math:pi is a float"),
        (lambda x: x[:3], r"augment: wanted a sample of shape \(6,\), got one of shape \(3,\)"),
        (lambda x: x / 0, "augment: wanted finite values, got NaN or infinite ones"),
        (lambda _: None, r"augment: wanted a sample of shape \(6,\), got NoneType"),
        (lambda x: x[9], r"augment: raised for a sample of shape \(6,\): index 9 is out of bounds"),
    ],
)
def test_what_is_no_transform_gets_one_line_before_the_fit(augment, said):
    with pytest.raises(DataError, match=said):
        SepVAE(augment=augment, **KEYWORDS).fit(X, Y)


def test_scores_of_components_are_not_transformed():
    with pytest.raises(DataError, match="augment: wanted None with network 'linear'"):
        SepVAE(augment=of_torch, network="linear", **KEYWORDS).fit(X, Y)
