"""`CovariateDesign`: covariates of samples as a design matrix, for regressions on fitted people."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind, attribute_kinds
from sepvae.data.missing_codes import refuse_codes, refuse_known_codes
from sepvae.errors import DataError

ROUNDING = 1e-12  # amounts that spread by less than this share of the largest value are constant


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
        if absent := [name for name in self.kinds if name not in covariates]:
            raise DataError(f"{self.purpose}: wanted a covariate {absent[0]!r} of these samples, found none")
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
                raise DataError(
                    f"{self.purpose}: {len(unseen)} of {len(words)} samples have {name} {unseen[0]!r}, which "
                    f"no control that was fitted has ({known}); leave them out, or do not {self.purpose} {name}"
                )
            columns += [(words == level).to_numpy().astype(np.float64) for level in levels[1:]]
        return np.column_stack(columns)

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


def class_names(covariates: pd.DataFrame, name: str, purpose: str) -> "pd.Series[str]":
    """Return a covariate as class names; 1, 1.0 and "1" are one class, whatever their source."""
    values = _complete(covariates, name, purpose).infer_objects()
    if pd.api.types.is_float_dtype(values) and (values == values.round()).all():
        values = values.astype(np.int64)
    return values.astype(str)


def _complete(covariates: pd.DataFrame, name: str, purpose: str) -> pd.Series:
    values: pd.Series = covariates[name]
    if missing := int(values.isna().sum()):
        lacking = f"{missing} of {len(values)} samples have no {name!r}"
        raise DataError(f"{purpose}: {lacking}; fill it in, or leave them out")
    return values
