"""`CodingMixin`: codes of samples, and what they are decoded to, the same for all methods."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sepvae.batch import AnyArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.checks import check_choice, check_number
from sepvae.codes import Codes, code_names
from sepvae.errors import DataError
from sepvae.methods.labels import GroupLabels
from sepvae.preprocessing.input_adapter import InputAdapter

TABLE_ROWS, IMAGES = 2048, 128  # per chunk: larger chunks take more memory and no less time


class CodingMixin(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What a fitted estimator does with `_encode` and `_decode`, for samples as networks see them."""

    _adapter: InputAdapter
    _labels: GroupLabels
    salient_blocks_: dict[str, slice]
    severity_max_: float | None

    def _encode(self, source: Source) -> Codes[AnyArray]:
        raise NotImplementedError

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        raise DataError(f"{type(self).__name__} has no decoder: it encodes samples and decodes nothing")

    def encode(self, X: Any) -> Codes[AnyArray]:
        """
        Return the posterior of both codes; labels are not needed.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        Codes of ndarray
            Means and log-variances, of shapes (n, common_dim) and (n, salient_dim).
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

    def get_feature_names_out(self, input_features: Any = None) -> AnyArray:
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

    def decode(
        self,
        common: AnyArray,
        salient: AnyArray,
        *,
        standardised: bool = False,
        covariates: pd.DataFrame | None = None,
    ) -> AnyArray:
        """
        Decode codes, such as posterior means from `encode` of which some were changed.

        Parameters
        ----------
        common, salient : ndarray of shape (n, common_dim) or (n, salient_dim)
            Codes; salient zeros are s' = 0, that of the background. Other shapes raise DataError.
        standardised : bool, default=False
            Return tables as the network sees them: standardised, without effects of covariates.
        covariates : DataFrame of n rows, default=None
            Covariates of `condition_on`, such as `source.attributes`; None is an average person: amounts at
            their mean, classes at their shares.

        Returns
        -------
        ndarray of shape (n, ...)
            In the units of X unless `standardised`; residualised tables are those of an average control.
        """
        check_is_fitted(self)
        common, salient = np.asarray(common), np.asarray(salient)
        n = common.shape[:1]
        if (common.shape, salient.shape) != ((*n, self.common_dim), (*n, self.salient_dim)):
            raise DataError(
                f"common and salient: wanted codes of shapes (n, {self.common_dim}) and "
                f"(n, {self.salient_dim}), got {common.shape} and {salient.shape}"
            )
        u = self._adapter.decoder_covariates(covariates, len(common))
        decoded = self._decode(_beside(common, u), self._gate_salient(salient))
        return decoded if standardised else self._in_units(decoded)

    def reconstruct(
        self,
        X: Any,
        salient: Literal["own", "none"] = "own",
        *,
        without: str | None = None,
        at: Mapping[str, Any] | None = None,
    ) -> AnyArray:
        """
        Decode the codes of samples, with their salient part or without it.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.
        salient : {"own", "none"}, default="own"
            "own" decodes [c, s], "none" decodes [c, s' = 0].
        without : str, default=None
            Block of `salient_blocks_` that is set to s' = 0, such as "salient of SZ"; other names raise
            DataError.
        at : dict of str to object, default=None
            Values of covariates of `residualise` and `condition_on`, or of the site, that all samples get
            instead of their own: {"age": 60} is the same person at age 60, as far as the regression on
            controls, or the decoder, says. Other names raise DataError.

        Returns
        -------
        ndarray of the shape of X
            In the units of X: images in [0, 1], volumes normalised like the input.
        """
        common, kept = self._given(self.prepare(X), salient, X, at)
        if without is not None:
            check_choice("without", without, list(self.salient_blocks_) or ["None"])
            kept[:, self.salient_blocks_[without]] = 0
        return self._adapter.inverse_transform(self._decode(common, kept), X, at)

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
        source = self.prepare(X)
        common, kept = self._given(source, salient, X)
        errors, values = [], np.float64(self._adapter.n_observed)
        with self._inference():
            for part in chunks(len(source), self._chunk_rows()):
                decoded = self._decode(common[part], kept[part])
                x = in_unit_range(source.take(part).x)
                errors.append(((x - decoded) ** 2).reshape(len(part), -1).sum(axis=1) / values)
        return np.concatenate(errors)

    def error_of_mean(self, X: Any) -> AnyArray:
        """
        Return the mean squared error of drawing the mean of X for each sample, for `reconstruction_error`.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Errors in the units of `reconstruction_error`.
        """
        source, values = self.prepare(X), np.float64(self._adapter.n_observed)
        parts = chunks(len(source), self._chunk_rows())
        mean = sum(in_unit_range(source.take(part).x).sum(axis=0, dtype=float) for part in parts) / len(
            source
        )
        errors = [
            ((in_unit_range(source.take(part).x) - mean) ** 2).reshape(len(part), -1).sum(axis=1)
            for part in chunks(len(source), self._chunk_rows())
        ]
        return np.concatenate(errors) / values

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
            Decoded [c_a, s_b], in the units of X, with the covariates of `a`.
        """
        common, salient = self.encode(a).common_mean, self.encode(b).salient_mean
        if len(common) != len(salient):
            sizes = f"{len(common)} and {len(salient)}"
            raise DataError(f"swap: wanted as many samples in a as in b, got {sizes}")
        common = _beside(common, self._decoder_covariates(a, len(common)))
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
            that is text, such as "autism". If severities were fitted, a severity in [0, 1]: the share of
            `severity_max_` if an attribute holds them, whereas `predict` returns the attribute's units.
            Several targets are 1, 2, .. in the order of `classes_`. VAEs draw s of one of them from
            p(s) p(y = k given s), with their salient classifier; linear methods have one prior for all.
        random_state : int or None, default=None
            Seed; None draws one.

        Returns
        -------
        ndarray of shape (n, ...)
            In the units of X; images in [0, 1]. Residualised tables are those of an average control, and with
            `condition_on` all are average people; `decode` takes the covariates of others.
        """
        check_is_fitted(self)
        check_number("n", n, least=1, whole=True)
        self._labels.salient_std(y)  # raises for other labels
        if random_state is not None:
            check_number("random_state", random_state, least=0, whole=True, or_else="None")
        rng = np.random.default_rng(random_state)
        common, salient = rng.normal(size=(n, self.common_dim)), self._draw_salient(n, y, rng)
        common = _beside(common, self._adapter.decoder_covariates(None, n))
        return self._in_units(self._decode(common, salient))

    def _given(
        self, source: Source, salient: str, X: Any, at: Mapping[str, Any] | None = None
    ) -> tuple[AnyArray, AnyArray]:
        """Return what the decoder gets for samples X, with their salient part or without it."""
        check_choice("salient", salient, ("own", "none"))
        u = self._decoder_covariates(X, len(source), at)
        codes = self._encode(source)
        common = _beside(codes.common_mean, u)
        return common, self._gate_salient(codes.salient_mean) * (salient == "own")

    def _decoder_covariates(self, X: Any, n: int, at: Mapping[str, Any] | None = None) -> AnyArray | None:
        """Return the covariates of samples, and the values of `at`, as the decoder gets them, or None."""
        return self._adapter.decoder_covariates(self._adapter.covariates(X, at), n)

    def _draw_salient(self, n: int, y: float | str, rng: np.random.Generator) -> AnyArray:
        """Return what the decoder gets for new samples of label y."""
        return rng.normal(size=(n, self.salient_dim)) * self._labels.salient_std(y)

    def _gate_salient(self, salient: AnyArray) -> AnyArray:
        """Return the salient code that the decoder gets; labels are not known."""
        return salient

    def _in_units(self, decoded: AnyArray, X: Any = None) -> AnyArray:
        """Return decoded samples in input units, with the covariates of X or those of an average control."""
        return self._adapter.inverse_transform(decoded, X)

    def _chunk_rows(self) -> int:
        return TABLE_ROWS if len(self.sample_shape_) == 1 else chunk_rows(self.sample_shape_, IMAGES)

    def _inference(self) -> AbstractContextManager[Any]:
        """Hold resources of `_decode` over several calls; here none."""
        return nullcontext()


def _beside(common: AnyArray, u: AnyArray | None) -> AnyArray:
    """Return [c, u], what the decoder gets before s; c without covariates."""
    return common if u is None else np.concatenate([common, u], axis=1)
