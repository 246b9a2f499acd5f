"""
Run every method on data and keywords that are odd but legal, and list the outcomes.

Each case works, with finite codes and reconstructions of the right shapes, or is refused in one line. Every
other outcome is a fault: an error of another library, a warning, a number that is not finite, or codes that
differ from those of the same numbers as a plain array of float64. Faults are marked, and give exit status 1.

    python benchmarks/odd_but_legal.py --out docs/reliability.md
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from rich.console import Console
from rich.progress import track

from sepvae import ContrastivePCA, ConVAE, MMcVAE, SepVAE, load
from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.errors import CollapseWarning, SepVAEError

VAES = (SepVAE, ConVAE, MMcVAE)
ALL = (*VAES, ContrastivePCA)
QUICK = {"max_epochs": 1, "progress_bar": False, "accelerator": "cpu", "num_workers": 0}
BEGIN, END = "<!-- odd but legal: begin -->", "<!-- odd but legal: end -->"
# What scikit-learn has every estimator warn of.
COLUMN, NO_NAMES = "A column-vector y was passed", "X does not have valid feature names"
Cases = dict[str, dict[str, Any]]  # arguments of `works`, by what is odd in them


class FaultError(Exception):
    """What came is neither right nor refused."""


def works(
    method: type,
    X: Any,
    y: Any = None,
    groups: Any = None,
    *,
    new: Any = None,
    like: Any = None,
    gaps: bool = False,
    warns: str = "",
    **keywords: Any,
) -> str:
    """
    Fit, encode (the same, or what is new), decode, sample, save and load; say what came, if all is well.

    `like` are the same numbers as a plain array. With `gaps`, what is decoded may have some. `warns` begins
    the warning that is due.
    """
    keywords = (QUICK if method in VAES else {}) | {"common_dim": 2, "salient_dim": 2} | keywords
    seen = X if new is None else new
    with due(warns), tempfile.TemporaryDirectory() as folder:
        model = method(**keywords).fit(X, y, groups)
        again = load(model.save(Path(folder) / "model"))
        codes, decoded, errors = model.encode(seen), model.reconstruct(seen), model.reconstruction_error(seen)
        kept, sampled = again.encode(seen), model.sample(2, y=1, random_state=0)
        labels = (
            set(model.predict(seen)) if method in VAES and keywords.get("target") != "severity" else set()
        )
    dims = model.common_dim, model.salient_dim
    shapes = [array.shape for array in (codes.common_mean, codes.salient_mean)]
    want(shapes == [(len(decoded), dim) for dim in dims], f"codes of shapes {shapes}")
    want(
        decoded.shape[1:] in (model.sample_shape_, np.shape(X)[1:]),
        f"reconstructions of shape {decoded.shape}",
    )
    want(all(np.isfinite(part).all() for part in vars(codes).values()), "codes that are not finite")
    want(gaps or np.isfinite([*decoded.flat, *sampled.flat]).all(), "decoded what is not finite")
    want(np.isfinite(errors).all(), "errors that are not finite")
    want(np.array_equal(kept.salient_mean, codes.salient_mean), "other codes once saved and loaded")
    want(labels <= set(again.classes_), "labels that were not given")
    sizes = " x ".join(map(str, decoded.shape))
    said = f"works: codes {len(decoded)} x {dims[0]} and {len(decoded)} x {dims[1]}, decoded {sizes}"
    if like is not None:
        plain = method(**keywords).fit(like, y, groups).encode(like)
        want(np.array_equal(plain.salient_mean, codes.salient_mean), "other codes than from float64")
        said = "works: codes are the same as from a plain array of float64"
    said += "; what is all missing comes back as NaN" * gaps
    if getattr(model, "validation_fraction", 0) > 0 and not len(model.validation_indices_):
        said += "; too few samples or groups to set some aside for validation"
    return said + f"; scikit-learn's warning: {warns} .." * bool(warns)


def want(fine: Any, otherwise: str) -> None:
    """See that something holds."""
    if not fine:
        raise FaultError(otherwise)


@contextmanager
def due(message: str) -> Iterator[None]:
    """See that a warning is given that begins like this, if one should; others are errors already."""
    with warnings.catch_warnings(record=True) as given:
        if message:
            warnings.filterwarnings("always", message)
        yield
    want(bool(given) == bool(message), f"{len(given)} warnings")


def numbers(n: int = 40, features: int = 5, targets: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole numbers from 0 to 99, which all types of numbers can hold; the last rows are targets."""
    x = np.random.default_rng(0).integers(0, 100, size=(n, features))
    return x.astype(np.float64), np.arange(n) >= n - (n // 2 if targets is None else targets)


def pictures(*shape: int, n: int = 24) -> np.ndarray:
    """Draw images of all grey levels."""
    return np.random.default_rng(0).integers(0, 256, size=(n, *shape), dtype=np.uint8)


def volumes(*shape: int) -> np.ndarray:
    """Draw six volumes of one channel."""
    return np.random.default_rng(0).normal(size=(6, 1, *shape)).astype(np.float32)


def changed(x: np.ndarray, where: Any, value: Any) -> np.ndarray:
    """Give the same numbers but for some."""
    x = x.copy()
    x[where] = value
    return x


def strided(x: np.ndarray, step: int) -> np.ndarray:
    """Give the same numbers as a view of a larger array; from its end, where the step is negative."""
    view = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2 * step),) * x.ndim]
    view[:] = x
    return view


