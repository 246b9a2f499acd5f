"""Covariates that a model needs, and `CovariateDesign`, their matrix for regressions."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind, attribute_kinds
from sepvae.data.arrays import ArraySource, as_array, as_frame
from sepvae.data.columns import named_column
from sepvae.data.missing_codes import refuse_codes, refuse_known_codes
from sepvae.errors import DataError

ROUNDING = 1e-12  # what varies, or is left over, by less than this share of the largest value is constant


class CovariateDesign:
    """
    Design matrix (n, k): 1, standardised amounts, and 0 or 1 for each class but the first.

    Messages begin with `purpose`, the keyword that names the covariates.
    """

    kinds: dict[str, Kind]
    levels: dict[str, list[str]]  # classes of each categorical covariate among the fitted people
    average: FloatArray  # (k,), mean row of the fitted people

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose

    def fit(self, covariates: pd.DataFrame, fitted: npt.NDArray[np.bool_]) -> Self:
        """Learn classes, means and standard deviations of the fitted people; the kinds are those of all."""
        self.kinds = attribute_kinds(covariates)
        for name, kind in self.kinds.items():
            if kind == "continuous":
                refuse_codes(self.purpose, name, covariates[name])
        people = covariates[fitted]
        classes = [name for name, kind in self.kinds.items() if kind == "categorical"]
        self.levels = {name: sorted(set(class_names(people, name, self.purpose))) for name in classes}
        amounts = [self._finite_numbers(people, name) for name in self.kinds if name not in classes]
        self._middle = np.array([values.mean() for values in amounts])
        # Standardised, so that cubic millimetres weigh no more than years.
        self._spread = np.array([values.std() for values in amounts])
        largest = np.array([np.abs(values).max(initial=0) for values in amounts])
        self._spread[self._spread <= ROUNDING * largest] = 1
        self.average = self.matrix(people).mean(axis=0)
        return self

    def matrix(self, covariates: pd.DataFrame) -> FloatArray:
        """Return the design matrix; raise for gaps, and for classes that no fitted person has."""
        check_there(covariates, self.kinds, self.purpose)
        columns: list[FloatArray] = [np.ones(len(covariates))]
        amounts = [name for name, kind in self.kinds.items() if kind == "continuous"]
        for i, name in enumerate(amounts):
            values = self._finite_numbers(covariates, name)
            columns.append((values - self._middle[i]) / self._spread[i])
            refuse_known_codes(self.purpose, name, values, columns[-1])
        for name, levels in self.levels.items():
            words = class_names(covariates, name, self.purpose)
            if unseen := words[~words.isin(levels)].tolist():
                known = ", ".join(levels[:10]) + ", .." * (len(levels) > 10)
                whom = "person" if self.purpose == "condition_on" else "control"
                raise DataError(
                    f"{self.purpose}: {len(unseen)} of {len(words)} samples have {name} {unseen[0]!r}, which "
                    f"no {whom} that was fitted has ({known}); leave them out, or do not {self.purpose} "
                    f"{name}"
                )
            columns += [(words == level).to_numpy().astype(np.float64) for level in levels[1:]]
        return np.column_stack(columns)

    def values(self, covariates: pd.DataFrame | None, n: int) -> AnyArray:
        """Return the matrix of n people without the 1, as float32 for a network; None: average people."""
        if covariates is not None and len(covariates) != n:
            raise DataError(f"covariates: wanted a row for each of {n} samples, got {len(covariates)}")
        design = self.average[None].repeat(n, axis=0) if covariates is None else self.matrix(covariates)
        return design[:, 1:].astype(np.float32)

    def lacking(self, design: FloatArray) -> tuple[str, str] | None:
        """Return a covariate and a class of it that no row of a design matrix has, or None."""
        first = 1 + len(self._middle)
        for name, levels in self.levels.items():
            here = design[:, first : first + len(levels) - 1]
            counts = [int((~here.any(axis=1)).sum()), *here.sum(axis=0).astype(int).tolist()]
            if 0 in counts:
                return name, levels[counts.index(0)]
            first += len(levels) - 1
        return None

    def state(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Return all fields for storage: arrays, and the others as JSON accepts them."""
        arrays = {"average": self.average, "middle": self._middle, "spread": self._spread}
        return arrays, {"kinds": self.kinds, "levels": self.levels}

    @classmethod
    def from_state(cls, arrays: Mapping[str, AnyArray], about: Mapping[str, Any], purpose: str) -> Self:
        """Restore a design from the results of `state`."""
        design = cls(purpose)
        design.kinds, design.levels = dict(about["kinds"]), dict(about["levels"])
        design.average, design._middle, design._spread = (
            arrays[name] for name in ("average", "middle", "spread")
        )
        return design

    def _finite_numbers(self, covariates: pd.DataFrame, name: str) -> FloatArray:
        """Return a covariate as finite numbers."""
        values = _complete(covariates, name, self.purpose)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if wrong := np.flatnonzero(~np.isfinite(numbers)).tolist():
            got = str(values.iloc[wrong[0]])
            raise DataError(f"{self.purpose}: wanted numbers as {name!r}, got {got!r}; correct it")
        return numbers


def decoder_design(covariates: pd.DataFrame, fitted: npt.NDArray[np.bool_]) -> CovariateDesign:
    """Return the fitted design of what a decoder gets; raise unless it suits all people, and varies."""
    design = CovariateDesign("condition_on").fit(covariates, fitted)
    if not design.values(covariates, len(covariates)).any():
        names = ", ".join(map(str, covariates))
        raise DataError(
            f"condition_on: wanted covariates that differ between people, got the same {names} of all; leave "
            "it out"
        )
    return design


