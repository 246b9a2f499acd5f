"""Standardisation of tables, fitted on the training part."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.data.arrays import name_columns, refuse_infinite
from sepvae.errors import DataError

LEAST_SD = 1e-12  # in units of the largest value: a column that varies less is constant


class TableScaler:
    """
    Scaler that standardises columns, fills gaps with the mean and drops columns without information.

    Mean and (population) standard deviation are those of the values that are not missing; the mean and gaps
    become 0. A column that is constant or all missing is dropped.

    Parameters
    ----------
    names : sequence of str, default=None
        Names of the columns, for error messages; by default they are numbered.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (features,)
        Mean and standard deviation of each column, NaN if all values are missing.
    kept_ : ndarray of bool, of shape (features,)
        Whether `transform` returns each column.

    Examples
    --------
    >>> x = np.array([[1.0, 7.0, np.nan], [3.0, 7.0, 4.0], [np.nan, 7.0, 8.0]])
    >>> scaler = TableScaler().fit(x)
    >>> scaler.transform(x)
    array([[-1.,  0.],
           [ 1., -1.],
           [ 0.,  1.]], dtype=float32)
    >>> scaler.inverse_transform(np.zeros((1, 2)))
    array([[2., 7., 6.]])
    """

    mean_: npt.NDArray[np.float64]
    scale_: npt.NDArray[np.float64]
    kept_: npt.NDArray[np.bool_]

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = names

    def fit(self, x: npt.ArrayLike) -> Self:
        """
        Fit the mean, the scale and the columns to keep.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Features, NaN for gaps.

        Returns
        -------
        TableScaler
            This object.

        Raises
        ------
        DataError
            If a value is infinite or no column varies.
        """
        frame = pd.DataFrame(self._table(x))
        # In units of the largest value, squares stay finite, and rounding noise has the same size everywhere.
        unit = frame.abs().max().replace(0, 1)
        frame = frame / unit
        self.mean_ = (frame.mean() * unit).to_numpy()
        spread = frame.std(ddof=0)
        self.scale_ = (spread * unit).to_numpy()
        self.kept_ = (spread > LEAST_SD).to_numpy()
        if not self.kept_.any():
            raise DataError(
                f"x: no column of {frame.shape[1]} varies; give measures that differ between samples"
            )
        return self

    def transform(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """
        Return the standardised features that the network sees.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Features, NaN for gaps.

        Returns
        -------
        ndarray of float32, of shape (n, kept)
            Standardised features, without gaps.

        Raises
        ------
        DataError
            If a value is infinite, before or after scaling, or the number of columns differs from `fit`.
        """
        table = self._table(x)
        if table.shape[1] != len(self.kept_):
            raise DataError(f"x: wanted {len(self.kept_)} columns as in fit, got {table.shape[1]}")
        with np.errstate(over="ignore"):  # values too far from the fitted ones are refused below
            z = ((table - self.mean_) / np.where(self.kept_, self.scale_, 1)).astype(np.float32)
        if (far := np.isinf(z) & self.kept_).any():
            odd = name_columns(far, self.names)
            message = f"x: infinite values in column {odd} once scaled, so far are they from those of the fit"
            raise DataError(f"{message}; correct them")
        return np.nan_to_num(z[:, self.kept_])

    def inverse_transform(self, z: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """
        Transform standardised features back to the units of the input.

        Parameters
        ----------
        z : array-like of shape (n, kept)
            Standardised features.

        Returns
        -------
        ndarray of shape (n, features)
            All columns of the input; dropped ones are constant, or NaN if all values were missing.
        """
        z = np.asarray(z, dtype=np.float64)
        x = np.tile(self.mean_, (len(z), 1))
        x[:, self.kept_] += z * self.scale_[self.kept_]
        return x

    def state(self) -> dict[str, AnyArray]:
        """
        Return the fitted parameters as arrays.

        Returns
        -------
        dict of str to ndarray
            Arrays with the names mean, scale and kept.
        """
        return {"mean": self.mean_, "scale": self.scale_, "kept": self.kept_}

    @classmethod
    def from_state(cls, state: Mapping[str, AnyArray], names: Sequence[str] | None = None) -> Self:
        """
        Restore a fitted scaler from its state.

        Parameters
        ----------
        state, names : mapping of str to ndarray, and sequence of str
            Result of `state`, and names of the columns for error messages.

        Returns
        -------
        TableScaler
            Fitted scaler.
        """
        scaler = cls(names)
        scaler.mean_, scaler.scale_, scaler.kept_ = state["mean"], state["scale"], state["kept"]
        return scaler

    def _table(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return a table of floats; raise if a value is infinite, while gaps are allowed."""
        table = np.asarray(x, dtype=np.float64)
        if table.ndim != 2:
            raise DataError(f"x: wanted a table of shape (n, features), got shape {table.shape}")
        refuse_infinite(table, self.names)
        return table
