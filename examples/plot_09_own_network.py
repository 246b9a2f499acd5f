"""
Your own network
================

After this example you can fit with an encoder and a decoder of your own.

The data are simulated curves of 64 points, such as spectra or evoked potentials. All
curves have a slow wave. Those of patients also have a peak, whose place differs between
patients. Convolutions along the curve suit peaks that move.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from sepvae import SepVAE
from sepvae.data import ArraySource, split

rng, n, t = np.random.default_rng(0), 800, np.linspace(0, 1, 64)
label = np.where(np.arange(n) % 2, "patient", "control")
place = np.where(label == "patient", rng.uniform(0.2, 0.8, n), np.nan)
phase, size = rng.uniform(0, 2 * np.pi, (2, n, 1)) * [[[1]], [[0.2]]]
curves = size * np.sin(2 * np.pi * t + phase) + rng.normal(0, 0.1, (n, 64))
curves += np.nan_to_num(2 * np.exp(-(((t - place[:, None]) / 0.04) ** 2)))
source = ArraySource(curves, label, attributes=pd.DataFrame({"place": place}))
train, test = map(source.select, split(label, source.groups, test_size=0.3))

# %%
# Encoder and decoder
# -------------------
# The encoder returns any number of features; each space has a copy of it, with layers for
# mean and variance behind it. The decoder gets common and salient codes side by side.
common_dim, salient_dim = 4, 4
encoder = nn.Sequential(
    nn.Unflatten(1, (1, 64)),
    nn.Conv1d(1, 16, 7, stride=4, padding=3),
    nn.ReLU(),
    nn.Conv1d(16, 32, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.Flatten(),
)
decoder = nn.Sequential(
    nn.Linear(common_dim + salient_dim, 32 * 8),
    nn.ReLU(),
    nn.Unflatten(1, (32, 8)),
    nn.ConvTranspose1d(32, 16, 4, stride=2, padding=1),
    nn.ReLU(),
    nn.ConvTranspose1d(16, 1, 4, stride=4),
    nn.Flatten(),
)
print(encoder(torch.zeros(2, 64)).shape, decoder(torch.zeros(2, 8)).shape)

# %%
# Two fits, with own and default networks
# ---------------------------------------
how = {
    "common_dim": common_dim,
    "salient_dim": salient_dim,
    "max_epochs": 15,
}
models = {
    "own": SepVAE(network=(encoder, decoder), progress_bar=False, **how).fit(train),
    "default": SepVAE(progress_bar=False, **how).fit(train),
}
ill = test.labels == "patient"
for name, model in models.items():
    error = (
        model.reconstruction_error(test)[ill].mean() / model.error_of_mean(test)[ill].mean()
    )
    print(f"{name}: explains {1 - error:.2f} of the variance of patients, by chance 0")

# %%
# Curves without their salient part
# ---------------------------------
model, shown = models["own"], np.flatnonzero(ill)[:4]
some = test.select(shown)
full, without = model.reconstruct(some), model.reconstruct(some, salient="none")

figure, axes = plt.subplots(2, 2, figsize=(8, 5), sharey=True, layout="constrained")
for ax, curve, with_it, without_it in zip(axes.flat, some.x, full, without, strict=True):
    ax.plot(t, curve, color="0.75", label="measured")
    ax.plot(t, with_it, color="#D55E00", label="full reconstruction")
    ax.plot(t, without_it, color="#0072B2", label="without the salient part")
axes[0, 0].legend(frameon=False, fontsize=8)
figure.suptitle("Four held-out patients")

# %%
# Whether convolutions pay is a question of the data: compare the two numbers above.
