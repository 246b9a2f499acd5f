import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.grid import Grid
from sepvae.interpretation.examples import make_examples, make_thumbnails
from sepvae.methods import ContrastivePCA

from ..helpers import quick

rng = np.random.default_rng(0)
Y = np.repeat(["well", "ill"], [30, 20])
X = rng.integers(0, 256, size=(50, 1, 16, 16), dtype=np.uint8)
TRAIN, TEST = ArraySource(X, Y), ArraySource(X[::-1], Y[::-1], ids=[f"t{i}" for i in range(50)])


def of_targets(model, source):
    """Salient means of the training targets."""
    return model.encode(source).salient_mean[np.asarray(source.labels) == "ill"]


@pytest.fixture(scope="module")
def model():
    return SepVAE(**quick(common_dim=3, background="well")).fit(X, Y)


@pytest.fixture(scope="module")
def examples(model):
    return make_examples(model, of_targets(model, TRAIN), TEST, per_label=5)


def test_samples_are_spread_over_each_label_the_background_first(examples):
    # The test part is 20 targets, then 30 background samples.
    assert examples["ids"].tolist() == [f"t{i}" for i in (20, 27, 34, 41, 49, 0, 4, 9, 14, 19)]
    assert examples["labels"].tolist() == ["well"] * 5 + ["ill"] * 5
    np.testing.assert_allclose(examples["inputs"][0], TEST.x[20] / 255, rtol=1e-6)


def test_reconstructions_are_the_estimators(model, examples):
    x = TEST.x[[20, 27, 34, 41, 49, 0, 4, 9, 14, 19]]
    np.testing.assert_array_equal(examples["full"], model.reconstruct(x))
    np.testing.assert_array_equal(examples["common_only"], model.reconstruct(x, "none"))


def test_traversals_move_along_principal_components_of_training_targets(model, examples):
    salient = model.encode(X[30:]).salient_mean.astype(float)
    variances, axes = np.linalg.eigh(np.cov(salient.T))  # ascending
    np.testing.assert_allclose(examples["traversal_shares"], (variances / variances.sum())[::-1], rtol=1e-4)
    np.testing.assert_array_equal(examples["traversal_steps"], [-3, -2, -1, 0, 1, 2, 3])
    assert examples["traversal_ids"].tolist() == ["t0", "t6", "t12", "t19"]
    assert examples["traversals"].shape == (4, 2, 7, 1, 16, 16)
    axis = axes[:, -1] * np.sign(axes[np.abs(axes[:, -1]).argmax(), -1])  # the largest, its sign fixed
    s = salient.mean(axis=0) + 2 * np.sqrt(variances[-1]) * axis
    common = model.encode(TEST.x[6:7]).common_mean
    decoded = model.decode(common, s[None].astype(np.float32))[0]
    np.testing.assert_allclose(examples["traversals"][1, 0, 5], decoded, atol=1e-6)


def test_swaps_exchange_the_salient_parts_of_pairs(model, examples):
    assert examples["swap_ids"].tolist()[:2] == [["t20", "t0"], ["t25", "t3"]]
    a, b = TEST.x[25:26], TEST.x[3:4]
    expected = [a / 255, b / 255, model.swap(a, b), model.swap(b, a)]
    np.testing.assert_allclose(examples["swaps"][1], np.concatenate(expected), atol=1e-6)
    assert examples["swaps"].shape == (6, 4, 1, 16, 16)


def test_a_collapsed_salient_space_gives_still_pictures(model, monkeypatch):
    encode = SepVAE.encode

    def collapsed(self, x):
        codes = encode(self, x)
        codes.salient_mean[:] = 0.5
        return codes

    monkeypatch.setattr(SepVAE, "encode", collapsed)
    examples = make_examples(model, of_targets(model, TRAIN), TEST)
    assert examples["traversal_shares"].tolist() == [0, 0]
    np.testing.assert_allclose(np.ptp(examples["traversals"], axis=2), 0, atol=1e-6)


def test_tables_have_reconstructions_only():
    x = np.where(rng.random((50, 4)) < 0.05, np.nan, rng.normal(size=(50, 4)))
    source = ArraySource(x, Y)
    model = SepVAE(**quick(background="well")).fit(x, Y)
    examples = make_examples(model, of_targets(model, source), source, per_label=3)
    assert set(examples) == {"ids", "labels", "inputs", "full", "common_only"}
    np.testing.assert_array_equal(examples["inputs"][:3], x[[0, 14, 29]])
    assert make_thumbnails(source) is None


