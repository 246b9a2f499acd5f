"""`ContrastiveEstimator`, the base of all methods: fit, encode, reconstruct, swap, sample and save."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.checks import check_choice, check_number
from sepvae.codes import Codes, Space
from sepvae.errors import DataError
from sepvae.methods.coding import CodingMixin
from sepvae.methods.labels import GroupLabels
from sepvae.methods.sharing import SharingMixin
from sepvae.methods.storing import save_estimator
from sepvae.model_files import Shapes
from sepvae.preprocessing.covariates import attributes_of
from sepvae.preprocessing.harmonizer import UNSEEN
from sepvae.preprocessing.input_adapter import InputAdapter

Parts = tuple[IntArray, IntArray]  # positions of training and validation samples
SEEDS = 2**32  # scikit-learn takes seeds below this
MOST_DIM = 100_000  # codes have fewer dimensions than this


@dataclass(frozen=True)
class Capabilities:
    """What a method can do, beyond encoding; other rooms ask for it, in the way of scikit-learn's tags."""

    decoder: bool = True  # decodes codes: reconstructions, removal, swaps, maps
    epochs: bool = False  # trains by epochs, with the keywords of `ContrastiveVAE`, and has a `history_`
    classifier: bool = False  # its loss has a classifier of salient codes, which a benchmark scores
    severity: bool = False  # takes severities of targets, by keywords `target` and `severity`


@dataclass(eq=False, repr=False)
class ContrastiveEstimator(SharingMixin, CodingMixin):
    """
    Base of all methods: fit, encode, reconstruct, swap, sample and save.

    A method is a dataclass whose fields are its keywords, in addition to these. It implements `_learn`,
    `_encode`, `_decode`, `_state`, `_state_shapes` and `_set_state`. Its docstring gets the entries below,
    unless it has its own.

    Parameters
    ----------
    common_dim : int, default=16
        Dimension of the common space (D_c).
    salient_dim : int, default=16
        Dimension of the salient space (D_s).
    background : label or None, default=None
        Label of the background; all others are targets. None is the one label that is a word for controls,
        else the first in sorted order, with a BackgroundWarning.
    space : {"both", "common", "salient"}, default="both"
        Space that `transform` returns.
    residualise : sequence of str or None, default=None
        Covariates whose effects are removed from a table or from volumes: attributes of a source, or columns
        of a DataFrame, which are then not features. A regression is fitted on the controls of the training
        part, of volumes voxel by voxel; the network sees w-scores, and decoded samples are in the units of X.
        Raises for classes that no such control has, such as a new site.
    harmonise : str or None, default=None
        Covariate with the site, whose effects on location and scale are removed by ComBat (`Harmonizer`)
        before `residualise`.
    preserve : sequence of str or None, default=None
        Covariates whose effects harmonisation preserves, since sites may differ in them: age, sex.
    harmonise_on : {"controls", "all"}, default="controls"
        People of the training part that ComBat is fitted on. With "all", sites with more patients lose a
        part of the disease effect.
    unseen_site : {"refuse", "reference"}, default="refuse"
        A person of a site that was not fitted raises, or is taken as measured at an average site. A third way
        is `add_sites`.
    random_state : int or None, default=0
        Seed of weights, sample order and noise, below 2**32; None draws one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of background and targets, sorted.
    background_ : label
        Label of the background.
    salient_blocks_ : dict of str to slice
        Dimensions of each block of the salient space: "salient, shared", and "salient of SZ" for target SZ.
        Empty if all targets have one space.
    severity_max_ : float or None
        Maximum of keyword `severity` among the targets of the fit, for methods that have it.
    validation_indices_ : ndarray of int
        Positions of the validation samples; empty for methods that need none.
    harmonizer_ : Harmonizer or None
        Fitted site effects.
    residualizer_ : Residualizer or None
        Fitted regression on covariates.
    scaler_ : TableScaler or None
        Fitted standardisation and imputation of tables.
    sample_shape_ : tuple of int
        Shape of one sample.
    grid_ : Grid or None
        Positions of the voxels of volumes, if their source provides them.
    n_features_in_ : int
        Number of features, for tables.
    feature_names_in_ : ndarray of str
        Names of features, for DataFrames.
    """

    common_dim: int = 16
    salient_dim: int = 16
    _: KW_ONLY
    background: Any = None
    space: Space = "both"
    residualise: Sequence[str] | None = None
    harmonise: str | None = None
    preserve: Sequence[str] | None = None
    harmonise_on: Literal["controls", "all"] = "controls"
    unseen_site: Literal["refuse", "reference"] = "refuse"
    random_state: int | None = 0

    capabilities: ClassVar[Capabilities] = Capabilities()
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    ablations: ClassVar[dict[str, dict[str, Any]]] = {}  # keywords that leave out a loss term
    not_saved: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[dict[str, Any]] = {}  # values of keywords that older model files lack

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in cls.__mro__[1 : cls.__mro__.index(ContrastiveEstimator) + 1]:
            cls.__doc__ = _with_entries(cls.__doc__ or "", base.__doc__ or "")

    def _learn(self, source: Source, y: AnyArray, parts: Parts, seed: int) -> None:
        """Learn from standardised samples; y = 0 is the background."""
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
            A key of `presets`; any other raises DataError.
        **keywords : object
            Other keywords, which override the preset.

        Returns
        -------
        Self
            Not fitted; `get_params` shows every value.
        """
        if preset not in cls.presets:
            raise DataError(f"--preset: wanted one of {', '.join(cls.presets)}, got {preset!r}")
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
            Labels: that of the background, and those of one target or several, such as diseases.
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

        Fit probes on these codes. With `residualise`, they differ from those of `encode`: controls that a
        regression was fitted on have residuals that are too small, which distinguishes them from patients.
        Here each of these controls gets the residual of a regression without it.

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
        """Learn both spaces, and return the posterior means of the codes of `fit_encode`."""
        return self._means(self.fit_encode(X, y, groups))

    def _fit(self, X: Any, y: Any, groups: Any) -> Source:
        """Fit, and return the samples as networks see them; a fit that raises changes nothing."""
        earlier = dict(self.__dict__)
        try:
            adapter, labels = self.input_adapter(), self._label_encoder()
            samples = adapter.read(X, y, groups)
            self._check_keywords()
            y = labels.fit_transform(samples.labels, attributes_of(X))
            labels.check_counts(y)
            seed = self._seed()
            parts = self._validation_split(np.ceil(y).astype(np.int64), samples.groups, seed)
            source = adapter.fit(samples, y == 0, parts[0])
            self._set_fitted(adapter, labels)
            self.validation_indices_ = parts[1]
            self._learn(source, y, parts, seed)
        except BaseException:
            self.__dict__ = earlier
            raise
        return source

    def _set_fitted(self, adapter: InputAdapter, labels: GroupLabels) -> None:
        """Set the fitted attributes of input and labels."""
        self._adapter, self._labels = adapter, labels
        self.classes_, self.background_ = labels.classes, labels.classes[labels.order[0]]
        self.salient_blocks_, self.severity_max_ = labels.blocks, labels.severity_max
        for name in ("n_features_in_", "feature_names_in_"):  # of an earlier fit of a table
            self.__dict__.pop(name, None)
        self.__dict__ |= {name: value for name, value in vars(adapter).items() if name.endswith("_")}

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """
        Write the fitted estimator to a folder: weights as safetensors, all else as JSON.

        Parameters
        ----------
        path : str or Path
            The folder.
        overwrite : bool, default=False
            Replace an existing model, after the new one is completely written.

        Returns
        -------
        Path
            The folder, for `sepvae.load`.

        Raises
        ------
        ModelFileError
            If the folder exists (with `overwrite`: holds no model), or if this is a class of your own with
            the name of a method of sepvae.
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
        tags.classifier_tags = ClassifierTags()  # y has classes, even if the method does not predict them
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def add_sites(self, X: Any) -> Self:
        """
        Estimate the effects of sites that were not fitted, so that their people can be encoded.

        Parameters
        ----------
        X : DataFrame or Source
            People like those that `harmonise` was fitted on (controls), two or more of each new site, with
            the same covariates. People of fitted sites are not used.

        Returns
        -------
        Self
            This estimator; nothing but the new sites was changed.

        Raises
        ------
        DataError
            If the model was fitted without `harmonise`, or a new site has too few people.
        """
        check_is_fitted(self)
        self._adapter.add_sites(X)
        return self

    def input_adapter(self) -> InputAdapter:
        """
        Return the conversion of input that the keywords ask for, not fitted.

        Returns
        -------
        InputAdapter
            As `fit` fits it: sites, covariates, scaling.
        """
        names = "residualise", "harmonise", "preserve", "harmonise_on", "unseen_site", "condition_on"
        given = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return InputAdapter(**given, owner=type(self).__name__)

    def _seed(self) -> int:
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(self.random_state)

    def _check_keywords(self) -> None:
        """Raise DataError for values that would fail later with a less clear message."""
        for name in ("common_dim", "salient_dim"):
            check_number(name, getattr(self, name), least=1, whole=True)
            check_number(name, getattr(self, name), below=MOST_DIM)
        if self.random_state is not None:
            check_number("random_state", self.random_state, least=0, whole=True, or_else="None")
            check_number("random_state", self.random_state, below=SEEDS)
        check_choice("space", self.space, ("both", "common", "salient"))
        check_choice("harmonise_on", self.harmonise_on, ("controls", "all"))
        check_choice("unseen_site", self.unseen_site, UNSEEN)

    def _label_encoder(self) -> GroupLabels:
        return GroupLabels(self.background)

    def _validation_split(self, group: IntArray, groups: AnyArray, seed: int) -> Parts:
        """Return the positions for training and for validation: here all, and none."""
        return np.arange(len(group)), np.arange(0)


