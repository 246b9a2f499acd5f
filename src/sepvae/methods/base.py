"""`ContrastiveEstimator`, the base of all methods: fit, encode, reconstruct, swap, sample and save."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.checks import check_choice, check_images, check_number, check_volumes, order_labels
from sepvae.codes import Codes, Space, code_names
from sepvae.data.arrays import ArraySource, as_array, as_column
from sepvae.data.frames import numbers_of
from sepvae.data.residuals import Residualizer
from sepvae.data.tables import TableScaler
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.methods._covariates import check_feature_names, covariate_names, is_source, split_covariates
from sepvae.methods.storing import save_estimator
from sepvae.model_files.schema import Shapes

FloatArray = npt.NDArray[Any]
SEEDS = 2**32  # scikit-learn takes seeds below this
MOST_DIM = 100_000  # codes have fewer dimensions than this
TABLE_ROWS, IMAGES = 2048, 128  # per chunk: larger chunks take more memory and no less time


@dataclass(frozen=True)
class Capabilities:
    """What a method can do, for callers that treat methods alike; the class attribute `capabilities`."""

    decoder: bool = True  # decodes codes: reconstructions, swaps, samples, maps
    epochs: bool = False  # trains by epochs, with the keywords of `ContrastiveVAE`, and has a `history_`
    critic: bool = False  # trains a critic of the mutual information of c and s
    several_targets: bool = False  # takes more than one target label


@dataclass(eq=False, repr=False)
class ContrastiveEstimator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """
    Base of all methods: fit, encode, reconstruct, swap, sample and save.

    A method is a dataclass whose fields are its keywords, in addition to these. It implements `_learn`,
    `_encode`, `_decode`, `_state`, `_state_shapes` and `_set_state`.
    """

    common_dim: int = 16
    salient_dim: int = 16
    _: KW_ONLY
    background: Any = None
    space: Space = "both"
    residualise: Sequence[str] | None = None
    random_state: int | None = 0

    capabilities: ClassVar[Capabilities] = Capabilities()
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    ablations: ClassVar[dict[str, dict[str, Any]]] = {}  # keywords that leave out a loss term
    not_saved: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[dict[str, Any]] = {}  # values of keywords that older model files lack

    def _learn(self, source: Source, y: AnyArray, parts: tuple[IntArray, IntArray], seed: int) -> None:
        """Learn from standardised samples; y = 0 is background, parts are (training, validation)."""
        raise NotImplementedError

    def _encode(self, source: Source) -> Codes[FloatArray]:
        raise NotImplementedError

    def _decode(self, common: FloatArray, salient: FloatArray) -> FloatArray:
        raise NotImplementedError

    def _state(self) -> dict[str, AnyArray]:
        """Return the learnt arrays by name."""
        raise NotImplementedError

    def _state_shapes(self, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...]) -> Shapes:
        """Return the expected shape and NumPy kinds of each array of `_state`, before a file's are used."""
        raise NotImplementedError

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:
        """Restore the arrays of `_state`, with the shape of samples that `_learn` saw."""
        raise NotImplementedError

    @classmethod
    def from_preset(cls, preset: str, **keywords: Any) -> Self:
        """
        Return an estimator with a named set of keywords.

        Parameters
        ----------
        preset : str
            A key of `presets`.
        **keywords : object
            Other keywords, which override the preset.

        Returns
        -------
        Self
            Not fitted; `get_params` shows every value.

        Raises
        ------
        DataError
            If the preset does not exist.
        """
        if preset not in cls.presets:
            raise DataError(f"preset: wanted one of {', '.join(cls.presets)}, got {preset!r}")
        return cls(**cls.presets[preset] | keywords)

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Self:
        """
        Learn both spaces.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            A table of shape (n, features), as an array or a DataFrame (of pandas, polars, pyarrow, ..); NaN
            is a missing value, and column names are kept. Or images of shape (n, channels, h, w), as uint8
            or as floats in [0, 1]. Or volumes of shape (n, channels, d, h, w), as floats, each of mean 0 and
            standard deviation 1. Or a source, which provides its labels and groups.
        y : array-like of shape (n,)
            Two labels, background and target.
        groups : array-like of shape (n,), default=None
            Groups of samples that must not be split between training and validation: patients, mice.

        Returns
        -------
        Self
            The fitted estimator.

        Raises
        ------
        DataError
            If the data or a keyword cannot be used.
        TrainingError
            If a loss term becomes non-finite.
        """
        self._fit(X, y, groups)
        return self

    def fit_encode(self, X: Any, y: Any = None, groups: Any = None) -> Codes[FloatArray]:
        """
        Learn both spaces, and return the codes of the same samples.

        With `residualise`, these codes differ from those of `encode`, which treats every sample as new.
        Controls that a regression was fitted on have residuals that are too small, which distinguishes them
        from patients. Here each of these controls gets the residual of a regression without it. Fit probes
        on these codes.

        Parameters
        ----------
        X, y, groups : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        Codes of ndarray
            As from `encode`, in the order of X.

        Raises
        ------
        DataError, TrainingError
            As from `fit`.
        """
        return self._encode(self._fit(X, y, groups))

    def fit_transform(self, X: Any, y: Any = None, groups: Any = None) -> FloatArray:
        """
        Learn both spaces, and return the posterior means of the same samples.

        Parameters
        ----------
        X, y, groups : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, dimensions)
            As from `transform`, for the codes of `fit_encode`.
        """
        return self._means(self.fit_encode(X, y, groups))

    def _fit(self, X: Any, y: Any, groups: Any) -> Source:
        """Fit, and return the samples as the network saw them."""
        source, labels, groups, covariates = self._input_for_fit(X, y, groups)
        classes, order, y = self._encode_labels(labels)
        self._check_keywords(y)
        seed = self._seed()
        parts = self._parts(np.ceil(y).astype(np.int64), groups, seed)
        self.background_, self.validation_indices_ = classes[order[0]], parts[1]
        self.classes_ = classes
        self.sample_shape_, self.grid_ = source.sample_shape, source.grid
        self.residualizer_: Residualizer | None = None
        self.scaler_: TableScaler | None = None
        if isinstance(source, ArraySource) and source.x.ndim == 2:
            source = ArraySource(
                self._standardised(source.x, covariates, y, parts[0]), labels, ids=source.ids
            )
        self._learn(source, y, parts, seed)
        self._order = order  # last: its presence marks the estimator as fitted
        return source

    def encode(self, X: Any) -> Codes[FloatArray]:
        """
        Return the codes of samples; labels are not needed.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        Codes of ndarray
            Posterior means and log-variances, of shapes (n, common_dim) and (n, salient_dim).
        """
        return self._encode(self._input(X))

    def transform(self, X: Any) -> FloatArray:
        """
        Return the posterior means of both spaces, or of the one in keyword `space`.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, dimensions)
            Columns are named by `get_feature_names_out`; `set_output` makes it a DataFrame.
        """
        return self._means(self.encode(X))

    def _means(self, codes: Codes[FloatArray]) -> FloatArray:
        """Return the posterior means of the spaces in keyword `space`."""
        spaces = {"common": [codes.common_mean], "salient": [codes.salient_mean]}
        return np.concatenate(spaces.get(self.space, [codes.common_mean, codes.salient_mean]), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> AnyArray:  # noqa: ARG002
        """
        Return the column names of `transform`: common0, .., salient0, ...

        Parameters
        ----------
        input_features : object, default=None
            Ignored; scikit-learn passes it.

        Returns
        -------
        ndarray of str
            One name per column.
        """
        check_is_fitted(self)
        return np.array(code_names(self.common_dim, self.salient_dim, self.space), dtype=object)

    def decode(self, common: FloatArray, salient: FloatArray, *, standardised: bool = False) -> FloatArray:
        """
        Decode codes, such as posterior means from `encode` of which some were changed.

        Parameters
        ----------
        common : ndarray of shape (n, common_dim)
            Common codes.
        salient : ndarray of shape (n, salient_dim)
            Salient codes; zeros are s' = 0, that of the background.
        standardised : bool, default=False
            Return tables as the network sees them: standardised, without effects of covariates.

        Returns
        -------
        ndarray of shape (n, ...)
            In the units of X unless `standardised`; residualised tables are those of an average control.
        """
        check_is_fitted(self)
        decoded = self._decode(common, self._gate_salient(salient))
        return decoded if standardised else self._in_units(decoded)

    def prepare(self, X: Any) -> Source:
        """
        Return samples as the network sees them.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        Source
            Tables residualised, imputed and standardised; images and volumes as they are.

        Raises
        ------
        DataError
            If the samples do not match those that were fitted on.
        """
        return self._input(X)

    def reconstruct(self, X: Any, salient: Literal["own", "none"] = "own") -> FloatArray:
        """
        Decode the codes of samples, with their salient part or without it.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.
        salient : {"own", "none"}, default="own"
            "own" decodes [c, s], "none" decodes [c, s' = 0].

        Returns
        -------
        ndarray of the shape of X
            In the units of X: images in [0, 1], volumes normalised like the input.
        """
        check_choice("salient", salient, ("own", "none"))
        codes = self.encode(X)
        kept = self._gate_salient(codes.salient_mean) * (salient == "own")
        return self._in_units(self._decode(codes.common_mean, kept), self._split_covariates(X)[1])

    def reconstruction_error(self, X: Any, salient: Literal["own", "none"] = "own") -> FloatArray:
        """
        Return the mean squared error of reconstructions, per pixel, valid voxel or feature.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.
        salient : {"own", "none"}, default="own"
            As in `reconstruct`.

        Returns
        -------
        ndarray of shape (n,)
            Errors of images in [0, 1], or of tables in standardised units with missing values imputed.
        """
        check_choice("salient", salient, ("own", "none"))
        source = self._input(X)
        codes = self._encode(source)
        common, kept = codes.common_mean, self._gate_salient(codes.salient_mean) * (salient == "own")
        errors = []
        values = np.prod(self.sample_shape_ if self.grid_ is None else self.grid_.valid_mask.sum())
        if self.scaler_ is not None:
            values = self.scaler_.kept_.sum()
        with self._inference():
            for part in chunks(len(source), self._chunk_rows()):
                decoded = self._decode(common[part], kept[part])
                x = in_unit_range(source.take(part).x)
                errors.append(((x - decoded) ** 2).reshape(len(part), -1).sum(axis=1) / values)
        return np.concatenate(errors)

    def swap(self, a: Any, b: Any) -> FloatArray:
        """
        Decode the common part of `a` with the salient part of `b`.

        Parameters
        ----------
        a, b : array-like, DataFrame or Source
            As in `fit`, of the same length.

        Returns
        -------
        ndarray of the shape of `a`
            Decoded [c_a, s_b], in the units of X; residualised tables get the covariates of `a` back.
        """
        common, salient = self.encode(a).common_mean, self.encode(b).salient_mean
        if len(common) != len(salient):
            sizes = f"{len(common)} and {len(salient)}"
            raise DataError(f"swap: wanted as many samples in a as in b, got {sizes}")
        return self._in_units(self._decode(common, self._gate_salient(salient)), self._split_covariates(a)[1])

    def sample(self, n: int, y: float | str = 0, random_state: int | None = None) -> FloatArray:
        """
        Return new samples, decoded from codes drawn from the priors.

        Parameters
        ----------
        n : int
            Number of samples.
        y : float or str, default=0
            0 for background (s' = 0) or 1 for target (s from N(0, I)), whatever the labels are; or a label
            that is text, such as "autism". If severities were fitted, a severity.
        random_state : int or None, default=None
            Seed; None draws one.

        Returns
        -------
        ndarray of shape (n, ...)
            In the units of X; images in [0, 1]. Residualised tables are those of an average control.
        """
        check_is_fitted(self)
        check_number("n", n, least=1, whole=True)
        deviation = self._salient_prior_std(self._group_of(y) if isinstance(y, str) else y)
        if random_state is not None:
            check_number("random_state", random_state, least=0, whole=True, or_else="None")
        rng = np.random.default_rng(random_state)
        common, salient = rng.normal(size=(n, self.common_dim)), rng.normal(size=(n, self.salient_dim))
        return self._in_units(self._decode(common, salient * deviation))

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """
        Write the fitted estimator to a folder: weights as safetensors, all else as JSON.

        Parameters
        ----------
        path : str or Path
            The folder; it must not exist unless `overwrite` is True.
        overwrite : bool, default=False
            Replace an existing model after the new one is completely written.

        Returns
        -------
        Path
            The folder, for `sepvae.load`.

        Raises
        ------
        ModelFileError
            If the folder exists and `overwrite` is False, if it holds anything but a model, or if this is a
            class of your own with the name of a method of sepvae.
        """
        check_is_fitted(self)
        return save_estimator(self, Path(path), overwrite=overwrite)

    def is_first_process(self) -> bool:
        """
        Return whether this process writes files, prints and continues after the fit.

        Returns
        -------
        bool
            True: no other process takes part.
        """
        return True

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_order")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        # y has two classes, even if the method does not predict them.
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _seed(self) -> int:
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(self.random_state)

    def _encode_labels(self, labels: AnyArray) -> tuple[AnyArray, IntArray, AnyArray]:
        """Return sorted labels, their order with the background first, and samples' indices in that order."""
        classes, order = order_labels(labels, self.background)
        return classes, order, np.argsort(order)[np.searchsorted(classes, labels)].astype(np.int64)

    def _check_keywords(self, y: AnyArray) -> None:
        """Raise DataError for values that would fail later with a less clear message."""
        rarest = np.bincount(np.ceil(y).astype(np.int64)).min()
        if rarest < 2:
            raise DataError(f"labels: wanted two samples or more of each, got {rarest} of one")
        for name in ("common_dim", "salient_dim"):
            check_number(name, getattr(self, name), least=1, whole=True)
            check_number(name, getattr(self, name), below=MOST_DIM)
        if self.random_state is not None:
            check_number("random_state", self.random_state, least=0, whole=True, or_else="None")
            check_number("random_state", self.random_state, below=SEEDS)
        check_choice("space", self.space, ("both", "common", "salient"))

    def _parts(self, group: IntArray, groups: AnyArray, seed: int) -> tuple[IntArray, IntArray]:  # noqa: ARG002
        """Return the positions for training and for validation: here all, and none."""
        return np.arange(len(group)), np.arange(0)

    def _input_for_fit(
        self, X: Any, y: Any, groups: Any
    ) -> tuple[Source, AnyArray, AnyArray, pd.DataFrame | None]:
        """Convert data to source, labels, groups and covariates; set `n_features_in_` and feature names."""
        features, covariates = split_covariates(X, covariate_names(self.residualise))
        grid, ids = (X.grid, X.ids) if is_source(X) else (None, None)
        if is_source(X):
            y, groups = X.labels, X.groups
        stream = is_source(X) and not isinstance(X, ArraySource)
        x = None if stream else self._checked(_as_array(features), reset=True, ensure_min_samples=2)
        if y is None:
            what = "image" if x is not None and x.ndim > 2 else "row"
            raise DataError(f"y: wanted two labels, one for each {what}, got None; y should be a 1d array")
        labels = as_column("y", y)
        if labels.ndim == 2:  # scikit-learn requires this warning of all estimators
            told = "A column-vector y was passed when a 1d array was expected; give y.ravel()"
            warnings.warn(told, DataConversionWarning, stacklevel=3)
        labels = labels.ravel()
        if missing := int(pd.isna(labels).sum()):
            raise DataError(f"y: {missing} of {len(labels)} labels are missing; leave those samples out")
        if x is None:
            return X, labels, groups, None
        groups = None if groups is None else as_column("groups", groups).ravel()
        source = ArraySource(x, labels, ids=ids, groups=groups, grid=grid)
        return source, source.labels, source.groups, covariates

    def _input(self, X: Any) -> Source:
        """Convert data to a source of network inputs; raise DataError unless it matches the fitted data."""
        check_is_fitted(self)
        if is_source(X):
            if not len(X):
                raise DataError("X: wanted samples, got a source of none")
            self._check_grid(X.grid)
            if not isinstance(X, ArraySource):
                source: Source = X
                self._check_shape(source.sample_shape)
                return source
            check_feature_names(X.feature_names, getattr(self, "feature_names_in_", None))
        features, covariates = self._split_covariates(X)
        X = _as_array(features)
        if self.scaler_ is not None:
            X = self._checked_table(X, reset=False)
            if self.residualizer_ is not None and covariates is not None:
                X = self.residualizer_.transform(X, covariates)
            X = self.scaler_.transform(X)
        else:
            if X.ndim > 2:
                _check_pixels(X)
            self._check_shape(X.shape[1:])
        return ArraySource(X, np.zeros(len(X)))

    def _checked(self, x: Any, **checks: Any) -> AnyArray:
        """Validate images, volumes or a table; a table is returned as float64."""
        if x.ndim <= 2:
            return self._checked_table(x, **checks)
        _check_pixels(x)
        pixels: AnyArray = x
        return pixels

    def _checked_table(self, x: Any, **checks: Any) -> FloatArray:
        """Validate a table with scikit-learn, and raise its errors as DataError on one line."""
        if x.ndim != 2:
            raise DataError(
                f"X: wanted a table (n, features), got shape {x.shape}. Reshape your data: X[None] if it is "
                "one sample, X[:, None] if it is one feature"
            )
        if isinstance(x, pd.DataFrame):
            x = numbers_of(x)
        elif x.dtype.kind in "USmM":  # text and times
            x = numbers_of(pd.DataFrame(x)).to_numpy()
        elif x.dtype.kind == "c":
            raise DataError("X: Complex data not supported; give real and imaginary parts as features")
        try:
            table: FloatArray = validate_data(self, x, dtype=np.float64, ensure_all_finite=False, **checks)
        except (ValueError, TypeError, OverflowError) as error:
            refusal = _NotNumbersError if isinstance(error, TypeError) else DataError
            raise refusal("X: " + " ".join(str(error).split())) from error
        return table

    def _split_covariates(self, X: Any) -> tuple[Any, pd.DataFrame | None]:
        """Split X into features and the fitted covariates."""
        return split_covariates(X, None if self.residualizer_ is None else list(self.residualizer_.kinds_))

    def _standardised(
        self, x: FloatArray, covariates: pd.DataFrame | None, y: AnyArray, train: IntArray
    ) -> FloatArray:
        """Fit residualizer and scaler on the training part, and return the table that they make."""
        names = getattr(self, "feature_names_in_", None)
        if covariates is not None:
            self.residualizer_ = Residualizer(names)
            is_train = np.isin(np.arange(len(x)), train)
            x = self.residualizer_.fit_transform(x, covariates, is_train & (y == 0))
        self.scaler_ = TableScaler(names).fit(x[train])
        return self.scaler_.transform(x)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != tuple(self.sample_shape_):
            wanted, got = (" x ".join(map(str, s)) or "1" for s in (self.sample_shape_, shape))
            raise DataError(
                f"X: the model was fitted on samples of {wanted}, got {got}; resize the new data alike"
            )

    def _check_grid(self, grid: Grid | None) -> None:
        if grid is not None and self.grid_ is not None and not grid.same_place(self.grid_):
            raise DataError(
                f"X: the model was fitted on {self.grid_}, got {grid}, or at another place; resample the new "
                "volumes alike"
            )
        if (
            grid is not None
            and self.grid_ is not None
            and not np.array_equal(grid.valid_mask, self.grid_.valid_mask)
        ):
            raise DataError(
                f"X: the model was fitted with {self.grid_.valid_mask.sum()} voxels that count, got "
                f"{grid.valid_mask.sum()}, or others; read the new volumes with the same mask and size"
            )

    def _group_of(self, label: str) -> int:
        """Return 0 for the background label, 1 for the target label."""
        labels = self.classes_[self._order].tolist()
        if label not in labels:
            known = " or ".join(map(repr, [0, 1, *(name for name in labels if isinstance(name, str))]))
            raise DataError(f"y: wanted {known}, got {label!r}")
        return int(labels.index(label))

    def _salient_prior_std(self, y: float) -> float:
        """Return the standard deviation of salient codes that the decoder gets for label y, around s' = 0."""
        if np.ndim(y) > 0 or y not in range(len(self.classes_)):
            raise DataError(f"y: wanted 0 for background or 1 for target, got {y!r}")
        return float(y != 0)

    def _gate_salient(self, salient: FloatArray) -> FloatArray:
        """Return the salient code that the decoder gets; labels are not known."""
        return salient

    def _in_units(self, decoded: FloatArray, covariates: pd.DataFrame | None = None) -> FloatArray:
        """Return decoded samples in input units, with these covariates or those of an average control."""
        if self.scaler_ is None:
            return decoded
        x = self.scaler_.inverse_transform(decoded)
        return x if self.residualizer_ is None else self.residualizer_.inverse_transform(x, covariates)

    def _chunk_rows(self) -> int:
        return TABLE_ROWS if len(self.sample_shape_) == 1 else chunk_rows(self.sample_shape_, IMAGES)

    @contextmanager
    def _inference(self) -> Iterator[Any]:
        """Hold resources of `_decode` over several calls; here none."""
        yield


def _check_pixels(X: AnyArray) -> None:
    (check_volumes if X.ndim == 5 else check_images)(X)


def _as_array(X: Any) -> Any:
    """Keep DataFrames, for their column names; convert all else to an array."""
    return X if isinstance(X, pd.DataFrame) else as_array(X)


class _NotNumbersError(DataError, TypeError):
    """Non-numeric type of X; a TypeError as well, which scikit-learn's estimator checks require."""
