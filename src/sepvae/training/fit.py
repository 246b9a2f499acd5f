"""One training run: network, Lightning trainer and history."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

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

from sepvae.batch import Source
from sepvae.errors import DataError
from sepvae.networks.autoencoder import ContrastiveAutoencoder
from sepvae.shared import Shared, ignoring
from sepvae.training.batch_norm import SyncBatchNorm
from sepvae.training.callbacks import CollapseWatch, FitProgress
from sepvae.training.checkpoints import BestWeights, LastState
from sepvae.training.distributed import first_of_one, is_alone, is_first
from sepvae.training.divergence import DivergenceError, training_error
from sepvae.training.loader import Batches, GroupBatches, ordered_batches, training_batches
from sepvae.training.memory import retain_freed_memory
from sepvae.training.module import AlternatingTraining
from sepvae.training.objective import Objective
from sepvae.training.precision import check_precision
from sepvae.training.seeded_init import SeededInit

# Model selection ignores the MI, because the critic's estimate of it also changes on its own.
MONITOR = "validation_loss_without_mi"


def train(
    objective: Objective,
    build: Callable[[], ContrastiveAutoencoder],
    source: Source,
    y: npt.NDArray[Any],
    parts: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    *,
    seed: int,
    learning_rate: float,
    reset_optimizer: Literal["never", "epoch"],
    gradient_clip_val: float | None,
    batch_size: int,
    balanced: bool,
    num_workers: int | Literal["auto"],
    compile: bool,  # noqa: A002
    max_epochs: int,
    early_stopping: int | None,
    keep: Literal["last", "best"],
    checkpoint: Path | None,
    about: dict[str, Any],
    progress_bar: bool,
    accelerator: str,
    devices: int | str | list[int],
    num_nodes: int,
    strategy: Any,
    precision: Any,
    logger: Any,
    callbacks: Sequence[Callback] | None,
) -> tuple[ContrastiveAutoencoder, pd.DataFrame]:
    """
    Build a network and train it; return it on the CPU in evaluation mode, with one history row per epoch.

    `y` holds groups as integers or severities in [0, 1] as floats; 0 is the background. `parts` are positions
    for training and validation; the latter may be empty. If the file `checkpoint` exists, the fit continues
    from it, and its state must match `about`.
    """
    if (early_stopping is not None or keep == "best") and not len(parts[1]):
        raise DataError("early_stopping and keep='best' need validation samples: raise validation_fraction")
    n_groups = int(np.ceil(y.max())) + 1
    last = None if checkpoint is None else LastState(checkpoint, about)
    if last is not None and last.path.exists():
        last.check(max_epochs)
    one = first_of_one() if is_alone(devices, num_nodes) else nullcontext()
    with (
        _quiet_lightning(alone=compile or _sets_type(precision)),
        _own_randomness(seed),
        retain_freed_memory(),
        one,
    ):
        with SeededInit(seed):  # other threads may draw at the same time
            model = build()
        training = AlternatingTraining(
            model,
            objective,
            n_groups=n_groups,
            learning_rate=learning_rate,
            reset_optimizer=reset_optimizer,
            gradient_clip_val=gradient_clip_val,
            random_state=seed,
            compile=compile,
        )
        shared: dict[str, Any] = {"batch_size": batch_size, "num_workers": num_workers}
        batches = Batches(
            partial(training_batches, source, y, parts[0], balanced=balanced, random_state=seed, **shared),
            partial(ordered_batches, source, y, _mixed(parts[1], y), **shared),
        )
        best = BestWeights(MONITOR) if keep == "best" else None
        stop = EarlyStopping(MONITOR, patience=early_stopping) if early_stopping is not None else None
        own_bar = any(isinstance(callback, ProgressBar) for callback in callbacks or [])
        bar = FitProgress() if progress_bar and not own_bar else None
        own = (bar, CollapseWatch(), stop, best, *(callbacks or []), last)
        trainer = _trainer(
            [callback for callback in own if callback is not None],
            strategy,
            max_epochs=max_epochs,
            limit_val_batches=1.0 if len(parts[1]) else 0,
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            logger=logger or False,
        )
        if is_first(devices, num_nodes):
            check_precision(trainer.precision, trainer.strategy.root_device)
        if compile:
            torch.compiler.reset()  # torch gives up after several functions that differ only in constants
        try:
            _run(trainer, training, batches, last)
        except DivergenceError as error:
            order = batches.train(rank=trainer.global_rank, world_size=trainer.world_size).sampler
            cast(GroupBatches, order).set_epoch(error.epoch)
            raise training_error(
                error, list(order), source.ids, learning_rate=learning_rate, checkpoint=checkpoint
            ) from None
        if best is not None:
            training.load_state_dict(best.weights)
    if precision in ("bf16-true", "16-true"):
        model.float()  # codes are computed and weights saved in single precision
    return model.cpu().eval(), pd.DataFrame(training.history)


def _run(
    trainer: pl.Trainer, training: AlternatingTraining, batches: Batches, last: LastState | None
) -> None:
    """Train; continue from the state of an interrupted fit if its file exists."""
    state = last.path if last is not None and last.path.exists() else None
    try:
        trainer.fit(training, batches, ckpt_path=state, weights_only=True)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)  # exit status as in a shell; Lightning sets none
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into SystemExit
            raise KeyboardInterrupt from None
        raise


def _mixed(positions: npt.NDArray[np.intp], y: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Reorder positions so that groups have the same proportions throughout, and every batch has both."""
    group = pd.Series(np.ceil(y[positions]))
    place = (group.groupby(group).cumcount() + 0.5) / group.groupby(group).transform("size")
    return positions[np.argsort(place.to_numpy(), kind="stable")]


