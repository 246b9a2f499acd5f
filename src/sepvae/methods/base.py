"""`ContrastiveEstimator`, the base of all methods: fit, encode, reconstruct, swap, sample and save."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows
from sepvae.checks import check_choice, check_number
from sepvae.codes import Codes, Space, code_names
from sepvae.errors import DataError
from sepvae.methods.capabilities import Capabilities
from sepvae.methods.decoding import DecoderMixin
from sepvae.methods.labels import GroupLabels
from sepvae.methods.storing import save_estimator
from sepvae.model_files.schema import Shapes
from sepvae.preprocessing.input_adapter import InputAdapter

SEEDS = 2**32  # scikit-learn takes seeds below this
MOST_DIM = 100_000  # codes have fewer dimensions than this
TABLE_ROWS, IMAGES = 2048, 128  # per chunk: larger chunks take more memory and no less time


@dataclass(eq=False, repr=False)
class ContrastiveEstimator(DecoderMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
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

    def _encode(self, source: Source) -> Codes[AnyArray]:
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

    def fit_encode(self, X: Any, y: Any = None, groups: Any = None) -> Codes[AnyArray]:
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
        """
        return self._encode(self._fit(X, y, groups))

    def fit_transform(self, X: Any, y: Any = None, groups: Any = None) -> AnyArray:
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
        """Fit, and return the samples as networks see them; a fit that raises changes nothing."""
        earlier = dict(self.__dict__)
        try:
            return self._fit_anew(X, y, groups)
        except BaseException:
            self.__dict__ = earlier
            raise

    def _fit_anew(self, X: Any, y: Any, groups: Any) -> Source:
        adapter, labels = InputAdapter(self.residualise, type(self).__name__), self._label_encoder()
        samples = adapter.read(X, y, groups)
        y = labels.fit_transform(samples.labels)
        self._check_keywords(y)
        seed = self._seed()
        parts = self._validation_split(np.ceil(y).astype(np.int64), samples.groups, seed)
        source = adapter.fit(samples, y == 0, parts[0])
        self._set_fitted(adapter, labels)
        self.validation_indices_ = parts[1]
        self._learn(source, y, parts, seed)
        return source

    def _set_fitted(self, adapter: InputAdapter, labels: GroupLabels) -> None:
        """Set the fitted attributes of input and labels."""
        self._adapter, self._labels = adapter, labels
        self.classes_, self.background_ = labels.classes, labels.classes[labels.order[0]]
        for name in ("n_features_in_", "feature_names_in_"):  # of an earlier fit of a table
            self.__dict__.pop(name, None)
        self.__dict__ |= {name: value for name, value in vars(adapter).items() if name.endswith("_")}

    def encode(self, X: Any) -> Codes[AnyArray]:
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
        return self._encode(self.prepare(X))

    def transform(self, X: Any) -> AnyArray:
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

    def _means(self, codes: Codes[AnyArray]) -> AnyArray:
        """Return the posterior means of the spaces in keyword `space`."""
        spaces = {"common": [codes.common_mean], "salient": [codes.salient_mean]}
        return np.concatenate(spaces.get(self.space, [codes.common_mean, codes.salient_mean]), axis=1)

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
        """
        check_is_fitted(self)
        return self._adapter.transform(X)

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
        return hasattr(self, "_labels")

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

    def _label_encoder(self) -> GroupLabels:
        return GroupLabels(self.background)

    def _validation_split(
        self,
        group: IntArray,
        groups: AnyArray,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> tuple[IntArray, IntArray]:
        """Return the positions for training and for validation: here all, and none."""
        return np.arange(len(group)), np.arange(0)

    def _chunk_rows(self) -> int:
        return TABLE_ROWS if len(self.sample_shape_) == 1 else chunk_rows(self.sample_shape_, IMAGES)

    def _inference(self) -> AbstractContextManager[Any]:
        """Hold resources of `_decode` over several calls; here none."""
        return nullcontext()