def mapped(x: np.ndarray) -> np.ndarray:
    """Give the same numbers in a file."""
    with tempfile.TemporaryFile() as file:
        file.write(x.tobytes())
        return np.memmap(file, x.dtype, "r", shape=x.shape)


def read_only(x: np.ndarray) -> np.ndarray:
    """Give the same numbers in an array that cannot be written."""
    x = x.copy()
    x.flags.writeable = False
    return x


def stream(x: np.ndarray, y: np.ndarray, change: Any = np.asarray) -> StreamSource:
    """Make a source that reads samples when they are taken, and makes something of them."""
    return StreamSource(lambda rows: change(x[rows]), x.shape[1:], y)


def sizes() -> Cases:
    """Few, many and rare samples; one dimension, and more than there are features."""
    X, y = numbers()
    (many, half), (rare, rarely) = numbers(50_000), numbers(10_010, targets=10)
    grey = pictures(1, 16, 16, n=40)
    table = {"X": X, "y": y}
    return {
        "50 000 samples of 5 features": {"X": many, "y": half},
        "50 000 samples, each a group of its own": {"X": many, "y": half, "groups": np.arange(50_000)},
        "1000 images of 16 x 16": {"X": pictures(1, 16, 16, n=1000), "y": np.arange(1000) % 2},
        "one sample a group": table | {"groups": np.arange(40)},
        "all samples in one group": table | {"groups": np.zeros(40)},
        "10 000 background, 10 target samples": {"X": rare, "y": rarely},
        "10 background, 10 000 target samples": {"X": rare, "y": ~rarely},
        "the same, balanced": {"X": rare, "y": ~rarely, "balanced": True, "methods": VAES},
        "one sample of a label": {"X": X, "y": np.arange(40) == 3},
        "two samples of each label": {"X": X[18:22], "y": y[18:22], "common_dim": 1, "salient_dim": 1},
        "one sample": {"X": X[:1], "y": y[:1]},
        "no samples": {"X": X[:0], "y": y[:0]},
        "no features": {"X": X[:, :0], "y": y},
        "no images": {"X": grey[:0], "y": y[:0]},
        "images of no pixels": {"X": grey[:, :, :0], "y": y},
        "1 feature": {"X": X[:, :1], "y": y},
        "20 samples of 10 000 features": {"X": numbers(20, 10_000)[0], "y": y[10:30]},
        "common_dim=1, salient_dim=1": table | {"common_dim": 1, "salient_dim": 1},
        "common_dim=1": table | {"common_dim": 1},
        "salient_dim=1": table | {"salient_dim": 1},
        "as many latent dimensions as features": table | {"common_dim": 1, "salient_dim": 4},
        "more latent dimensions than features": table | {"common_dim": 9, "salient_dim": 7},
        "encode one sample": table | {"new": X[:1]},
        "encode no samples": table | {"new": X[:0]},
        "encode no samples of a source": table | {"new": ArraySource(X[:0], y[:0])},
        "encode no samples of a stream": {"X": stream(grey, y), "new": stream(grey[:0], y[:0])},
    }


