"""`Grid`: where the voxels of a brain are, which of them count, and what window of them a network sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:  # numpydoc ignore=PR02
    """
    Voxels that all volumes share, along the axes R, A, S: rightwards, to the front, upwards.

    Shapes: affine (4, 4).

    Examples
    --------
    >>> grid = Grid((3, 4, 5), np.diag([2.0, 2.0, 2.0, 1.0]), size=(4, 4, 4))
    >>> window = grid.window(np.ones((3, 4, 5)))
    >>> window.shape, int(window.sum()), grid.back(window).shape
    ((4, 4, 4), 48, (3, 4, 5))
    """

    shape: Shape
    affine: npt.NDArray[np.float64]
    size: Shape = (0, 0, 0)
    mask: npt.NDArray[np.bool_] | None = None
    axes: str = "RAS"
    oriented: bool = True

    def __post_init__(self) -> None:
        if not any(self.size):
            object.__setattr__(self, "size", self.shape)

    def __str__(self) -> str:
        return f"{told(self.shape)} voxels of {told(self.voxel_size)} mm"

    @property
    def voxel_size(self) -> npt.NDArray[np.float64]:  # numpydoc ignore=RT01,SS05
        """Edges of a voxel, in millimetres."""
        edges: npt.NDArray[np.float64] = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return edges

    @cached_property
    def counts(self) -> npt.NDArray[np.bool_]:  # numpydoc ignore=RT01,SS05
        """Voxels of the window that count, of shape `size`: those of the mask, without padding."""
        return self.window(np.ones(self.shape, dtype=bool) if self.mask is None else self.mask)

    @property
    def mask_words(self) -> str | None:  # numpydoc ignore=RT01,SS05
        """How many voxels the mask holds, such as "mask: 5616 of 32768 voxels (17 %)"; None without one."""
        if self.mask is None:
            return None
        n, of = int(self.mask.sum()), self.mask.size
        window = f", {int(self.counts.sum())} in the window" if self.size != self.shape else ""
        return f"mask: {n} of {of} voxels ({100 * n / of:.0f} %){window}"

    def same_place(self, other: "Grid") -> bool:
        """Whether voxels of both are at the same places, to a thousandth of a voxel."""
        least = 1e-3 * self.voxel_size.min()
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
        corners[:, :3] *= np.array(self.shape) - 1
        apart = corners @ (self.affine - other.affine).T
        return self.shape == other.shape and bool(np.abs(apart).max() < least)

    def window(self, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """
        Take what the network sees: crop or pad with zeros, at the centre.

        Shapes: voxels (.., *shape); returns (.., *size).
        """
        return _centred(voxels, self.size)

    def back(self, window: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """
        Put what the network gave in its place; zero where it saw nothing, and out of the mask.

        Shapes: window (.., *size); returns (.., *shape).
        """
        voxels = _centred(window, self.shape)
        return voxels if self.mask is None else voxels * self.mask

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Give all of it to be kept in files."""
        arrays: dict[str, npt.NDArray[Any]] = {"affine": self.affine}
        if self.mask is not None:
            arrays["mask"] = self.mask
        return arrays, {"shape": list(self.shape), "size": list(self.size), "axes": self.axes} | (
            {} if self.oriented else {"oriented": False}
        )

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> Self:
        """Make it again."""
        shape, size = (_three(about[name]) for name in ("shape", "size"))
        return cls(
            shape, arrays["affine"], size, arrays.get("mask"), about["axes"], about.get("oriented", True)
        )


def told(numbers: Any) -> str:
    """
    Write numbers of three axes.

    Examples
    --------
    >>> told((1.5, 2, 2))
    '1.5 x 2 x 2'
    """
    return " x ".join(f"{float(n):g}" for n in numbers)


def _three(numbers: Any) -> Shape:
    a, b, c = (int(n) for n in numbers)
    return a, b, c


def _centred(voxels: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Crop or pad the last three axes; there and back again puts every voxel where it was."""
    result = np.zeros((*voxels.shape[:-3], *shape), voxels.dtype)
    into: list[Any] = [...]
    out_of: list[Any] = [...]
    for old, new in zip(voxels.shape[-3:], shape, strict=True):
        # One rounding for both ways: the middle of an odd excess goes to the same side.
        excess, n = abs(old - new) // 2, min(old, new)
        into.append(slice(excess, excess + n) if new > old else slice(0, n))
        out_of.append(slice(excess, excess + n) if old > new else slice(0, n))
    result[tuple(into)] = voxels[tuple(out_of)]
    return result