SECTION = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)
ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)


def _with_entries(docstring: str, of_base: str) -> str:
    """Append to a numpydoc docstring the parameters and attributes that only its base class describes."""
    sections, inherited = (
        {"": "", "Parameters": "", "Attributes": ""} | _sections(x) for x in (docstring, of_base)
    )
    if not sections[""]:
        return docstring
    for section in ("Parameters", "Attributes"):
        own, of_bases = ENTRY.split(sections[section]), ENTRY.split(inherited[section])
        described = {name for entry in own for name in _names(entry)}
        missing = [entry for entry in of_bases if not described.issuperset(_names(entry))]
        sections[section] = "\n".join(entry.strip() for entry in [*own, *missing] if entry.strip())
    texts = (
        f"{name}\n{'-' * len(name)}\n{text}" if name else text for name, text in sections.items() if text
    )
    return "\n\n".join(map(str.strip, texts)) + "\n"


def _sections(docstring: str) -> dict[str, str]:
    """Return the sections of a docstring by title; the summary has none."""
    # Python 3.13 and later strip the indentation of docstrings, earlier versions keep it.
    summary, *rest = SECTION.split(cleandoc(docstring))
    return {"": summary} | dict(zip(rest[::2], rest[1::2], strict=True))


def _names(entry: str) -> list[str]:
    """Return the names that an entry such as "x, y : int" describes."""
    return entry.partition(" : ")[0].split(", ")