def test_thumbnails_are_averaged_by_area_and_never_enlarged():
    x = rng.random((2, 3, 96, 60))
    thumbnails = make_thumbnails(ArraySource(x, ["a", "b"]), side=48)["images"]
    assert thumbnails.shape == (2, 3, 48, 30)
    assert thumbnails.dtype == np.uint8
    means = 255 * x.reshape(2, 3, 48, 2, 30, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(thumbnails, means, atol=0.51)
    np.testing.assert_array_equal(make_thumbnails(TEST)["images"], TEST.x)


def test_thumbnails_of_other_channels_show_the_first():
    x = rng.integers(0, 256, size=(2, 2, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(make_thumbnails(ArraySource(x, [0, 1]))["images"], x[:, :1])


def test_too_many_samples_are_drawn_in_proportion():
    thumbnails = make_thumbnails(TEST, limit=10)
    drawn = pd.Series(Y[::-1], index=TEST.ids)[thumbnails["ids"]]
    assert drawn.value_counts().to_dict() == {"well": 6, "ill": 4}
    again, other = make_thumbnails(TEST, limit=10), make_thumbnails(TEST, limit=10, random_state=1)
    assert thumbnails["ids"].tolist() == again["ids"].tolist() != other["ids"].tolist()
    np.testing.assert_array_equal(thumbnails["images"][3], TEST.x[int(thumbnails["ids"][3][1:])])


def volumes(n=24, shape=(32, 33, 34)):
    mask = np.zeros(shape, dtype=bool)
    mask[4:28, 4:28, 10:30] = True
    x = (rng.normal(size=(n, 1, *shape)) * mask).astype(np.float32)
    return ArraySource(x, np.repeat(["well", "ill"], n // 2), grid=Grid(shape, np.eye(4), mask=mask))


def test_volumes_have_few_examples_of_low_precision_and_no_traversals():
    source = volumes()
    model = ContrastivePCA(2, 2, background="well").fit(source)
    examples = make_examples(model, of_targets(model, source), source)
    assert set(examples) == {"ids", "labels", "inputs", "full", "common_only"}
    assert examples["labels"].tolist() == ["well"] * 6 + ["ill"] * 6
    assert examples["full"].dtype == np.float16
    chosen = examples["ids"].astype(int)
    np.testing.assert_allclose(examples["full"], model.reconstruct(source)[chosen], rtol=1e-3, atol=1e-6)


def test_thumbnails_of_volumes_are_their_middle_axial_slice_seen_from_above():
    source = volumes(2)
    source.x[0, 0, 6, 26, 17] = 99  # on the left, in front
    thumbnails = make_thumbnails(source)["images"]
    assert thumbnails.shape == (2, 1, 33, 32)
    assert thumbnails[0, 0, 33 - 1 - 26, 6] == 255
    assert not thumbnails[0, 0, :4].any()  # before the brain


def test_of_several_targets_each_block_has_a_traversal_of_its_own():
    labels = np.resize(["HC", "BD", "SZ"], 50)
    model = SepVAE(**quick(salient_dim=6, shared_dim=2, background="HC", batch_size=16)).fit(X, labels)
    salient = model.encode(X).salient_mean[labels != "HC"]
    examples = make_examples(model, salient, ArraySource(X, labels), per_label=2)
    names = ["salient, shared", "salient of BD", "salient of SZ"]
    assert examples["traversal_names"].tolist() == [f"Component 1 of {name}" for name in names]
    variances = [
        np.linalg.eigvalsh(np.cov(salient[:, part].T.astype(float)))[-1]
        for part in model.salient_blocks_.values()
    ]
    shares = variances / salient.astype(float).var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(examples["traversal_shares"], shares, rtol=1e-4)
    s = salient.mean(axis=0, keepdims=True)  # at step 0, the same in each block
    at_mean = model.decode(model.encode(X[labels != "HC"][:1]).common_mean, s)[0]
    np.testing.assert_allclose(examples["traversals"][0, :, 3], np.stack([at_mean] * 3), atol=1e-5)
