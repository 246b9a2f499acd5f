"""Directions in the salient space that a person can be moved along, and how far training codes go."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sepvae.batch import AnyArray
from sepvae.codes import Blocks, principal_components

Basis = Literal["components", "dimensions"]
MOST_COMPONENTS, MOST_DIMENSIONS = 6, 32  # sliders
LEAST_SHARE = 0.01  # of the salient variance, for a component


@dataclass(frozen=True)
class SalientAxes:
    """Orthonormal directions (k, salient_dim) from the mean of training codes, and their range there (k,)."""

    names: list[str]
    directions: AnyArray
    centre: AnyArray
    low: AnyArray
    high: AnyArray

    def positions(self, salient: AnyArray) -> AnyArray:
        """Return where a salient code (salient_dim,) is along each direction (k,)."""
        return np.asarray(self.directions @ (salient - self.centre))

    def moved(self, salient: AnyArray, positions: AnyArray) -> AnyArray:
        """Return a salient code moved to these positions; what no direction spans stays."""
        return np.asarray(salient + (positions - self.positions(salient)) @ self.directions)


def salient_axes(codes: AnyArray, blocks: Blocks, basis: Basis) -> SalientAxes:
    """Return directions from training codes (n, salient_dim): of most variance, or the dimensions."""
    codes = codes.astype(float)
    names, directions = (_dimensions if basis == "dimensions" else _components)(codes, blocks)
    centre = codes.mean(axis=0) if basis == "components" else np.zeros(codes.shape[1])
    along = (codes - centre) @ directions.T
    return SalientAxes(names, directions, centre, along.min(axis=0), along.max(axis=0))


def _dimensions(codes: AnyArray, blocks: Blocks) -> tuple[list[str], AnyArray]:
    """Return the dimensions that vary most, in their order, with the block of each."""
    kept = np.sort(np.argsort(-codes.std(axis=0), kind="stable")[:MOST_DIMENSIONS])
    of = {i: f" ({name})" for name, part in blocks.items() for i in range(codes.shape[1])[part]}
    return [f"salient{i}{of.get(int(i), '')}" for i in kept], np.eye(codes.shape[1])[kept]


def _components(codes: AnyArray, blocks: Blocks) -> tuple[list[str], AnyArray]:
    """Return the first principal components, of all dimensions or of each block, with their variance."""
    parts, total = blocks or {"": slice(None)}, codes.var(axis=0).sum() or 1.0
    names: list[str] = []
    directions: list[AnyArray] = []
    for block, part in parts.items():
        components, _ = principal_components(codes[:, part])
        for i, component in enumerate(components[: max(2, MOST_COMPONENTS // len(parts))]):
            whole = np.zeros(codes.shape[1])
            whole[part] = component
            share = (codes @ whole).var() / total
            if share >= LEAST_SHARE or not names:
                names.append(f"Component {i + 1}{f' of {block}' * bool(block)} ({share:.0%})")
                directions.append(whole)
    return names, np.stack(directions)
