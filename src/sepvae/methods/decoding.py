"""Decoding of codes: reconstructions, errors, swaps and samples, the same for all methods."""

from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sepvae.batch import AnyArray, chunks, in_unit_range
from sepvae.checks import check_choice, check_number
from sepvae.errors import DataError


class DecoderMixin(BaseEstimator):  # type: ignore[misc]
    """What an estimator does with `_decode`, from codes to samples as networks see them."""

    def decode(self, common: AnyArray, salient: AnyArray, *, standardised: bool = False) -> AnyArray:
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

        Raises
        ------
        DataError
            If the shapes are not those of codes of this model.
        """
        check_is_fitted(self)
        common, salient = np.asarray(common), np.asarray(salient)
        n = common.shape[:1]
        if (common.shape, salient.shape) != ((*n, self.common_dim), (*n, self.salient_dim)):
            raise DataError(
                f"common and salient: wanted codes of shapes (n, {self.common_dim}) and "
                f"(n, {self.salient_dim}), got {common.shape} and {salient.shape}"
            )
        decoded = self._decode(common, self._gate_salient(salient))
        return decoded if standardised else self._in_units(decoded)

    def reconstruct(self, X: Any, salient: Literal["own", "none"] = "own") -> AnyArray:
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
        return self._in_units(self._decode(codes.common_mean, kept), X)

    def reconstruction_error(self, X: Any, salient: Literal["own", "none"] = "own") -> AnyArray:
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
        source = self.prepare(X)
        codes = self._encode(source)
        common, kept = codes.common_mean, self._gate_salient(codes.salient_mean) * (salient == "own")
        errors, values = [], np.float64(self._adapter.n_observed)
        with self._inference():
            for part in chunks(len(source), self._chunk_rows()):
                decoded = self._decode(common[part], kept[part])
                x = in_unit_range(source.take(part).x)
                errors.append(((x - decoded) ** 2).reshape(len(part), -1).sum(axis=1) / values)
        return np.concatenate(errors)

    def swap(self, a: Any, b: Any) -> AnyArray:
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
        return self._in_units(self._decode(common, self._gate_salient(salient)), a)

    def sample(self, n: int, y: float | str = 0, random_state: int | None = None) -> AnyArray:
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
        deviation = self._labels.salient_std(y)
        if random_state is not None:
            check_number("random_state", random_state, least=0, whole=True, or_else="None")
        rng = np.random.default_rng(random_state)
        common, salient = rng.normal(size=(n, self.common_dim)), rng.normal(size=(n, self.salient_dim))
        return self._in_units(self._decode(common, salient * deviation))

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        raise NotImplementedError

    def _gate_salient(self, salient: AnyArray) -> AnyArray:
        """Return the salient code that the decoder gets; labels are not known."""
        return salient

    def _in_units(self, decoded: AnyArray, X: Any = None) -> AnyArray:
        """Return decoded samples in input units, with the covariates of X or those of an average control."""
        units: AnyArray = self._adapter.inverse_transform(decoded, X)
        return units