def values() -> Cases:
    """Values that are constant, missing, the same, very large or very small."""
    X, y = numbers()
    column = np.s_[:, 1]
    tables = {
        "a constant feature": X * [1, 0, 1, 1, 1],
        "all features constant": np.full_like(X, 7),
        "a sample all missing (NaN)": changed(X, 3, np.nan),
        "all missing (NaN)": np.full_like(X, np.nan),
        "every sample twice": np.repeat(X[::2], 2, axis=0),
        "all samples the same": np.repeat(X[:1], 40, axis=0),
        "all images the same": np.repeat(pictures(1, 16, 16, n=1), 40, axis=0),
        "values of 1e30": X * 1e28,
        "values of 1e-30": X * 1e-32,
        "values of 1e300": X * 1e298,
        "values of 1e-310": X * 1e-312,
        "1e30 beside 1e-30": X * [1e28, 1e-32, 1, 1, 1],
        "one value of 1e30": changed(X, (3, 1), 1e30),
        "an infinite value": changed(X, (3, 1), np.inf),
    }
    news = {
        "encode an infinite value": changed(X, (3, 1), -np.inf),
        "encode a value of 1e300": changed(X, (3, 1), 1e300),
        "encode what is all missing": np.full_like(X, np.nan),
    }
    return {
        "a feature all missing (NaN)": {"X": changed(X, column, np.nan), "y": y, "gaps": True},
        **{name: {"X": x, "y": y} for name, x in tables.items()},
        **{name: {"X": X, "y": y, "new": new} for name, new in news.items()},
    }


def types() -> Cases:
    """The same numbers in other types, layouts and containers."""
    X, y = numbers()
    dtypes = ("float16", "float32", "int16", "uint8", "uint64", "longdouble", ">f4", ">i2", "object", "str")
    forms = {
        **{dtype: X.astype(dtype) for dtype in dtypes},
        "every other row and column of an array": strided(X, 1),
        "negative strides": strided(X, -1),
        "Fortran order": np.asfortranarray(X),
        "read only": read_only(X),
        "memory-mapped": mapped(X),
        "lists of lists": X.astype(int).tolist(),
        "torch tensor of float64": torch.from_numpy(X),
        "torch tensor of float32": torch.from_numpy(X).float(),
        "torch tensor of bfloat16": torch.from_numpy(X).bfloat16(),
        "torch tensor that requires a gradient": torch.from_numpy(X).requires_grad_(),
    }
    refused = {
        "text": np.full(X.shape, "a"),
        "dates": np.full(X.shape, np.datetime64("2020-01-01")),
        "complex": X + 1j,
        "masked array": np.ma.masked_greater(X, 90),
        "sparse matrix": scipy.sparse.csr_array(X),
        "sparse torch tensor": torch.from_numpy(X).to_sparse(),
        "integers of 400 digits": np.full(X.shape, 10**400, dtype=object),
        "rows of several lengths": [[1.0, 2.0], [3.0]] * 20,
        "one row, as a list": X[0].tolist(),
        "a dictionary": {"a": [1, 2]},
        "None": None,
    }
    return {
        **{name: {"X": x, "y": y, "like": X} for name, x in forms.items()},
        "int16 below 0": {"X": (X - 50).astype(np.int16), "y": y, "like": X - 50},
        "bool": {"X": X > 50, "y": y, "like": (X > 50).astype(float)},
        **{name: {"X": x, "y": y} for name, x in refused.items()},
        "stream of rows with NaN": {"X": stream(changed(X, (3, 1), np.nan), y)},
        "stream of shorter rows than it says": {"X": stream(X, y, lambda x: x[:, :3])},
        "stream of read-only rows": {"X": stream(X / 100, y, read_only)},
        "fit float64, encode float32": {"X": X, "y": y, "new": X.astype(np.float32)},
        "fit 5 features, encode 4": {"X": X, "y": y, "new": X[:, :4]},
        "fit a table, encode images": {"X": X, "y": y, "new": pictures(1, 16, 16)},
        "fit a table, encode one row without its axis": {"X": X, "y": y, "new": X[0]},
    }


