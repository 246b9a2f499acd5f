"""Preprocessing that is fitted on the training part and inverted after decoding: scaling and residuals."""

from sepvae.preprocessing.residualizer import Residualizer
from sepvae.preprocessing.scaler import TableScaler

__all__ = ["Residualizer", "TableScaler"]
