"""
A small fit of each method on as many processes as asked for; the first writes what came out.

    python distributed_fit.py DEVICES FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from sepvae import ConVAE, DoubleInfoGAN, MMcVAE, RbVAE, SepCLR, SepVAE


class Gradients(Callback):
    """Keep the gradients of the first critic step and the first model step, by parameter."""

    def __init__(self):
        self.seen = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        step = f"gradient{trainer.optimizers.index(optimizer)}"
        if not any(name.startswith(step) for name in self.seen):
            own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
            for name, parameter in pl_module.model.named_parameters():
                if id(parameter) in own and parameter.requires_grad:
                    self.seen[f"{step} {name}"] = parameter.grad.numpy().copy()


def data():
    rng = np.random.default_rng(0)
    y = np.repeat(["healthy", "ill"], [91, 10])
    return rng.normal(size=(101, 6)) + 2 * (y == "ill")[:, None], y


METHODS = {
    "SepVAE": lambda **keywords: SepVAE(**keywords),
    "SepVAE with checkpointing": lambda **keywords: SepVAE(gradient_checkpointing=True, **keywords),
    "SepVAE without consistency": lambda **keywords: SepVAE(**SepVAE.ablations["no CONS"], **keywords),
    # Light weights: of a bias before batch norm the gradient is rounding alone, and Adam enlarges it.
    "MMcVAE": lambda **keywords: MMcVAE(common_mmd=10, background_mmd=10, **keywords),
    "RbVAE": lambda **keywords: RbVAE(**keywords),
    "DoubleInfoGAN": lambda **keywords: DoubleInfoGAN(**keywords),
    "SepCLR": lambda **keywords: SepCLR(background_weight=1, joint_entropy_weight=1, **keywords),
    "original ConVAE": lambda **keywords: ConVAE(critic="original", **keywords),
}


def fit(method, devices):
    """In double precision, with batch norm, a variance learnt over the batch, and the best epoch kept."""
    encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8, momentum=None), nn.ReLU(), nn.Linear(8, 6))
    generator = torch.Generator().manual_seed(0)
    for parameter in [*encoder.parameters(), *decoder.parameters()]:
        nn.init.normal_(parameter, std=0.5, generator=generator)
    gradients = Gradients()
    model = METHODS[method](
        common_dim=3,
        salient_dim=2,
        network=(encoder, decoder),
        batch_size=24,
        max_epochs=2,
        reset_optimizer="epoch",
        keep="best",
        learning_rate=1e-2,
        validation_fraction=0.15,
        accelerator="cpu",
        devices=devices,
        precision="64-true",
        progress_bar=False,
        callbacks=[gradients],
    )
    x, y = data()
    model.fit(x, y)
    weights = {f"weight {name}": value.numpy() for name, value in model.module_.state_dict().items()}
    history = {f"history {name}": column.to_numpy() for name, column in model.history_.items()}
    return gradients.seen | weights | history | {"codes": model.encode(x).salient_mean}


if __name__ == "__main__":
    from sepvae.training.distributed import is_first

    devices, folder = int(sys.argv[1]), Path(sys.argv[2])
    for method in METHODS:
        found = fit(method, devices)
        if is_first(devices, 1):
            np.savez(folder / f"{method}.npz", **found)
