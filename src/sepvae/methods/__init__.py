"""Estimators that separate common from salient codes, one class per method, and `load` for saved ones."""

from sepvae.methods.clvm import CLVM
from sepvae.methods.contrastive_pca import ContrastivePCA
from sepvae.methods.convae import ConVAE
from sepvae.methods.doubleinfogan import DoubleInfoGAN
from sepvae.methods.mmcvae import MMcVAE
from sepvae.methods.probabilistic_contrastive_pca import ProbabilisticContrastivePCA
from sepvae.methods.rbvae import RbVAE
from sepvae.methods.sepclr import SepCLR
from sepvae.methods.sepvae import SepVAE
from sepvae.methods.storing import load

__all__ = [
    "CLVM",
    "ConVAE",
    "ContrastivePCA",
    "DoubleInfoGAN",
    "MMcVAE",
    "ProbabilisticContrastivePCA",
    "RbVAE",
    "SepCLR",
    "SepVAE",
    "load",
]
