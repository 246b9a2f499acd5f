"""Lightning's trainer for fits in any thread: quiet, seeded, and with batch norm over all processes."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, distributed, nn

from sepvae.errors import DataError
from sepvae.process_wide import ProcessWideContext, ignoring
from sepvae.training.distributed import all_reduce_sum, is_alone


def make_trainer(callbacks: list[Callback], strategy: Any, **keywords: Any) -> pl.Trainer:
    """Create a Lightning trainer for batches already split by rank and two backward passes a step."""
    plugins: list[Any] = [SyncBatchNorm()]
    if is_alone(keywords["devices"], keywords["num_nodes"]):
        plugins.append(LightningEnvironment())  # ignores the variables of a scheduler
    try:
        trainer = pl.Trainer(
            callbacks=callbacks,
            strategy=strategy,
            plugins=plugins,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **keywords,
        )
    except (MisconfigurationException, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"accelerator, devices, strategy or precision: {reason}") from error
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise DataError(
            f"strategy: wanted ddp, or another whose processes run the whole script, got {strategy!r}; "
            "run it as a script, not in a notebook"
        )
    if strategy in ("auto", "ddp") and isinstance(trainer.strategy, DDPStrategy):
        # Each of the two backward passes reaches only some parameters, which DDP does not expect by default.
        return make_trainer(callbacks, "ddp_find_unused_parameters_true", **keywords)
    for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop.val_loop):
        loop.setup_data = partial(_one_at_a_time, loop.setup_data)  # type: ignore[method-assign]
    return trainer


def run(
    trainer: pl.Trainer, module: pl.LightningModule, batches: pl.LightningDataModule, state: Path | None
) -> None:
    """Train, from a saved state if there is one; exit on SIGTERM, and raise KeyboardInterrupt on Ctrl-C."""
    try:
        trainer.fit(module, batches, ckpt_path=state, weights_only=True)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)  # exit status as in a shell; Lightning sets none
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into SystemExit
            raise KeyboardInterrupt from None
        raise


_asking = threading.RLock()


def _one_at_a_time(setup_data: Callable[[], None]) -> None:
    """Run `setup_data` in one thread at a time: Lightning patches the class DataLoader meanwhile."""
    with _asking:
        setup_data()


def sets_default_dtype(precision: Any) -> bool:
    """Return whether Lightning sets the default dtype of the process, so that threads must take turns."""
    return str(precision) in ("64-true", "64", "bf16-true", "16-true")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators for the user's modules, and restore them at the end."""
    with _generators():
        torch.manual_seed(seed)
        yield


@ProcessWideContext
def _generators() -> Any:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    return torch.random.fork_rng(devices=devices)


@ProcessWideContext
@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advice about choices that are deliberate here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with ignoring(
            ".*does not have many workers.*",  # data in memory need no workers
            ".*have no `val_dataloader`.*",  # with validation_fraction=0
            ".*GPU available but not used.*",
            ".*is smaller than the logging interval.*",
            ".*callbacks used to create the checkpoint.*",  # a user's callback that is absent now
            ".*isinstance.treespec, LeafSpec.*",  # from Lightning's own code
        ):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SyncBatchNorm(TorchSyncBatchNorm):
    """Batch norm over the batch of all processes of a fit, also on CPUs: torch's own needs GPUs."""

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