def check_there(covariates: pd.DataFrame, names: Iterable[str], purpose: str) -> None:
    """Raise unless samples have these covariates."""
    if absent := [name for name in names if name not in covariates]:
        raise DataError(f"{purpose}: wanted a covariate {absent[0]!r} of these samples, found none")


def class_names(covariates: pd.DataFrame, name: str, purpose: str) -> "pd.Series[str]":
    """Return a covariate as class names; 1, 1.0 and "1" are one class, whatever their source."""
    names = _complete(covariates, name, purpose).infer_objects().astype(str)
    return names.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def _complete(covariates: pd.DataFrame, name: str, purpose: str) -> pd.Series:
    values: pd.Series = covariates[name]
    if missing := int(values.isna().sum()):
        lacking = f"{missing} of {len(values)} samples have no {name!r}"
        raise DataError(f"{purpose}: {lacking}; fill it in, or leave them out")
    return values


def is_source(X: Any) -> bool:
    """Return whether X is a `Source`, by its attributes."""
    return hasattr(X, "take") and hasattr(X, "sample_shape")


def attributes_of(X: Any) -> pd.DataFrame | None:
    """Return the attributes of a source; None for arrays and tables."""
    return X.attributes if is_source(X) else None


def covariates_needed(keywords: Mapping[str, Any]) -> list[str] | None:
    """
    Return the covariates that keywords of an estimator name, once each; None if there are none.

    >>> covariates_needed({"residualise": "age, site", "harmonise": None, "preserve": None})
    ['age', 'site']
    """
    site = keywords.get("harmonise")
    if site is not None and not isinstance(site, str):
        raise DataError(f"harmonise: wanted the name of the covariate with the site, got {site!r}")
    names = {name: covariate_names(keywords.get(name), name) for name in ("residualise", "preserve")}
    if site is None and names["preserve"]:
        raise DataError("preserve: wanted the site to harmonise, got none; name it: harmonise=site")
    if twice := [name for name in ("residualise", "preserve") if site in (names[name] or [])]:
        raise DataError(f"{twice[0]}: {site!r} is harmonised; leave it out of one of them")
    removed = [*([] if site is None else [site]), *(names["residualise"] or [])]
    if both := [name for name in conditions_of(keywords) if name in removed]:
        raise DataError(f"condition_on: {both[0]!r} is removed from the input; leave it out of one of them")
    needed = [*([] if site is None else [site]), *(names["preserve"] or []), *(names["residualise"] or [])]
    return list(dict.fromkeys(needed)) if site is not None or names["residualise"] is not None else None


def conditions_of(keywords: Mapping[str, Any]) -> list[str]:
    """
    Return the covariates that the decoder gets by keywords of an estimator.

    >>> conditions_of({"condition_on": "age, sex"}), conditions_of({})
    (['age', 'sex'], [])
    """
    return covariate_names(keywords.get("condition_on"), "condition_on") or []


def covariate_names(names: Any, keyword: str = "residualise") -> list[str] | None:
    """
    Return a keyword of names as a list; a str holds names separated by commas.

    >>> covariate_names("age, site")
    ['age', 'site']
    """
    if names is None:
        return None
    text = isinstance(names, str)
    words = [name.strip() for name in names.split(",")] if text else names
    if not isinstance(words, list | tuple) or not all(isinstance(name, str) for name in words):
        raise DataError(f"{keyword}: wanted names of covariates, or None, got {names!r}")
    if twice := [name for name in words if list(words).count(name) > 1]:
        raise DataError(f"{keyword}: {twice[0]!r} is named twice; leave one out")
    return list(words)


def check_removable(X: Any) -> None:
    """Raise unless effects of covariates can be removed from X: a table in memory, or volumes."""
    shape = X.sample_shape if is_source(X) else (X if hasattr(X, "shape") else as_array(X)).shape[1:]
    if len(shape) not in (1, 4) or (len(shape) == 1 and is_source(X) and not isinstance(X, ArraySource)):
        raise DataError(
            "residualise, harmonise: wanted a table in memory or volumes, got samples of "
            f"{' x '.join(map(str, shape))}; leave them None for images"
        )


def split_covariates(
    X: Any, covariates: Sequence[str] | None, optional: Sequence[str] = ()
) -> tuple[Any, pd.DataFrame | None]:
    """
    Split X into features, as a DataFrame if they have names, and covariates, as a DataFrame or None.

    Covariates that are `optional`, since only a decoder needs them, may be missing.
    """
    frame = None if is_source(X) else as_frame(X)
    features = X = X if frame is None else frame
    if isinstance(X, ArraySource):
        named = X.x.ndim == 2 and X.feature_names is not None
        features = pd.DataFrame(X.x, columns=np.array(X.feature_names, dtype=object)) if named else X.x
    table = X.attributes if is_source(X) else X
    is_table = isinstance(table, pd.DataFrame)
    if covariates is None and not (optional and is_table):
        return features, None
    if not is_table:
        raise DataError(
            f"X: wanted a column or attribute {', '.join(map(repr, covariates or ()))}, got an array, which "
            "names none; give a DataFrame, or a source with attributes"
        )
    for name in covariates or ():
        if is_source(X) and name not in table:
            known = ", ".join(map(str, table.columns)) or "none"
            near = get_close_matches(name, map(str, table.columns), 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"name it as one (--attribute {name})"
            raise DataError(
                f"X: no attribute {name!r}, which is a covariate; the attributes are {known}: {remedy}"
            )
        named_column(table, "X", "covariate", name)
    names = list(dict.fromkeys([*(covariates or ()), *(name for name in optional if name in table)]))
    if not is_source(X):
        features = X.drop(columns=names)
    return features, table[names].reset_index(drop=True)
