"""Schema of a recipe, validated by pydantic."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sepvae.data.spec import Count, DataSpec, OneOrMore, StrictModel, refuse_unknown
from sepvae.errors import DataError
from sepvae.registry import method_names

Reader = Literal[
    "digits-on-photos", "folder", "table", "array", "kermany", "celeba", "brats", "volumes", "regions"
]
Keywords = dict[str, Any]


class ScoreColumn(StrictModel):
    """Column of the benchmark's table: one score."""

    title: str
    attribute: str  # to predict; "label" is background or target
    population: Literal["all", "target"]
    space: str  # common, salient, both, or a block: "salient, shared", "salient of TARGET"
    metric: Literal["balanced_accuracy", "accuracy", "auc", "mae", "r2"]
    # Ridge regression, for continuous attributes; the method's classifier of salient codes, else a network of
    # two layers; no penalty, for preset "paper" only.
    probe: Literal["linear", "own", "least_squares"] = "linear"
    better: Literal["high", "low"]  # of a successful separation: low for common attributes from salient codes

    @model_validator(mode="after")
    def _probe_suits(self) -> Self:
        if not re.fullmatch("common|both|salient(, shared| of .+)?", self.space):
            said = "wanted space common, salient, both, 'salient, shared' or 'salient of TARGET'"
            raise PydanticCustomError("own", said)
        if self.probe == "own" and (self.space, self.attribute) != ("salient", "label"):
            raise PydanticCustomError("own", "wanted space salient and attribute label with probe own")
        if self.probe == "least_squares" and self.metric not in ("mae", "r2"):
            raise PydanticCustomError("one_of_both", "wanted metric mae or r2 with probe least_squares")
        return self


class Protocol(StrictModel):
    """Splits and repetitions of the fits, and the benchmark's contenders and table."""

    # One of three: a share to score on, a number of folds, or an attribute, such as the site, each of whose
    # values with samples of every label is scored once, by a model that has not seen it.
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    folds: Annotated[int, Field(ge=2, strict=True)] | None = None
    leave_out: str | None = None
    stratify_by: str | None = None  # attribute with similar shares in test and training, or in all folds
    adjust_for: OneOrMore = Field(default_factory=list)  # of the partial correlation with clinical scores
    seeds: Count = 1  # fits on each fold
    split_seed: Annotated[int, Field(ge=0, strict=True)] = 0
    contenders: Annotated[list[str], Field(min_length=1)]  # the first is compared with each other one
    columns: Annotated[list[ScoreColumn], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.test_size, self.folds, self.leave_out)) != 1:
            raise PydanticCustomError("one_of_both", "wanted one of test_size, folds and leave_out")
        if self.leave_out is not None and self.stratify_by is not None:
            raise PydanticCustomError("one_of_both", "stratify_by has no meaning with leave_out")
        return self

    @property
    def test_share(self) -> float:
        """Fraction of the samples that one fit is scored on; 0.2 with `leave_out`, whose folds differ."""
        return 1 / self.folds if self.folds is not None else self.test_size or 0.2


class Recipe(StrictModel):
    """
    One experiment: data, protocol, and the keywords of each method.

    Parameters
    ----------
    title : str
        Title of the experiment.
    source : str, default=None
        Publication of the experiment.
    note : str, default=None
        Differences from the publication, and limitations.
    reader : str
        Reader of DATA: digits-on-photos, folder, table, array, kermany, celeba, brats, volumes (in files or
        packed) or regions.
    data : DataSpec, default=none of its options
        How DATA are read.
    protocol : Protocol
        Splits, repetitions, contenders and table.
    methods : dict
        Keywords by method and preset, such as `methods["SepVAE"]["paper"]`. They override those of the
        method's preset with the same name, if it has one.
    """

    title: str
    source: str | None = None
    note: str | None = None
    reader: Reader
    data: DataSpec = Field(default_factory=DataSpec)
    protocol: Protocol
    methods: Annotated[dict[str, dict[str, Keywords]], Field(min_length=1)]
    _name: str = PrivateAttr("recipe")
    _file: str = PrivateAttr("recipe")

    @field_validator("methods", mode="before")
    @classmethod
    def _know_methods(cls, given: Any) -> Any:
        if isinstance(given, dict):
            refuse_unknown("method", given, method_names())
        return given

    @field_validator("methods")
    @classmethod
    def _plain_values(cls, methods: dict[str, dict[str, Keywords]]) -> dict[str, dict[str, Keywords]]:
        for presets in methods.values():
            for preset, keywords in presets.items():
                presets[preset] = {key: plain_value(value) for key, value in keywords.items()}
        return methods

    @property
    def name(self) -> str:
        """Name of a packaged recipe, or file name of another one."""
        return self._name

    @property
    def file(self) -> str:
        """Path of the file for messages, or NAME.yaml for a packaged recipe."""
        return self._file

    def keywords(self, method: str, preset: str) -> Keywords:
        """
        Return the keywords of a method.

        Parameters
        ----------
        method, preset : str
            Names, such as "SepVAE" and "paper".

        Returns
        -------
        dict of str to object
            Copy of the recipe's keywords.

        Raises
        ------
        DataError
            If the recipe lacks the method, or that preset of it.
        """
        presets = self.methods.get(method, {})
        known = {"method": (method, self.methods), f"preset of {method}": (preset, presets)}
        for what, (wanted, names) in known.items():
            if wanted not in names:
                raise DataError(f"{self.file}: has no {what} {wanted!r}; it has {', '.join(names)}")
        return dict(presets[preset])


def plain_value(value: Any) -> Any:
    """
    Convert text such as "1e-10" to a number, and "None" to None: YAML reads both as text.

    >>> plain_value("1e-10"), plain_value("None"), plain_value("e2")
    (1e-10, None, 'e2')
    """
    if value == "None":
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
