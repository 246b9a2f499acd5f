"""One battery for every estimator: what users rely on, for tables and images."""

import pickle
import re
from inspect import cleandoc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae import (
    CLVM,
    ContrastivePCA,
    ConVAE,
    DoubleInfoGAN,
    MMcVAE,
    ProbabilisticContrastivePCA,
    RbVAE,
    SepCLR,
    SepVAE,
    load,
)
from sepvae.data import ArraySource
from sepvae.errors import DataError, TrainingError

from ..helpers import quick

Data = tuple[np.ndarray, np.ndarray]
SLOW = pytest.mark.slow
QUICK = quick(max_epochs=2, batch_size=16)
ESTIMATORS: list[Any] = [
    SepVAE(**QUICK),
    ConVAE(**QUICK),
    ConVAE(**QUICK, critic="original"),
    MMcVAE(**QUICK),
    MMcVAE(**QUICK, mmd="original"),
    CLVM(**QUICK),
    RbVAE(**QUICK),
    DoubleInfoGAN(**QUICK),
    SepCLR(**QUICK),
    ContrastivePCA(common_dim=2, salient_dim=2),
    ProbabilisticContrastivePCA(common_dim=2, salient_dim=2),
]
VAES = ESTIMATORS[:-2]


def name_of(estimator: Any) -> str:
    kind = getattr(estimator, "critic", getattr(estimator, "mmd", ""))
    return type(estimator).__name__ + "-original" * (kind == "original")


def each(estimators: list[Any]) -> list[Any]:
    """Parameters of tests: SepVAE and the linear method always, the others in `make test-slow`."""
    always = (SepVAE, ContrastivePCA)
    return [pytest.param(e, id=name_of(e), marks=[] if type(e) in always else SLOW) for e in estimators]


def tables(rng: np.random.Generator) -> Data:
    X = rng.normal(size=(40, 5))
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, np.repeat(["control", "patient"], 20)


def images(rng: np.random.Generator) -> Data:
    return rng.integers(0, 256, size=(40, 3, 16, 20), dtype=np.uint8), np.repeat(["control", "patient"], 20)


@pytest.fixture(scope="module", params=[tables, pytest.param(images, marks=SLOW)])
def data(request: pytest.FixtureRequest) -> Data:
    X, y = request.param(np.random.default_rng(0))
    X.setflags(write=False)
    return X, y


@pytest.fixture(scope="module", params=each(ESTIMATORS))
def fitted(request: pytest.FixtureRequest, data: Data) -> Any:
    """For tests that only read it."""
    return clone(request.param).fit(*data)


@pytest.fixture
def decoding(fitted: Any) -> Any:
    """For tests of what is decoded."""
    if not fitted.capabilities.decoder:
        pytest.skip("has no decoder")
    return fitted


@pytest.fixture(params=each(ESTIMATORS))
def estimator(request: pytest.FixtureRequest) -> Any:
    return clone(request.param)


@pytest.fixture(params=each(VAES))
def vae(request: pytest.FixtureRequest) -> Any:
    return clone(request.param)


def test_shapes(fitted: Any, data: Data) -> None:
    X, _ = data
    codes = fitted.encode(X)
    assert codes.common_mean.shape == codes.common_logvar.shape == (40, 2)
    assert codes.salient_mean.shape == codes.salient_logvar.shape == (40, 2)
    assert fitted.transform(X).shape == (40, 4)


def test_shapes_of_what_is_decoded(decoding: Any, data: Data) -> None:
    X, _ = data
    assert decoding.reconstruct(X).shape == decoding.swap(X, X[::-1]).shape == X.shape
    assert decoding.sample(3, y=1, random_state=0).shape == (3, *X.shape[1:])
    assert decoding.reconstruction_error(X).shape == (40,)


