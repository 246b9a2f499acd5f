"""One training run: networks, batches, and Lightning's trainer for any thread, quiet and seeded."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, ProgressBar
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException

from sepvae.batch import AnyArray, Source, in_proportion
from sepvae.errors import DataError
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.process_wide import ProcessWideContext, ignoring
from sepvae.training.augment import tried
from sepvae.training.callbacks import BestWeights, CollapseWatch, FitProgress, LastState
from sepvae.training.distributed import SyncBatchNorm, first_of_one, is_alone, is_first
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.loader import Batches, GroupBatches, ordered_batches, training_batches
from sepvae.training.module import AlternatingTraining, DivergenceError, training_error
from sepvae.training.objective import Objective
from sepvae.training.runtime import SeededInit, check_precision, retain_freed_memory

# Model selection ignores the MI, because the critic's estimate of it also changes on its own.
MONITOR = "validation_loss_without_mi"


def train(
    objective: Objective,
    build: Callable[[], ContrastiveAutoencoder],
    source: Source,
    y: AnyArray,  # groups as integers, or severities in [0, 1] as floats; 0 is the background
    parts: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],  # for training and validation, if any
    keywords: TrainingKeywords,
    *,
    batch_size: int,
    max_epochs: int,
    seed: int,
    u: AnyArray | None = None,  # covariates (n, k) for the decoder
    about: dict[str, Any],  # what a fit that `keywords.checkpoint` continues must match
) -> tuple[ContrastiveAutoencoder, pd.DataFrame]:
    """Build a network and train it; return it on the CPU in evaluation mode, and one row for each epoch."""
    best = BestWeights(MONITOR) if keywords.keep == "best" else None
    if (best is not None or keywords.early_stopping is not None) and not len(parts[1]):
        raise DataError("early_stopping and keep='best' need validation samples: raise validation_fraction")
    n_groups = int(np.ceil(y.max())) + 1
    checkpoint = None if keywords.checkpoint is None else Path(keywords.checkpoint)
    last = None if checkpoint is None else LastState(checkpoint, about)
    if last is not None and last.path.exists():
        last.check(max_epochs)
    # With these, Lightning sets the default dtype of the process, so that threads must take turns.
    sets_dtype = str(keywords.precision) in ("64-true", "64", "bf16-true", "16-true")
    quiet = quiet_lightning(alone=keywords.compile or sets_dtype)
    first = first_of_one() if is_alone(keywords.devices, keywords.num_nodes) else nullcontext()
    with quiet, seeded(seed), retain_freed_memory(), first:
        with SeededInit(seed):  # other threads may draw at the same time
            model = build()
        training = AlternatingTraining(model, objective, keywords, n_groups=n_groups, random_state=seed)
        shared: dict[str, Any] = {"batch_size": batch_size, "num_workers": keywords.num_workers, "u": u}
        sampling = {"balanced": keywords.balanced, "random_state": seed} | shared
        validation = parts[1][in_proportion(np.ceil(y[parts[1]]))]  # so that every batch has all groups
        plain = partial(training_batches, source, y, parts[0], **sampling)
        augment = tried(keywords.augment, seed, model.valid_mask, source, parts[0][:1])
        batches = Batches(
            partial(plain, augment=augment),
            partial(ordered_batches, source, y, validation, **shared),
        )
        trainer = _trainer(keywords, best, last, max_epochs, validate=len(parts[1]) > 0)
        if keywords.compile:
            torch.compiler.reset()  # torch gives up after several functions that differ only in constants
        try:
            run(trainer, training, batches, last.path if last is not None and last.path.exists() else None)
        except DivergenceError as error:
            order = plain(rank=trainer.global_rank, world_size=trainer.world_size).sampler
            cast(GroupBatches, order).set_epoch(error.epoch)
            rate, ids = keywords.learning_rate, source.ids
            raise training_error(error, list(order), ids, learning_rate=rate, checkpoint=checkpoint) from None
        if best is not None:
            training.load_state_dict(best.weights)
    if keywords.precision in ("bf16-true", "16-true"):
        model.float()  # codes are computed and weights saved in single precision
    return model.cpu().eval(), pd.DataFrame(training.history)


def _trainer(
    keywords: TrainingKeywords,
    best: BestWeights | None,
    last: LastState | None,
    max_epochs: int,
    *,
    validate: bool,
) -> pl.Trainer:
    """Return the trainer with its callbacks; raise DataError if the precision is slow on this processor."""
    own, patience = list(keywords.callbacks or []), keywords.early_stopping
    show = keywords.progress_bar and not any(isinstance(callback, ProgressBar) for callback in own)
    stop = None if patience is None else EarlyStopping(MONITOR, patience=patience)
    trainer = make_trainer(
        [*filter(None, (FitProgress() if show else None, CollapseWatch(), stop, best, *own, last))],
        keywords.strategy,
        max_epochs=max_epochs,
        limit_val_batches=1.0 if validate else 0,
        accelerator=keywords.accelerator,
        devices=keywords.devices,
        num_nodes=keywords.num_nodes,
        precision=keywords.precision,
        logger=keywords.logger or False,
    )
    if is_first(keywords.devices, keywords.num_nodes):
        check_precision(trainer.precision, trainer.strategy.root_device)
    return trainer


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
