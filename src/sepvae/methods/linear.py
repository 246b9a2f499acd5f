"""`LinearEstimator`, the base of linear methods: codes along axes around the mean of the background."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from sepvae.batch import AnyArray, IntArray, Source, chunks, gather, in_unit_range
from sepvae.codes import EXACT_VARIANCE, Codes
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator, Parts
from sepvae.model_files import Shapes

AXES = ("center", "common_axes", "salient_axes", "common_scale", "salient_scale")


@dataclass(eq=False, repr=False)
class LinearEstimator(ContrastiveEstimator):
    """
    Base of linear methods: x = m + common_axes' (common_scale c) + salient_axes' (salient_scale s) + noise.

    A method implements `_learn_axes`, which sets these axes, orthonormal and one a row, and scales.

    Attributes
    ----------
    center_ : ndarray of the shape of a sample
        Mean of the background's training samples; for tables, in standardised units.
    common_axes_, salient_axes_ : ndarray of shape (dimensions, features)
        Orthonormal directions; pixels are in the order of a flattened image.
    """

    _scalars: ClassVar[tuple[str, ...]] = ()  # learnt numbers, without the trailing underscore
    _lists: ClassVar[tuple[str, ...]] = ()  # learnt lists of numbers

    def _learn_axes(self, x: AnyArray, target: AnyArray, seed: int) -> None:
        """Learn from flattened samples around the mean of the background."""
        raise NotImplementedError

    def _noise_var(self, space: str) -> float:
        """Return the variance of noise along the axes of a space; without noise codes are exact."""
        return 0.0

    def _learn(self, source: Source, y: AnyArray, parts: Parts, seed: int) -> None:
        rows, target = parts[0], y[parts[0]] > 0
        taken = ([_flat(source.take(rows[part]).x)] for part in chunks(len(rows), self._chunk_rows()))
        x = gather(len(rows), taken)[0]
        if not np.isfinite([x.min(), x.max()]).all():  # in a source on disk; other data are already checked
            raise DataError("X: wanted finite samples, got NaN or infinite values; fill them in")
        self.center_ = x.mean(axis=0, where=~target[:, None], dtype=np.float64)
        x -= self.center_
        self._learn_axes(x, target, seed)
        still = ~x.any(axis=0)  # constant features, such as voxels outside of the brain, stay constant
        self.common_axes_[:, still] = self.salient_axes_[:, still] = 0
        # Tables get float64 codes: in float32 the last digit depends on the other rows of a chunk.
        dtype = np.float64 if len(source.sample_shape) == 1 else np.float32
        for name in AXES:
            setattr(self, f"{name}_", getattr(self, f"{name}_").astype(dtype))
        self.center_ = self.center_.reshape(source.sample_shape)

    def _encode(self, source: Source) -> Codes[AnyArray]:
        """Return the posterior of codes whose prior is N(0, I), as in probabilistic PCA."""
        center = self.center_.ravel()
        spaces = [
            (self.common_axes_, self.common_scale_, self._noise_var("common")),
            (self.salient_axes_, self.salient_scale_, self._noise_var("salient")),
        ]

        def means(part: IntArray) -> list[AnyArray]:
            x = _flat(source.take(part).x) - center
            return [x @ axes.T / (scale + noise / scale) for axes, scale, noise in spaces]

        common, salient = gather(len(source), map(means, chunks(len(source), self._chunk_rows())))
        variances = [noise / (scale**2 + noise) for _, scale, noise in spaces]
        common_logvar, salient_logvar = (np.log(np.maximum(v, EXACT_VARIANCE)) for v in variances)
        return Codes(
            common,
            np.broadcast_to(common_logvar, common.shape).astype(common.dtype),
            salient,
            np.broadcast_to(salient_logvar, salient.shape).astype(salient.dtype),
        )

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        dtype = self.center_.dtype
        x: AnyArray = (common * self.common_scale_).astype(dtype) @ self.common_axes_
        x += (salient * self.salient_scale_).astype(dtype) @ self.salient_axes_
        x += self.center_.ravel()
        if self.center_.ndim == 3:  # an image
            np.clip(x, 0, 1, out=x)
        return x.reshape(len(x), *self.center_.shape)

    def _state(self) -> dict[str, AnyArray]:
        return {name: np.asarray(getattr(self, f"{name}_")) for name in (*self._scalars, *self._lists, *AXES)}

    def _state_shapes(self, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...]) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(self._scalars, (1,)) | {"center": sample_shape}
        for name in self._lists:
            shapes[name] = arrays.get(name, np.ones(1)).shape[:1]
        for space, dim in (("common", self.common_dim), ("salient", self.salient_dim)):
            shapes |= {f"{space}_axes": (dim, prod(sample_shape)), f"{space}_scale": (dim,)}
        return {name: (shape, "f") for name, shape in shapes.items()}

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:
        for name, array in arrays.items():  # files store scalars with one axis
            setattr(self, f"{name}_", array.item() if name in self._scalars else array)


def _flat(x: AnyArray) -> AnyArray:
    """Return samples as rows of floats: float32 for images and volumes, which is enough for 8 bits."""
    dtype = np.float32 if x.ndim > 2 else np.result_type(x.dtype, np.float32)
    flat: AnyArray = in_unit_range(x).astype(dtype, copy=False).reshape(len(x), -1)
    return flat
