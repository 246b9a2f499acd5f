"""Gradient norms of each weighted term at each encoder, on one batch."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from sepvae.errors import DataError
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.fit import seeded
from sepvae.training.module import as_input
from sepvae.training.objective import Objective
from sepvae.training.sampling import draw_noise

ENCODERS = ("common_encoder", "salient_encoder")


def gradient_norms(
    objective: Objective,
    model: ContrastiveAutoencoder,
    x: Tensor | npt.ArrayLike,
    y: Tensor | npt.ArrayLike,
    *,
    u: npt.NDArray[np.float32] | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Return the norm of each weighted term's gradient at each encoder, in training mode, one row per term.

    `value` is the unweighted mean over the batch. All terms use the same noise. The model and the global
    generators stay unchanged. `x` holds images as uint8 or in [0, 1], or standardised tables; `u` covariates.

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
        x = as_input(x, like.dtype)
        codes = objective.posterior(copy.encode(x), y)
        noise = draw_noise(codes, torch.Generator(x.device).manual_seed(random_state))
        given = () if u is None else (torch.as_tensor(u, device=x.device, dtype=x.dtype),)
        losses = objective.losses(copy, x, y, codes, noise, *given)
        rows = []
        for name, weight in losses.weights.items():
            mean = losses.terms[name].mean()
            norms = _norms(mean, [getattr(copy, encoder) for encoder in ENCODERS])
            rows.append([name, weight, float(mean.detach()), *(abs(weight) * norm for norm in norms)])
    return pd.DataFrame(rows, columns=["term", "weight", "value", *ENCODERS])


def _norms(mean: Tensor, parts: Sequence[nn.Module]) -> list[float]:
    """Return the norm of the gradient at each part, unweighted: a weight of 1e-10 squared would underflow."""
    learnt = [[p for p in part.parameters() if p.requires_grad] for part in parts]
    flat = [parameter for group in learnt for parameter in group]
    if not (mean.requires_grad and flat):
        return [0.0 for _ in parts]
    found = iter(torch.autograd.grad(mean, flat, retain_graph=True, allow_unused=True))
    gradients = [[next(found) for _ in group] for group in learnt]
    return [sum(float(g.double().square().sum()) for g in own if g is not None) ** 0.5 for own in gradients]