def frames() -> Cases:
    """DataFrames: types of columns, names of columns, covariates."""
    X, y = numbers()
    frame = pd.DataFrame(X, columns=list("abcde"))
    gap = frame.astype({"a": "Int64", "b": "Float64", "c": object})
    gap.loc[3, ["a", "b", "c"]] = [pd.NA, pd.NA, None]
    forms = {
        "DataFrame": frame,
        "DataFrame of mixed types": frame.astype({"a": "int8", "b": "float16", "c": object, "d": "Int64"}),
        "DataFrame with integers for names of columns": frame.set_axis(range(5), axis=1),
        "DataFrame with an index of zeros": frame.set_axis(np.zeros(40)),
        "DataFrame of sparse columns": frame.astype(pd.SparseDtype(float)),
        "DataFrame with a categorical column of numbers": frame.astype({"b": "category"}),
        "DataFrame with two columns of one name": frame.set_axis(list("aabcd"), axis=1),
        "DataFrame with text and numbers for names of columns": frame.set_axis(["a", "b", "c", 3, 4], axis=1),
        "DataFrame with a categorical column of text": frame.assign(b=pd.Categorical(["f", "m"] * 20)),
        "DataFrame with a column of text": frame.assign(b="f"),
        "DataFrame with a column of dates": frame.assign(b=pd.Timestamp("2020-01-01")),
        "a Series": frame["a"],
    }
    news = {
        "columns in another order": frame[list("edcba")],
        "a column more": frame.assign(f=1),
        "other names": frame.set_axis(list("vwxyz"), axis=1),
    }
    outs = {
        "a covariate": frame,
        "a covariate that is constant": frame.assign(a=1),
        "a covariate that is all missing": frame.assign(a=np.nan),
        "a covariate of several columns": frame.set_axis(list("aabcd"), axis=1),
        "a covariate of an array": X,
        "a covariate of rows of several lengths": [[1.0, 2.0], [3.0]] * 20,
        "a covariate of images": pictures(1, 16, 16),
    }
    named = {"X": frame, "y": y}
    return {
        **{name: {"X": x, "y": y, "like": X} for name, x in forms.items()},
        "DataFrame of Int64, Float64 and objects, with NA and None": {
            **{"X": gap, "y": y, "like": changed(X, np.s_[3, :3], np.nan)}
        },
        **{f"fit a DataFrame, encode one with {name}": named | {"new": new} for name, new in news.items()},
        "fit a DataFrame, encode an array": named | {"new": X, "warns": NO_NAMES},
        **{f"take out {name}": {"X": x, "y": y, "residualise": ["a"]} for name, x in outs.items()},
    }