def test_inference_does_not_depend_on_the_rest_of_the_batch(fitted: Any, data: Data) -> None:
    X, _ = data
    whole, alone = fitted.encode(X), fitted.encode(X[7:8])
    np.testing.assert_allclose(whole.salient_mean[7:8], alone.salient_mean, rtol=1e-4, atol=1e-5)


def test_one_seed_one_result(vae: Any, data: Data) -> None:
    X, y = data
    first, second = clone(vae).fit(X, y), clone(vae).fit(X, y)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    other = clone(vae).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(first.transform(X), other.transform(X))


def test_global_generators_are_left_as_found(estimator: Any, data: Data) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    estimator.fit(*data)
    if estimator.capabilities.decoder:
        estimator.sample(2)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_save_and_load(fitted: Any, data: Data, tmp_path: Path) -> None:
    X, _ = data
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is type(fitted)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    if fitted.capabilities.decoder:
        np.testing.assert_array_equal(again.reconstruct(X), fitted.reconstruct(X))


def test_pickle(fitted: Any, data: Data) -> None:
    X, _ = data
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


def test_jupyter_shows_keywords_in_bounded_size(fitted: Any) -> None:
    html = fitted._repr_html_()
    assert "salient_dim" in html
    assert len(html) < 100_000  # most of it style sheets of scikit-learn


def test_jupyter_shortens_and_escapes_keywords() -> None:
    network = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(100)])
    html = SepVAE(network=network, residualise=["<script>"] * 10_000)._repr_html_()
    assert len(html) < 100_000
    assert "[<script>" not in html
    assert "&lt;script&gt;" in html


def test_swapping_with_oneself_is_reconstruction(decoding: Any, data: Data) -> None:
    X, _ = data
    np.testing.assert_array_equal(decoding.swap(X, X), decoding.reconstruct(X))


def test_background_and_target_samples_differ_by_the_salient_part(decoding: Any) -> None:
    background, target = (decoding.sample(4, y=group, random_state=0) for group in (0, 1))
    common = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    without = decoding.decode(common, np.zeros((4, 2), dtype=np.float32))
    np.testing.assert_allclose(background, without, rtol=1e-4, atol=1e-5)
    assert not np.allclose(background, target)


def test_only_codes_of_the_model_are_decoded(decoding: Any) -> None:
    codes = np.zeros((4, 2))
    assert len(decoding.decode(codes.tolist(), codes.tolist())) == 4
    for common, salient in ((codes, codes[:3]), (codes[:, :1], codes), (codes[0], codes[0]), (codes, 1.0)):
        with pytest.raises(DataError, match=r"common and salient: wanted codes of shapes \(n, 2\)"):
            decoding.decode(common, salient)


def test_labels_are_numbered_from_the_named_background(vae: Any, data: Data) -> None:
    X, y = data
    vae.set_params(background="patient").fit(X, y)
    assert list(vae.classes_) == ["control", "patient"]
    assert vae.background_ == "patient"
    swapped = clone(vae).set_params(background=None).fit(X, np.where(y == "patient", "a", "b"))
    np.testing.assert_allclose(vae.predict_proba(X)[:, 1], swapped.predict_proba(X)[:, 0], rtol=1e-5)


def test_a_source_fits_as_its_arrays_do(estimator: Any, data: Data) -> None:
    X, y = data
    groups = np.arange(40) // 2
    from_arrays = clone(estimator).fit(X, y, groups=groups)
    from_source = clone(estimator).fit(ArraySource(X, y, groups=groups))
    np.testing.assert_array_equal(from_arrays.transform(X), from_source.transform(ArraySource(X, y)))


def test_validation_keeps_groups_whole(vae: Any, data: Data) -> None:
    X, y = data
    groups = np.arange(40) // 4
    held_out = vae.set_params(validation_fraction=0.2).fit(X, y, groups=groups).validation_indices_
    assert 0 < len(held_out) < 40
    assert not set(groups[held_out]) & set(np.delete(groups, held_out))


