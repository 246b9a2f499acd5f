"""`Grid`: positions of voxels, the mask of valid ones, and the window of them that the network sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """
    Voxels that all volumes share, along the axes R, A, S (to the right, to the front, upwards).

    >>> grid = Grid((3, 4, 5), np.diag([2.0, 2.0, 2.0, 1.0]), size=(4, 4, 4))
    >>> window = grid.window(np.ones((3, 4, 5)))
    >>> window.shape, int(window.sum()), grid.back(window).shape
    ((4, 4, 4), 48, (3, 4, 5))
    """

    shape: Shape  # voxels along each axis
    affine: npt.NDArray[np.float64]  # (4, 4), from voxel indices to millimetres
    size: Shape = (0, 0, 0)  # of the window, at the centre of the grid; by default `shape`
    mask: npt.NDArray[np.bool_] | None = None  # valid voxels (the brain), of shape `shape`; None for all
    axes: str = "RAS"  # orientation in which maps of a group are written: that of the first image
    oriented: bool = True  # False if neither files nor user give an orientation: nibabel's default is used

    def __post_init__(self) -> None:
        if not any(self.size):
            object.__setattr__(self, "size", self.shape)

    def __str__(self) -> str:
        return f"{dims(self.shape)} voxels of {dims(self.voxel_size)} mm"

    @property
    def voxel_size(self) -> npt.NDArray[np.float64]:
        """Edge lengths of a voxel, in millimetres."""
        edges: npt.NDArray[np.float64] = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return edges

    @cached_property
    def valid_mask(self) -> npt.NDArray[np.bool_]:
        """Valid voxels of the window, of shape `size`: those of the mask, without padding."""
        return self.window(np.ones(self.shape, dtype=bool) if self.mask is None else self.mask)

    @property
    def mask_words(self) -> str | None:
        """Size of the mask, such as "mask: 5616 of 32768 voxels (17 %)"; None without a mask."""
        if self.mask is None:
            return None
        n, of = int(self.mask.sum()), self.mask.size
        window = f", {int(self.valid_mask.sum())} in the window" if self.size != self.shape else ""
        return f"mask: {n} of {of} voxels ({100 * n / of:.0f} %){window}"

    def same_place(self, other: "Grid") -> bool:
        """Return whether voxel positions agree to a thousandth of a voxel; windows and masks may differ."""
        least = 1e-3 * self.voxel_size.min()
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
        corners[:, :3] *= np.array(self.shape) - 1
        apart = corners @ (self.affine - other.affine).T
        return self.shape == other.shape and bool(np.abs(apart).max() < least)

    def window(self, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of voxels (.., *shape), cropped or padded with zeros at the centre to (.., *size)."""
        return _centred(voxels, self.size)

    def back(self, window: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a window (.., *size) as voxels (.., *shape), zero outside of the window and of the mask."""
        voxels = _centred(window, self.shape)
        return voxels if self.mask is None else voxels * self.mask

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return all fields for storage: arrays, and the others as JSON accepts them."""
        arrays = {"affine": self.affine} if self.mask is None else {"affine": self.affine, "mask": self.mask}
        about = {"shape": list(self.shape), "size": list(self.size), "axes": self.axes}
        return arrays, about if self.oriented else about | {"oriented": False}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> Self:
        """Restore a grid from the results of `state`."""
        (a, b, c), (d, e, f) = about["shape"], about["size"]
        mask, oriented = arrays.get("mask"), about.get("oriented", True)
        return cls((a, b, c), arrays["affine"], (d, e, f), mask, about["axes"], oriented)


def dims(numbers: Any) -> str:
    """
    Format one number per axis.

    >>> dims((1.5, 2, 2))
    '1.5 x 2 x 2'
    """
    return " x ".join(f"{float(n):g}" for n in numbers)


def _centred(voxels: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Crop or pad the last three axes at the centre; there and back, every voxel keeps its position."""
    result = np.zeros((*voxels.shape[:-3], *shape), voxels.dtype)
    sides = list(zip(voxels.shape[-3:], shape, strict=True))

    def middle(pairs: list[tuple[int, int]]) -> tuple[Any, ...]:
        """Return the slices at the centre of the first sizes that fit into the second ones."""
        # Same rounding in both directions, so that an odd excess goes to the same side.
        starts = [max(size - other, 0) // 2 for size, other in pairs]
        return ..., *(slice(i, i + min(pair)) for i, pair in zip(starts, pairs, strict=True))

    result[middle([(new, old) for old, new in sides])] = voxels[middle(sides)]
    return result
