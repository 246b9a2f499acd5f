"""Methods: each its loss terms, on the same networks, training, data and evaluation."""

from sepvae.methods._saving import load
from sepvae.methods.sepvae import SepVAE

METHODS = ("SepVAE",)
__all__ = ["SepVAE", "load"]