def _trainer(callbacks: list[Callback], strategy: Any, **keywords: Any) -> pl.Trainer:
    """Create a Lightning trainer for batches already split by rank and two backward passes a step."""
    plugins: list[Any] = [SyncBatchNorm()]
    if is_alone(keywords["devices"], keywords["num_nodes"]):
        plugins.append(LightningEnvironment())  # ignores the variables of a scheduler
    with _plain_refusal():
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
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise DataError(
            f"strategy: wanted ddp, or another whose processes run the whole script, got {strategy!r}; "
            "run it as a script, not in a notebook"
        )
    if strategy in ("auto", "ddp") and isinstance(trainer.strategy, DDPStrategy):
        # Each of the two backward passes reaches only some parameters, which DDP does not expect by default.
        return _trainer(callbacks, "ddp_find_unused_parameters_true", **keywords)
    for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop.val_loop):
        loop.setup_data = _one_at_a_time(loop.setup_data)  # type: ignore[method-assign]
    return trainer


_asking = threading.RLock()


def _one_at_a_time(setup_data: Callable[[], None]) -> Callable[[], None]:
    """Run `setup_data` in one thread at a time: Lightning patches the class DataLoader meanwhile."""

    def in_turn() -> None:
        with _asking:
            setup_data()

    return in_turn


def _sets_type(precision: Any) -> bool:
    """Return whether Lightning sets the default dtype of the process, so that threads must take turns."""
    return str(precision) in ("64-true", "64", "bf16-true", "16-true")


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed torch's global generators for the user's modules, and restore them at the end."""
    with _generators():
        torch.manual_seed(seed)
        yield


def _kept_generators() -> AbstractContextManager[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    return torch.random.fork_rng(devices=devices)


_generators = Shared(_kept_generators)


@contextmanager
def _plain_refusal() -> Iterator[None]:
    """Raise DataError in one line if Lightning rejects a keyword: a missing GPU, an unknown strategy."""
    try:
        yield
    except (MisconfigurationException, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"accelerator, devices, strategy or precision: {reason}") from error


@contextmanager
def _without_advice() -> Iterator[None]:
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


_quiet_lightning = Shared(_without_advice)
