"""Maps of targets by severity: means of the mild, the middle and the severe third, and the slope."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.interpretation.maps import Moments
from sepvae.methods.base import ContrastiveEstimator
from sepvae.run_folder import THIRDS


def target_severities(
    model: ContrastiveEstimator, source: Source, targets: IntArray
) -> npt.NDArray[np.float64]:
    """Return the severity of targets (n,) in the attribute that a model was fitted by; NaN for all others."""
    severities, name = np.full(len(source), np.nan), model.get_params().get("severity")
    if name is not None and name in source.attributes:
        severities[targets] = source.attributes[name].to_numpy(float)[targets]
    return severities


class SeverityMaps:
    """
    Means of thirds, and the least-squares slope, of maps that arrive in chunks and are not kept.

    `severities` (n,) are those of all samples of the maps, NaN where a sample is not to be used. Equal
    severities are in one third.
    """

    def __init__(self, severities: npt.NDArray[np.float64]) -> None:
        known = np.flatnonzero(np.isfinite(severities))
        self.severities, values = severities, severities[known]
        edges = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else np.zeros(2)
        third = np.searchsorted(edges, values)
        self.thirds = {name: known[third == i] for i, name in enumerate(THIRDS)}
        self.possible = all(map(len, self.thirds.values()))
        self._means = {name: Moments() for name in THIRDS}
        self._centred = np.nan_to_num(severities - (values.mean() if len(values) else 0.0))
        self._product: npt.NDArray[np.float64] = np.zeros(())  # sum of centred severities times maps

    def add(self, positions: IntArray, added: AnyArray) -> None:
        """Update with the maps of the samples at these positions."""
        for name, third in self.thirds.items():
            self._means[name].add(added[np.isin(positions, third)])
        self._product = self._product + np.tensordot(self._centred[positions], added.astype(float), axes=1)

    def maps(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the mean of each third, and the slope per unit of severity; no maps if a third is empty."""
        if not self.possible:
            return {}
        means = {f"mean{name}": moments.mean for name, moments in self._means.items()}
        return means | {"slope": self._product / float((self._centred**2).sum())}

    def table(self, strength: AnyArray) -> pd.DataFrame:
        """Return one row per third: its number of targets, severities, and mean absolute map."""
        thirds = [(name, self.severities[third], strength[third]) for name, third in self.thirds.items()]
        rows = [(name, len(y), y.min(), y.max(), added.mean()) for name, y, added in thirds]
        return pd.DataFrame(rows, columns=["third", "n", "least", "most", "mean_absolute"])
