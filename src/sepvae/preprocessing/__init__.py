"""Preprocessing, fitted on the training part and inverted after decoding: sites, covariates, scaling."""

from sepvae.preprocessing.harmonizer import Harmonizer
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.preprocessing.scaler import TableScaler

__all__ = ["Harmonizer", "Residualizer", "TableScaler"]
