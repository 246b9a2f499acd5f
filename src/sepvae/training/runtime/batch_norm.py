"""Batch normalisation over the batch of all processes, also on CPUs: torch's own needs GPUs."""

from functools import partial

import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, distributed, nn

from sepvae.training.distributed import all_reduce_sum

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SyncBatchNorm(TorchSyncBatchNorm):
    """Plugin that synchronises batch norms; Lightning calls it only in a fit on several processes."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Make all batch norms of a model use the whole batch; the model must be on its device."""
        if next(model.parameters()).is_cuda:
            return super().apply(model)
        for module in _batch_norms(model):
            module.forward = partial(_normalised, module)  # type: ignore[method-assign]
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Make all batch norms use the samples of their own process again."""
        for module in _batch_norms(model):
            module.__dict__.pop("forward", None)
        return super().revert(model)


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, BATCH_NORMS)]


def _normalised(module: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """Apply batch norm with the mean and variance over all processes, each with the same number of rows."""
    if not module.training:
        own: Tensor = type(module).forward(module, x)
        return own
    world, axes, shape = distributed.get_world_size(), [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    full = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean = all_reduce_sum(full.mean(axes), world) / world
    centred = full - mean.view(shape)
    variance = all_reduce_sum(centred.square().mean(axes), world) / world
    _note(module, mean.detach(), variance.detach(), x.numel() // x.shape[1] * world)
    normal = centred * (variance + module.eps).rsqrt().view(shape)
    if module.weight is not None:
        normal = normal * module.weight.view(shape) + module.bias.view(shape)
    return normal.to(x.dtype)


def _note(module: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Update the running statistics as torch does, with the unbiased variance."""
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked += 1
    momentum = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    with torch.no_grad():
        module.running_mean.lerp_(mean, momentum)
        module.running_var.lerp_(variance * n / (n - 1), momentum)
