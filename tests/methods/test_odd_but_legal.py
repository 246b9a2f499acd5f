"""Odd but legal data: the same codes as from plain arrays, or one line that says what is wanted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import DataConversionWarning

from sepvae import ContrastivePCA, ConVAE, MMcVAE, SepVAE
from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.errors import DataError, TrainingError

from ..helpers import quick

ESTIMATORS: list[Any] = [
    SepVAE(**quick()),
    ConVAE(**quick()),
    MMcVAE(**quick()),
    ContrastivePCA(2, 2),
]
X = np.random.default_rng(0).integers(0, 100, size=(40, 5)).astype(np.float64)
Y = np.arange(40) >= 20
IMAGES = np.random.default_rng(0).integers(0, 256, size=(40, 1, 16, 16), dtype=np.uint8)
WORDS = np.where(Y, "ill", "well")
FRAME = pd.DataFrame(X, columns=list("abcde"))


def vae(**keywords: Any) -> SepVAE:
    return SepVAE(**quick(**keywords))


def strided(x: np.ndarray, step: int) -> np.ndarray:
    view = np.zeros((2 * x.shape[0], 2 * x.shape[1]))[:: 2 * step, :: 2 * step]
    view[:] = x
    return view


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return vae().fit(X, Y).transform(X)


SAME = {
    **{dtype: X.astype(dtype) for dtype in ("f2", "f4", "i2", "u1", "u8", "g", ">f8", ">i2", "O", "U")},
    "strided": strided(X, 1),
    "reversed": strided(X, -1),
    "Fortran": np.asfortranarray(X),
    "read only": read_only(X),
    "lists": X.tolist(),
    "tensor": torch.from_numpy(X).float(),
    "tensor with gradient": torch.from_numpy(X).requires_grad_(),
    "tensor of bfloat16": torch.from_numpy(X).bfloat16(),
    "frame": FRAME,
    "frame of mixed types": FRAME.astype({"a": "int8", "b": "float16", "c": object, "d": "Int64"}),
    "frame with a category": FRAME.astype({"a": "category"}),
    "sparse frame": FRAME.astype(pd.SparseDtype(float)),
    "frame with numbers for names": FRAME.set_axis(range(5), axis=1),
}


@pytest.mark.parametrize("x", SAME.values(), ids=SAME)
def test_the_same_numbers_give_the_same_codes(x: Any, plain: np.ndarray) -> None:
    np.testing.assert_array_equal(vae().fit(x, Y).transform(x), plain)


def test_missing_cells_of_all_kinds_are_the_same() -> None:
    gap = X.copy()
    gap[3, :3] = np.nan
    frame = FRAME.astype({"a": "Int64", "b": "Float64", "c": object})
    frame.loc[3, ["a", "b", "c"]] = [pd.NA, pd.NA, None]
    np.testing.assert_array_equal(vae().fit(frame, Y).transform(frame), vae().fit(gap, Y).transform(gap))


REFUSED = {
    "text": (np.full(X.shape, "a"), "wanted numbers in column 0, got 'a'"),
    "dates": (np.full(X.shape, np.datetime64("2020-01-01")), "wanted numbers in column 0, got '2020-01-01"),
    "complex": (X + 1j, "Complex data not supported"),
    "masked": (np.ma.masked_greater(X, 90), "wanted an array without a mask"),
    "sparse": (scipy.sparse.csr_array(X), "wanted a dense array, got a sparse matrix"),
    "sparse tensor": (torch.from_numpy(X).to_sparse(), "wanted what numpy makes an array of, got Tensor"),
    "ragged": ([[1.0, 2.0], [3.0]] * 20, "wanted samples of one shape"),
    "huge integers": (np.full(X.shape, 10**400, dtype=object), "int too large"),
    "one axis": (X[0], "Reshape your data"),
    "nothing": (None, "wanted an array of samples or a source, got NoneType"),
    "no rows": (X[:0], "0 sample"),
    "no columns": (X[:, :0], "0 feature"),
    "constant": (np.ones_like(X), "no column of 5 varies"),
    "column of text": (FRAME.assign(b="f"), "wanted numbers in column 'b', got 'f'"),
    "column of dates": (
        FRAME.assign(b=pd.Timestamp("2020-01-01")),
        "wanted numbers in column 'b', got '2020",
    ),
    "column of no dates": (FRAME.assign(b=pd.NaT), "wanted numbers in column 'b', got 'datetime64"),
    "columns of one name": (FRAME.set_axis(list("aabcd"), axis=1), "'a' more than once"),
    "names of two types": (FRAME.set_axis(["a", "b", "c", 3, 4], axis=1), "string names"),
    "no pixels": (IMAGES[:, :, :0], r"wanted images, got none: shape \(40, 1, 0, 16\)"),
    "no channels": (IMAGES[:, :0], r"wanted images, got none: shape \(40, 0, 16, 16\)"),
    "no voxels": (np.zeros((40, 1, 8, 8, 0)), "wanted volumes, got none"),
    "large voxels": (np.full((40, 1, 8, 8, 8), 1e30), r"got values up to 1e\+30 in volume 0"),
    "six axes": (np.zeros((40, 1, 1, 8, 8, 8)), r"or volumes \(n, channels, d, h, w\), got shape"),
    "stream of other samples": (StreamSource(lambda r: X[r, :3], (5,), Y), r"read: wanted \(16, 5\)"),
}


@pytest.mark.parametrize(("x", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused_in_one_line(x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        vae().fit(x, Y)
    assert "\n" not in str(caught.value)


NEW = {
    "order": (FRAME[list("edcba")], "same order"),
    "more": (FRAME.assign(f=1), "unseen at fit time: - f"),
    "fewer": (X[:, :4], "X has 4 features, but SepVAE is expecting 5"),
    "none": (X[:0], "0 sample"),
    "none in a source": (ArraySource(X[:0], Y[:0]), "a source of none"),
    "none in a stream": (StreamSource(lambda rows: X[rows], (5,), []), "a source of none"),
    "images": (IMAGES, "Reshape your data"),
    "infinite": (np.full((1, 5), np.inf), "infinite values"),
    "far": (np.full((1, 5), 1e300), "once scaled"),
}


@pytest.mark.parametrize(("new", "message"), NEW.values(), ids=NEW)
def test_what_is_unlike_the_fit_is_refused_in_one_line(new: Any, message: str) -> None:
    model = vae().fit(FRAME if isinstance(new, pd.DataFrame) else X, Y)
    with pytest.raises(DataError, match=message) as caught:
        model.encode(new)
    assert "\n" not in str(caught.value)


def test_a_table_for_a_model_of_images_is_refused() -> None:
    with pytest.raises(DataError, match="fitted on samples of 1 x 16 x 16, got 5"):
        ContrastivePCA(2, 2).fit(IMAGES, Y).encode(X)


LABELS = {
    "int": Y.astype(int),
    "whole floats": Y.astype(float),
    "objects": Y.astype(int).astype(object),
    "nullable": pd.Series(Y, dtype="boolean"),
    "categorical": pd.Categorical(np.where(Y, "b", "a")),
    "strings": pd.Series(np.where(Y, "b", "a"), dtype="string"),
    "tensor": torch.from_numpy(Y),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels_of_all_types_are_taken(y: Any, plain: np.ndarray) -> None:
    model = vae().fit(X, y)
    np.testing.assert_array_equal(model.transform(X), plain)
    assert set(model.predict(X)) <= set(np.unique(np.asarray(y)))


BAD_LABELS = {
    "two columns": (np.stack([Y, Y], axis=1), r"y: wanted one for each sample, \(n,\), got shape \(40, 2\)"),
    "one number": (1, r"y: wanted one for each sample, \(n,\), got shape \(\)"),
    "ragged": ([[1], [1, 2]] * 20, "y: wanted one for each sample: setting an array element"),
    "fewer": (Y[:-1], r"labels: wanted one per sample \(40\), got 39"),
    "none": (None, "y: wanted a label for each row, got None"),
    "two types": (np.array([1, "a"] * 20, dtype=object), "labels: wanted all text, or all numbers"),
    "bytes": (WORDS.astype(bytes), "Unknown label type: .* got b'well'|got b'ill'"),
    "amounts": (np.linspace(0, 1, 40), "Unknown label type: .* got 0.025"),
    "infinite": (np.where(Y, np.inf, 0), "Unknown label type: .* got inf"),
    "dates": (np.where(Y, np.datetime64("2020-01-01"), np.datetime64("2021-01-01")), "got 2020-01-01"),
    "many": (np.arange(40), "wanted a background and at most 19 targets, got 40"),
    "NaN among text": ([*WORDS[:-1], np.nan], "y: 1 of 40 labels are missing"),
    "NA": (pd.Series([*Y[:-1], pd.NA], dtype="boolean"), "y: 1 of 40 labels are missing"),
}


@pytest.mark.parametrize(("y", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_what_is_no_label_is_refused_in_one_line(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        vae().fit(X, y)
    assert "\n" not in str(caught.value)


def test_missing_labels_and_groups_in_lists_of_text_stay_missing() -> None:
    missing = [*WORDS[:-1], float("nan")]
    with pytest.raises(DataError, match="y: 1 of 40 labels are missing"):
        vae().fit(ArraySource(X, missing))
    with pytest.raises(DataError, match="groups: 1 of 40 samples have none"):
        vae().fit(X, Y, groups=missing)


def test_a_column_of_labels_is_taken_with_a_warning(plain: np.ndarray) -> None:
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        model = vae().fit(X, Y[:, None], groups=np.arange(40)[:, None])
    np.testing.assert_array_equal(model.transform(X), plain)


def test_a_background_is_one_label() -> None:
    with pytest.raises(DataError, match=r"background: wanted one of ill, well, got \['ill', 'well'\]"):
        vae(background=["ill", "well"]).fit(X, WORDS)


STREAMS = {
    "reversed": (lambda x: x[:, :, ::-1], IMAGES[:, :, ::-1]),
    "read only": (read_only, IMAGES),
    "big-endian": (lambda x: (x / 255).astype(">f4"), IMAGES),
}


@pytest.mark.parametrize(("change", "same"), STREAMS.values(), ids=STREAMS)
def test_streams_may_give_any_view(change: Any, same: np.ndarray) -> None:
    source = StreamSource(lambda rows: change(IMAGES[rows]), (1, 16, 16), Y)
    codes = vae(num_workers=0).fit(source).transform(source)
    np.testing.assert_allclose(codes, vae().fit(same, Y).transform(same), atol=1e-5)


KEYWORDS: dict[str, tuple[dict[str, Any], str]] = {
    "seed of 41 bits": ({"random_state": 2**40}, "random_state: wanted a number below 4294967296"),
    "seed of 71 bits": ({"random_state": 2**70}, "random_state: wanted a number below 4294967296"),
    "dimensions": ({"salient_dim": 10**12}, "salient_dim: wanted a number below 100000"),
    "no epochs": ({"max_epochs": 0}, 'max_epochs: wanted a whole number of 1 or more, or "auto", got 0'),
    "no learning": ({"learning_rate": 0}, "learning_rate: wanted a number above 0, got 0"),
    "no early stop": ({"early_stopping": 1, "validation_fraction": 0}, "raise validation_fraction"),
}


@pytest.mark.parametrize(("keywords", "message"), KEYWORDS.values(), ids=KEYWORDS)
def test_keywords_beyond_their_range(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        vae(**keywords).fit(X, Y)


def test_a_seed_for_new_samples_is_checked() -> None:
    model = ContrastivePCA(2, 2).fit(X, Y)
    with pytest.raises(DataError, match="random_state: wanted a whole number of 0 or more, or None, got -1"):
        model.sample(2, random_state=-1)
    with pytest.raises(DataError, match="y: wanted 0 for background or 1 for target"):
        model.sample(2, y=np.array([0, 1]))  # type: ignore[arg-type]


def test_names_of_features_are_as_many_as_features() -> None:
    with pytest.raises(DataError, match=r"feature_names: wanted one for each .* got 3 for shape \(40, 5\)"):
        ArraySource(X, Y, feature_names=list("abc"))


def test_missing_values_in_a_stream_are_refused() -> None:
    gap = np.where(X[3, 1] == X, np.nan, X)
    source = StreamSource(lambda rows: gap[rows], (5,), Y)
    with pytest.raises(DataError, match="X: wanted finite samples"):
        ContrastivePCA(2, 2).fit(source)
    with pytest.raises(TrainingError, match="not finite in epoch 0, step 0"):
        vae().fit(source)


SIZES: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]] = {
    "1 feature": (X[:, :1], Y, {}),
    "1 dimension": (X, Y, {"common_dim": 1, "salient_dim": 1}),
    "more dimensions than features": (X, Y, {"common_dim": 9, "salient_dim": 7}),
    "batch larger than data": (X, Y, {"batch_size": 10_000}),
    "two of a label": (X, np.arange(40) > 37, {}),
    "2 against 1000": (np.resize(X, (1002, 5)) + np.arange(1002)[:, None], np.arange(1002) > 999, {}),
    "wide": (np.random.default_rng(0).normal(size=(20, 10_000)), Y[10:30], {}),
    "a row all missing": (np.where(np.arange(40)[:, None] == 3, np.nan, X), Y, {}),
    "1e300": (X * 1e298, Y, {}),
    "1e-310": (X * 1e-312, Y, {}),
}


@pytest.mark.parametrize(("x", "y", "keywords"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("method", [SepVAE, ConVAE, MMcVAE])
def test_odd_sizes_and_values_work(
    method: Any, x: np.ndarray, y: np.ndarray, keywords: dict[str, Any]
) -> None:
    model = method(**quick(**keywords)).fit(x, y)
    assert np.isfinite(model.transform(x)).all()
    assert model.reconstruct(x).shape == x.shape
    assert np.isfinite(model.reconstruct(x)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_what_is_all_missing_comes_back_missing(estimator: Any) -> None:
    x = X * [1, np.nan, 1, 1, 1]
    decoded = estimator.fit(x, Y).reconstruct(x)
    np.testing.assert_array_equal(np.isnan(decoded).any(axis=0), [False, True, False, False, False])
