"""
A new method in one file
========================

After this example you can add a term to a loss, and use the new method as any other.

The method is SepVAE with a penalty on the size of salient codes, for patients who differ
by few of the salient factors each. The data are a simulated table: each patient has one of
four lesions, each of which changes five measures.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from sepvae import SepVAE
from sepvae.methods.sepvae_objective import SepVAEObjective


@dataclass(frozen=True)
class SparseObjective(SepVAEObjective):
    """Loss of SepVAE + salient_l1 * [y = 1] * ||E[q(s | x)]||_1."""

    salient_l1: float = 0.0

    def terms(self, model, sample):
        """Return weight and value of each term by name; values have shape (batch,)."""
        l1 = (sample.y != 0) * sample.codes.salient_mean.abs().sum(dim=1)
        return super().terms(model, sample) | {"salient_l1": (self.salient_l1, l1)}


@dataclass(eq=False, repr=False)
class SparseSepVAE(SepVAE):
    """
    SepVAE for targets that differ by few salient factors each.

    Parameters
    ----------
    salient_l1 : float, default=1.0
        Weight of the L1 norm of the salient means of targets.
    """

    salient_l1: float = 1.0

    def objective(self):
        """Return the loss with these keywords."""
        return SparseObjective(**vars(super().objective()), salient_l1=self.salient_l1)


print(SparseSepVAE(salient_l1=0.5).get_params()["salient_l1"])

# %%
# Patients with one lesion each
# -----------------------------
rng, n = np.random.default_rng(0), 900
y = np.where(np.arange(n) % 2, "patient", "control")
lesion = rng.integers(0, 4, n)
X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 20)) + rng.normal(0, 0.5, (n, 20))
X += (
    np.kron(np.eye(4), np.ones(5))[lesion]
    * rng.uniform(1, 4, (n, 1))
    * (y == "patient")[:, None]
)

# %%
# Fit with and without the term
# -----------------------------
# With weight 0 the method is SepVAE itself. The new term is logged like all others.
how = {"common_dim": 4, "salient_dim": 6, "batch_size": 32, "max_epochs": 19}
how |= {"progress_bar": False}
codes = {}
for weight in (0.0, 0.3):
    model = SparseSepVAE(salient_l1=weight, **how).fit(X[:600], y[:600])
    codes[weight] = model.encode(X[600:]).salient_mean[y[600:] == "patient"]
print([name for name in model.history_ if name.startswith("train_salient_l1")])

# %%
order = np.argsort(lesion[600:][y[600:] == "patient"], kind="stable")
figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharey=True, layout="constrained")
for ax, (weight, of_patients) in zip(axes, codes.items(), strict=True):
    image = ax.imshow(
        np.abs(of_patients[order]), aspect="auto", cmap="Oranges", vmin=0, vmax=2.5
    )
    ax.set(title=f"salient_l1 = {weight:g}", xlabel="salient dimension")
axes[0].set_ylabel("held-out patients, by lesion")
figure.colorbar(image, ax=axes, label="size of the salient mean")

# %%
for weight, of_patients in codes.items():
    share = (np.abs(of_patients) < 0.1).mean()
    print(f"salient_l1 = {weight:g}: {share:.0%} of salient means are near 0")

# %%
# The term does what it says. Pale rows are a lesion that these short fits did not take up
# in the salient codes. Whether sparse codes are better codes is a question for probes
# against chance, and for more than one seed.