def labels() -> Cases:
    """Labels and groups of all types, missing ones, and too few or too many."""
    X, y = numbers()
    grey, words = pictures(1, 16, 16, n=40), np.where(y, "ill", "well")
    missing = [*words[:-1], np.nan]
    given = {
        "bool": y,
        "int": y.astype(int),
        "uint8": y.astype(np.uint8),
        "whole floats": y.astype(float),
        "a list of str": words.tolist(),
        "numpy str": words,
        "numpy bytes": words.astype(bytes),
        "objects of str": words.astype(object),
        "objects of int": y.astype(int).astype(object),
        "a categorical": pd.Categorical(words),
        "a categorical Series": pd.Series(pd.Categorical(words)),
        "a Series of Int64": pd.Series(y.astype(int), dtype="Int64"),
        "a Series of boolean": pd.Series(y, dtype="boolean"),
        "a Series of string": pd.Series(words, dtype="string"),
        "a torch tensor": torch.from_numpy(y),
        "two columns": np.stack([y, y], axis=1),
        "floats with NaN": np.where(y, 1.0, np.nan),
        "a list of str with None": [*words[:-1], None],
        "a list of str with NaN": missing,
        "a Series of Int64 with NA": pd.Series([*y.astype(int)[:-1], pd.NA], dtype="Int64"),
        "numbers and text": np.array([1, "a"] * 20, dtype=object),
        "one fewer": y[:-1],
        "one more": [*y, True],
        "none": None,
        "one number": 1,
        "three": np.arange(40) % 3,
        "all the same": np.zeros(40),
        "all different": np.arange(40),
        "amounts": np.linspace(0, 1.5, 40),
        "infinite": np.where(y, np.inf, 0),
        "dates": np.where(y, np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
    }
    groups = np.repeat([f"p{i}" for i in range(10)], 4).tolist()
    grouped = {
        "one fewer": groups[:-1],
        "a list of str with NaN": [*groups[:-1], np.nan],
        "two columns": np.ones((40, 2)),
        "a column": np.arange(40)[:, None],
        "a DataFrame of one column": pd.DataFrame({"patient": groups}),
        "numbers and text": np.array([1, "a", 2, "b"] * 10, dtype=object),
    }
    severity = {"X": X, "target": "severity", "methods": (SepVAE,)}
    return {
        **{f"labels: {name}": {"X": X, "y": some} for name, some in given.items()},
        "labels: a column": {"X": X, "y": y[:, None], "warns": COLUMN},
        "labels: one more than images": {"X": grey, "y": [*y, True]},
        "labels: a source's, with NaN": {"X": ArraySource(X, missing)},
        "labels: a stream's, with None": {"X": stream(grey, np.array([*words[:-1], None]))},
        "background='0' of labels 0 and 1": {"X": X, "y": y.astype(int), "background": "0"},
        "two backgrounds": {"X": X, "y": words, "background": ["ill", "well"]},
        **{f"groups: {name}": {"X": X, "y": y, "groups": some} for name, some in grouped.items()},
        "target='severity'": severity | {"y": np.linspace(-1, 1, 40).clip(0)},
        "target='severity', none at 0": severity | {"y": np.linspace(0.1, 1, 40)},
        "target='severity', labels of bool": severity | {"y": y},
    }


def images() -> Cases:
    """Images and volumes in other types, layouts, ranges and sizes."""
    grey, y = pictures(1, 16, 16), np.arange(24) % 2
    unit, boxes = grey / 255, volumes(32, 32, 32)
    forms = {
        "of floats in [0, 1]": unit,
        "of float16": unit.astype(np.float16),
        "of big-endian floats": unit.astype(">f8"),
        "of negative strides": strided(unit, -1),
        "in Fortran order": np.asfortranarray(grey),
        "that are read only": read_only(grey),
        "that are memory-mapped": mapped(grey),
        "as lists": unit.tolist(),
        "as a torch tensor that requires a gradient": torch.from_numpy(unit).requires_grad_(),
        "of floats in [0, 255]": grey.astype(float),
        "of values below 0": unit - 0.5,
        "of int16": grey.astype(np.int16),
        "of bool": grey > 128,
        "of objects": unit.astype(object),
        "with NaN": changed(unit, (3, 0, 2, 2), np.nan),
        "with an infinite value": changed(unit, (3, 0, 2, 2), np.inf),
        "of values of 1e-30": unit * 1e-30,
        "all black": np.zeros_like(grey),
        "of 1 pixel": grey[..., :1, :1],
        "of 8 x 8": grey[..., :8, :8],
        "of 17 x 41": pictures(1, 17, 41),
        "of 2 channels": pictures(2, 16, 16),
        "of 4 channels": pictures(4, 16, 16),
        "of 5 channels": pictures(5, 16, 16),
        "of no channels": grey[:, :0],
        "with channels last": pictures(16, 16, 3),
        "without channels": grey[:, 0],
    }
    of_volumes = {
        "of 32 x 32 x 32": boxes,
        "of float16": boxes.astype(np.float16),
        "of 33 x 40 x 36": volumes(33, 40, 36),
        "of 16 x 32 x 32": boxes[:, :, :16],
        "of no voxels": boxes[..., :0],
        "of uint8": boxes.astype(np.uint8),
        "with NaN": changed(boxes, (3, 0, 2, 2, 2), np.nan),
        "of values of 1e30": boxes * 1e30,
        "of six axes": boxes[None],
    }
    cheap = {"y": np.arange(6) % 2, "common_dim": 1, "salient_dim": 1, "methods": (SepVAE, ContrastivePCA)}
    plain = {"X": grey, "y": y}
    return {
        "images of uint8": plain,
        **{f"images {name}": {"X": x, "y": y} for name, x in forms.items()},
        "a stream of images of negative strides": {"X": stream(unit, y, lambda x: x[:, :, ::-1])},
        "a stream of read-only images": {"X": stream(grey, y, read_only)},
        "a stream of big-endian images": {"X": stream(unit, y, lambda x: x.astype(">f4"))},
        "network='mlp' for images": plain | {"network": "mlp", "methods": VAES},
        "network='release', for 64 x 64, on 16 x 16": plain | {"network": "release", "methods": VAES},
        "fit uint8 images, encode floats": plain | {"new": unit},
        "fit images, encode others of 20 x 16": plain | {"new": pictures(1, 20, 16)},
        "fit images, encode a table": plain | {"new": numbers()[0]},
        **{f"volumes {name}": cheap | {"X": x} for name, x in of_volumes.items()},
    }


def keywords() -> Cases:
    """Keywords at and beyond the ends of their ranges."""
    X, y = numbers()
    of_vaes: dict[str, tuple[Any, ...]] = {
        "batch_size": (10_000, 4, 3, 0, 8.0, np.int64(8)),
        "max_epochs": (1, 0, np.int64(1)),
        "learning_rate": (0, 1e-30, 1e10, np.float32(0.001), float("nan")),
        "validation_fraction": (0, 0.99, 1),
        "early_stopping": (1, 0),
        "beta_common": (0, 1e30),
        "reconstruction_var": (1e-30, 1e30),
        "gradient_clip_val": (1e-30,),
        "precision": ("bf16-true", "64-true"),
    }
    of_all: dict[str, tuple[Any, ...]] = {
        "common_dim": (0, np.int32(2)),
        "salient_dim": (True, 2.5, 10**12),
        "random_state": (None, np.int64(3), 2**32 - 1, 2**40, 2**70, -1),
        "space": ("salient", None),
        "background": (None, True),
    }
    of_pca = {"alpha": (0, 1e30, "auto", -1)}
    table = {"X": X, "y": y}
    return {
        f"{name}={value!r}": table | {name: value, "methods": methods}
        for methods, ranges in ((VAES, of_vaes), (ALL, of_all), ((ContrastivePCA,), of_pca))
        for name, ends in ranges.items()
        for value in ends
    } | {
        "validation_fraction=0, early_stopping=1": {
            **table,
            **{"validation_fraction": 0, "early_stopping": 1, "methods": VAES},
        }
    }


SECTIONS = {
    "Sizes": sizes,
    "Values": values,
    "Types of numbers": types,
    "DataFrames": frames,
    "Labels and groups": labels,
    "Images and volumes": images,
    "Keywords": keywords,
}


def outcome(method: type, case: dict[str, Any]) -> str:
    """Run a case with all warnings but ours as errors, and say what happens."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CollapseWarning)
        try:
            return works(method, **case)
        except SepVAEError as error:
            line = str(error).replace(method.__name__, "the method")
            return f"FAULT: several lines: {line!r}" if "\n" in line else f"refused: {line}"
        except Exception as error:  # that nothing else comes is what is tried here
            return f"FAULT: {type(error).__name__}: {' '.join(str(error).split())}"


def told(case: dict[str, Any]) -> str:
    """Say what happens in all methods, and in which where they differ."""
    found: dict[str, list[str]] = {}
    methods = case.get("methods", ALL)
    for method in methods:
        what = outcome(method, {name: given for name, given in case.items() if name != "methods"})
        found.setdefault(what, []).append(method.__name__)
    if len(found) == 1 and methods == ALL:
        return next(iter(found))
    return "<br>".join(f"{', '.join(names)}: {what}" for what, names in found.items())


def main() -> None:
    """Run all cases; print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--out", type=Path, help="a page with the two comments between which the table stands"
    )
    parser.add_argument("--only", default="", help="cases that have this in their name")
    asked = parser.parse_args()
    lines, faults = ["| case | what happens |", "|---|---|"], 0
    for section, make in SECTIONS.items():
        cases = {name: case for name, case in make().items() if asked.only in name}
        lines += [f"| **{section}** | |"] * bool(cases)
        for name, case in track(cases.items(), section, len(cases), console=Console(stderr=True)):
            what = told(case).replace("|", "\\|")
            faults += "FAULT" in what
            lines.append(f"| {name} | {what} |")
    table = "\n".join(lines) + "\n"
    if asked.out is None:
        print(table)
    else:
        before, rest = asked.out.read_text().split(BEGIN)
        asked.out.write_text(f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}")
    print(f"{faults} faults", file=sys.stderr)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