def test_data_frames_and_set_output() -> None:
    X, y = tables(np.random.default_rng(0))
    frame = pd.DataFrame(X, columns=list("abcde"))
    out = clone(ESTIMATORS[0]).set_output(transform="pandas").fit(frame, y).transform(frame)
    assert list(out.columns) == ["common0", "common1", "salient0", "salient1"]


@pytest.mark.parametrize("space", ["common", "salient"])
def test_one_space(space: str) -> None:
    X, y = tables(np.random.default_rng(0))
    model = clone(ESTIMATORS[0]).set_params(space=space).set_output(transform="pandas").fit(X, y)
    assert list(model.transform(X).columns) == [f"{space}0", f"{space}1"]
    np.testing.assert_array_equal(model.transform(X), getattr(model.encode(X), f"{space}_mean"))


def test_it_works_in_a_pipeline() -> None:
    X, y = tables(np.random.default_rng(0))
    pipeline = make_pipeline(clone(ESTIMATORS[0]), StandardScaler(), LogisticRegression())
    assert cross_val_score(pipeline, X, y, cv=2, error_score="raise").shape == (2,)


def test_constant_columns_come_back_in_reconstructions() -> None:
    X, y = tables(np.random.default_rng(0))
    X[:, 2] = 7
    np.testing.assert_allclose(clone(ESTIMATORS[0]).fit(X, y).reconstruct(X)[:, 2], 7)


def test_the_scaler_sees_the_training_part_only() -> None:
    X, y = tables(np.random.default_rng(0))
    model = clone(ESTIMATORS[0]).set_params(validation_fraction=0.25).fit(X, y)
    training = np.delete(np.arange(40), model.validation_indices_)
    np.testing.assert_allclose(model.scaler_.mean_, np.nanmean(X[training], axis=0))


def test_uint8_images_are_the_same_as_floats() -> None:
    X, y = images(np.random.default_rng(0))
    model = clone(ESTIMATORS[0]).fit(X, y)
    np.testing.assert_allclose(model.transform(X), model.transform(X / 255), atol=1e-5)


BAD_IMAGES = {
    "channel axis": (np.zeros((4, 16, 16)), "give grey images a channel axis"),
    "volumes of integers": (np.zeros((4, 1, 16, 16, 16), int), "wanted volumes as floats, got int64"),
    "volumes with NaN": (np.full((4, 1, 16, 16, 16), np.nan), "NaN or infinite values, first in volume 0"),
    "channels last": (np.zeros((4, 16, 16, 3)), r"looks like channels last; give X.transpose\(0, 3, 1, 2\)"),
    "NaN": (np.full((4, 1, 16, 16), np.nan), "NaN or infinite values, first in image 0"),
    "range": (np.full((4, 1, 16, 16), 255.0), r"wanted images in \[0, 1\], got values from 255 to 255"),
    "integers": (np.zeros((4, 1, 16, 16), dtype=int), "wanted images as uint8 or as floats"),
    "none": (np.zeros((0, 1, 16, 16)), "wanted images, got none"),
    "small": (np.zeros((4, 1, 8, 16)), "wanted images of 16 x 16 or more"),
}


