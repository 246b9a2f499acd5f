"""Gradient norms of each weighted term at each encoder, on one batch."""

from collections.abc import Sequence
from copy import deepcopy

import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from sepvae.errors import DataError
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.module import as_input
from sepvae.training.objective import ContrastiveObjective, draw_noise
from sepvae.training.trainer import seeded

ENCODERS = ("common_encoder", "salient_encoder")


def gradient_norms(
    objective: ContrastiveObjective,
    model: ContrastiveAutoencoder,
    x: Tensor | npt.ArrayLike,
    y: Tensor | npt.ArrayLike,
    *,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Return the norm of each weighted term's gradient at each encoder, in training mode, one row per term.

    `value` is the unweighted mean over the batch. All terms use the same noise. The model and the global
    generators stay unchanged. `x` holds images as uint8 or in [0, 1], or standardised tables.

    >>> from sepvae import SepVAE
    >>> from sepvae.networks.autoencoder import build_autoencoder
    >>> model = build_autoencoder("mlp", (5,), common_dim=3, salient_dim=2, n_groups=2)
    >>> norms = gradient_norms(SepVAE(gamma=0).objective(), model, torch.randn(4, 5), [0, 0, 1, 1])
    >>> norms.set_index("term").loc["salient_classification", ["weight", "salient_encoder"]].tolist()
    [0.0, 0.0]
    """
    like = next(model.parameters())
    x, y = (torch.as_tensor(part, device=like.device) for part in (x, y))
    if len(x) != len(y) or len(x) < 2:
        sizes = f"{len(x)} samples and {len(y)} groups"
        raise DataError(f"gradient_norms: wanted two or more samples and a group each, got {sizes}")
    y = y if y.is_floating_point() else y.long()
    with torch.enable_grad(), seeded(random_state):
        copy = deepcopy(model).train()
        means, weights = _mean_terms(objective, copy, as_input(x, like.dtype), y, random_state)
        encoders = [getattr(copy, name) for name in ENCODERS]
        norms = {name: _norms(mean, encoders) for name, mean in means.items()}
    rows = [
        [name, weight, float(means[name].detach()), *(abs(weight) * norm for norm in norms[name])]
        for name, weight in weights.items()
    ]
    return pd.DataFrame(rows, columns=["term", "weight", "value", *ENCODERS])


def _mean_terms(
    objective: ContrastiveObjective, model: ContrastiveAutoencoder, x: Tensor, y: Tensor, seed: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the batch means of the unweighted terms, computed as in a training step, and the weights."""
    codes = objective.posterior(model.encode(x), y)
    noise = draw_noise(codes, torch.Generator(x.device).manual_seed(seed))
    losses = objective.losses(model, x, y, codes, noise)
    return {name: losses.terms[name].mean() for name in losses.weights}, losses.weights


def _norms(mean: Tensor, parts: Sequence[nn.Module]) -> list[float]:
    """
    Return the norm of the unweighted gradient at each part.

    Weights are applied later: squares with a weight of 1e-10 would underflow in single precision.
    """
    if not mean.requires_grad:
        return [0.0 for _ in parts]
    learnt = [[p for p in part.parameters() if p.requires_grad] for part in parts]
    flat = [parameter for group in learnt for parameter in group]
    found = iter(torch.autograd.grad(mean, flat, retain_graph=True, allow_unused=True) if flat else ())
    sums = [sum(_square(next(found)) for _ in group) for group in learnt]
    return [total**0.5 for total in sums]


def _square(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.double().square().sum())
