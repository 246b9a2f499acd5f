"""Lightning's trainer for fits in any thread: quiet, seeded, and refused in one line."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException

from sepvae.errors import DataError
from sepvae.process_wide import ProcessWideContext, ignoring
from sepvae.training.distributed import is_alone
from sepvae.training.runtime.batch_norm import SyncBatchNorm


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
        loop.setup_data = _one_at_a_time(loop.setup_data)  # type: ignore[method-assign]
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


def _one_at_a_time(setup_data: Callable[[], None]) -> Callable[[], None]:
    """Run `setup_data` in one thread at a time: Lightning patches the class DataLoader meanwhile."""

    def in_turn() -> None:
        with _asking:
            setup_data()

    return in_turn


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