@pytest.mark.parametrize(("X", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images(X: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        clone(ESTIMATORS[0]).fit(X, [0, 0, 1, 1])


def test_weights_that_diverge_in_the_last_step_are_not_kept() -> None:
    X, y = tables(np.random.default_rng(0))
    with pytest.raises(TrainingError, match="lower learning_rate"):
        clone(ESTIMATORS[0]).set_params(learning_rate=1e12, max_epochs=1, batch_size=40).fit(X, y)


def test_images_in_a_source_are_checked_too() -> None:
    X, y = images(np.random.default_rng(0))
    with pytest.raises(DataError, match="NaN or infinite values, first in image 0"):
        clone(ESTIMATORS[0]).fit(ArraySource(np.full(X.shape, np.nan), y))


def test_inconsistent_shapes() -> None:
    X, y = images(np.random.default_rng(0))
    with pytest.raises(DataError, match="X: wanted samples of one shape, got several"):
        clone(ESTIMATORS[0]).fit([*X[:-1], X[-1][:, :5]], y)
    with pytest.raises(DataError, match=r"labels: wanted one per sample \(40\), got 39"):
        clone(ESTIMATORS[0]).fit(X, y[:-1])
    with pytest.raises(DataError, match="y: wanted a label for each image, got None"):
        clone(ESTIMATORS[0]).fit(X)


def test_torch_tensors_are_taken() -> None:
    X, y = images(np.random.default_rng(0))
    model = clone(ESTIMATORS[0]).fit(torch.from_numpy(X), y)
    np.testing.assert_array_equal(model.transform(torch.from_numpy(X)), model.transform(X))


def test_loggers_are_passed_on(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    model = clone(ESTIMATORS[0]).set_params(logger=logger).fit(*images(np.random.default_rng(0)))
    logged = pd.read_csv(Path(logger.log_dir) / "metrics.csv")["train_loss"].dropna()
    np.testing.assert_allclose(logged, model.history_["train_loss"], rtol=1e-4)


def test_images_of_another_size() -> None:
    X, y = images(np.random.default_rng(0))
    with pytest.raises(DataError, match="fitted on samples of 3 x 16 x 20, got 3 x 20 x 16"):
        clone(ESTIMATORS[0]).fit(X, y).encode(X.transpose(0, 1, 3, 2))


def test_infinite_values_in_tables_name_the_column() -> None:
    X, y = tables(np.random.default_rng(0))
    X[3, 1] = np.inf
    with pytest.raises(DataError, match="infinite values in column 'b'"):
        clone(ESTIMATORS[0]).fit(pd.DataFrame(X, columns=list("abcde")), y)


BAD_KEYWORDS = {
    "random_state": (-1, "random_state: wanted a whole number of 0 or more, or None, got -1"),
    "balanced": ("maybe", "balanced: wanted True or False, got 'maybe'"),
    "rectify_mi": ("maybe", "rectify_mi: wanted True or False"),
    "accelerator": ("abacus", "accelerator, devices, strategy or precision: .*abacus"),
    "common_dim": (0, "common_dim: wanted a whole number of 1 or more, got 0"),
    "space": ("all", "space: wanted one of both, common, salient"),
    "network": ("resnet", "network: wanted one for tables"),
    "background": ("nobody", "background: wanted one of control, patient, got 'nobody'"),
    "batch_size": (3, "batch_size: wanted 4 or more"),
    "validation_fraction": (1.0, "validation_fraction: wanted a number of 0 or more and below 1, got 1.0"),
    "beta_common": (-1, "beta_common: wanted a number of 0 or more, got -1"),
    "background_prior_var": (0, "background_prior_var: wanted a number above 0, got 0"),
    "reconstruction_var": (
        "learned",
        "reconstruction_var: wanted a number above 0, or 'learnt', got 'learned'",
    ),
}


@pytest.mark.parametrize("name", BAD_KEYWORDS)
def test_bad_keywords(name: str) -> None:
    value, message = BAD_KEYWORDS[name]
    with pytest.raises(DataError, match=message):
        clone(ESTIMATORS[0]).set_params(**{name: value}).fit(*tables(np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 40, "1 class only: a"),
        (["a"] * 20 + ["b"] * 19 + ["c"], "wanted two samples or more of each, got 1 of c"),
        (
            list(map(str, range(40))),
            "wanted a background and at most 19 targets, got 40 different ones: 0, 1",
        ),
        (["a"] * 39 + ["b"], "got 1 of b"),
        (["a"] * 20 + ["b"] * 19 + [None], "y: 1 of 40 labels are missing"),
    ],
)
def test_bad_labels(y: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        clone(ESTIMATORS[0]).fit(tables(np.random.default_rng(0))[0], y)


def test_presets_show_every_value() -> None:
    paper = SepVAE.from_preset("paper", max_epochs=100).get_params()
    assert (paper["beta_common"], paper["kappa"], paper["gamma"], paper["background_prior_var"]) == (
        0.5,
        2,
        1e-10,
        0.025,
    )
    assert (paper["network"], paper["max_epochs"], paper["reset_optimizer"]) == ("e1", 100, "epoch")
    assert SepVAE.from_preset("default").get_params() == SepVAE().get_params()
    with pytest.raises(DataError, match="preset: wanted one of default, paper, background-prior, got 'papr'"):
        SepVAE.from_preset("papr")


def test_every_method_explains_every_keyword() -> None:
    for method in {type(estimator) for estimator in ESTIMATORS}:
        text = cleandoc(str(method.__doc__))
        described = set(re.findall(r"^((?:\w+, )*\w+) : ", text.split("Attributes")[0], re.MULTILINE))
        assert {name for names in described for name in names.split(", ")} == set(method().get_params())
        assert "What all" not in text


def test_methods_differ_by_their_terms_only() -> None:
    """The same seed draws the same networks, sees the same batches, and adds the same noise."""
    X, y = tables(np.random.default_rng(0))
    off: dict[str, Any] = {"beta_common": 0, "beta_salient": 0}
    without = SepVAE.ablations["no CONS"] | {"background_posterior_var": "learnt"}
    sep = SepVAE(**QUICK, **off, **without, kappa=0, gamma=0).fit(X, y)
    con = ConVAE(**QUICK, **off, kappa=0).fit(X, y)
    mm = MMcVAE(**QUICK, **off, common_mmd=0, background_mmd=0).fit(X, y)
    np.testing.assert_array_equal(sep.transform(X), con.transform(X))
    np.testing.assert_array_equal(sep.transform(X), mm.transform(X))


def test_validation_terms_are_finite_though_data_come_sorted_by_label(vae: Any) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 5)), np.repeat(["control", "patient"], 200)
    history = vae.set_params(batch_size=20, validation_fraction=0.2, max_epochs=1).fit(X, y).history_
    validation = history.filter(like="validation_")
    assert validation.shape[1] > 5
    assert np.isfinite(validation.to_numpy()).all()


def test_presets_of_the_other_methods() -> None:
    paper = MMcVAE.from_preset("paper")
    assert (paper.common_mmd, paper.background_mmd, paper.mmd) == (1000 / 512, 100 / 512, "original")
    original = MMcVAE.from_preset("original")
    assert (original.common_mmd, original.background_mmd) == (10000 / 128, 1000 / 128)
    assert ConVAE.from_preset("paper").critic == "independent"
    assert ConVAE.from_preset("original").critic == "original"
    assert ContrastivePCA.from_preset("pca").alpha == 0
    assert ProbabilisticContrastivePCA.from_preset("ppca").gamma == 0


def test_gradient_norms_of_a_batch(vae: Any, data: Data) -> None:
    if not vae.capabilities.decoder:
        pytest.skip("its terms are others")
    X, y = data
    other = {RbVAE: "forward_kl", DoubleInfoGAN: "salient_information"}
    of_target = other.get(type(vae), "salient_kl_target")
    before = vae.fit(X, y).transform(X)
    norms = vae.gradient_norms(X, y).set_index("term")
    if of_target == "salient_kl_target":
        assert list(norms.index)[:3] == ["reconstruction", "common_kl", "salient_kl_target"]
        assert norms.loc["common_kl", "common_encoder"] > 0 == norms.loc["common_kl", "salient_encoder"]
    assert norms.loc[of_target, "salient_encoder"] > 0
    np.testing.assert_array_equal(vae.transform(X), before)
    one_group = vae.gradient_norms(X[:20], y[:20]).set_index("term")
    assert one_group.loc[of_target, "salient_encoder"] == 0
    with pytest.raises(DataError, match=r"wanted labels that were fitted \(control, patient\), got q"):
        vae.gradient_norms(X, np.repeat(["q", "z"], 20))
