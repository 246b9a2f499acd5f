"""SepVAE with one more loss term: sparse salient codes of targets."""

from dataclasses import dataclass

from sepvae import SepVAE
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.objective import LatentSample, Terms


@dataclass(frozen=True)
class SparseSepVAEObjective(SepVAEObjective):
    """Loss of SepVAE + salient_l1 * [y = 1] * ||E[q(s | x)]||_1."""

    salient_l1: float = 0.0

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return weight and value of each term by name; values have shape (batch,)."""
        l1 = (sample.y != 0) * sample.codes.salient_mean.abs().sum(dim=1)
        return super().terms(model, sample) | {"salient_l1": (self.salient_l1, l1)}


@dataclass(eq=False, repr=False)
class SparseSepVAE(SepVAE):
    """
    SepVAE for targets that differ by few salient factors each, such as one of several lesions.

    Parameters
    ----------
    salient_l1 : float, default=1.0
        Weight of the L1 norm of the salient means of targets.
    """

    salient_l1: float = 1.0

    ablations = SepVAE.ablations | {"no L1": {"salient_l1": 0.0}}

    def objective(self) -> SparseSepVAEObjective:
        """Return the loss with these keywords."""
        return SparseSepVAEObjective(**vars(super().objective()), salient_l1=self.salient_l1)
