"""`Mesh`: vertices of both hemispheres of the cortex, those of them that are valid, and their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

# Vertices of a hemisphere. Each mesh subdivides the one before it, whose vertices stay the first ones.
MESHES = {"fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842}
SIDES = ("L", "R")
VERTEX = re.compile(r"(fsaverage[56]?)_([lr])h_(\d{1,6})")


def mesh_name(n_vertices: int) -> str:
    """Return the name of the mesh with so many vertices a hemisphere."""
    return next(name for name, n in MESHES.items() if n == n_vertices)


@dataclass(frozen=True, eq=False)
class Mesh:
    """
    Vertices that all surfaces share. A surface is a row of a table whose features are the valid vertices.

    >>> mesh = Mesh("fsaverage5", np.arange(2 * 10242).reshape(2, -1) % 10242 > 10239)
    >>> mesh.features
    ['fsaverage5_lh_10240', 'fsaverage5_lh_10241', 'fsaverage5_rh_10240', 'fsaverage5_rh_10241']
    >>> Mesh.of_features(mesh.features).back(np.ones(4)).sum(axis=1).tolist()
    [2.0, 2.0]
    """

    name: str  # in MESHES
    valid: npt.NDArray[np.bool_]  # (2, vertices), left hemisphere first

    def __str__(self) -> str:
        return f"{self.name}, 2 x {self.valid.shape[1]} vertices"

    @property
    def words(self) -> str:
        """Numbers of vertices, such as "surfaces: 9361 + 9354 of 2 x 10242 vertices (fsaverage5)"."""
        left, right = self.valid.sum(axis=1).tolist()
        total = f"{left} + {right} of 2 x {self.valid.shape[1]} vertices ({self.name})"
        n = self.valid.size - left - right
        gone = f"; {n} are 0 or missing in everyone (medial wall): left out" if n else ""
        return f"surfaces: {total}{gone}"

    @cached_property
    def features(self) -> list[str]:
        """Names of the valid vertices, as a table and a model file have them."""
        sides, vertices = np.nonzero(self.valid)
        return [f"{self.name}_{'lr'[side]}h_{vertex}" for side, vertex in zip(sides, vertices, strict=True)]

    @classmethod
    def of_features(cls, names: Iterable[Any] | None) -> Self | None:
        """Return the mesh whose valid vertices these features are, in order; None for other features."""
        names = [] if names is None else [str(name) for name in names]
        found = [match.groups() for name in names if (match := VERTEX.fullmatch(name))]
        if not names or len(found) < len(names):
            return None
        name = found[0][0]
        valid = np.zeros((2, MESHES[name]), dtype=bool)
        for _, side, vertex in found:
            if int(vertex) < valid.shape[1]:
                valid["lr".index(side), int(vertex)] = True
        mesh = cls(name, valid)
        return mesh if mesh.features == names else None

    @classmethod
    def of_vertices(cls, valid: npt.NDArray[np.bool_]) -> Self:
        """Return the mesh with as many vertices as `valid` (2, vertices)."""
        return cls(mesh_name(valid.shape[1]), valid)

    def back(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values (.., features) on all vertices, (.., 2, vertices), 0 where these are not valid."""
        whole = np.zeros((*values.shape[:-1], *self.valid.shape), values.dtype)
        whole[..., self.valid] = values
        return whole
