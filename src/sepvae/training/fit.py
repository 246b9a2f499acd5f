"""One training run: network, Lightning trainer and history."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ProgressBar

from sepvae.batch import Source
from sepvae.errors import DataError
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.callbacks import CollapseWatch, FitProgress
from sepvae.training.checkpoints import BestWeights, LastState
from sepvae.training.distributed import first_of_one, is_alone, is_first
from sepvae.training.epoch_metrics import DivergenceError, training_error
from sepvae.training.loader import Batches, GroupBatches, mix_groups, ordered_batches, training_batches
from sepvae.training.module import AlternatingTraining
from sepvae.training.objective import ContrastiveObjective
from sepvae.training.runtime import SeededInit, check_precision, retain_freed_memory
from sepvae.training.trainer import make_trainer, quiet_lightning, run, seeded, sets_default_dtype

# Model selection ignores the MI, because the critic's estimate of it also changes on its own.
MONITOR = "validation_loss_without_mi"


def train(
    objective: ContrastiveObjective,
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
    quiet = quiet_lightning(alone=compile or sets_default_dtype(precision))
    first = first_of_one() if is_alone(devices, num_nodes) else nullcontext()
    with quiet, seeded(seed), retain_freed_memory(), first:
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
            partial(ordered_batches, source, y, mix_groups(parts[1], y), **shared),
        )
        best = BestWeights(MONITOR) if keep == "best" else None
        stop = EarlyStopping(MONITOR, patience=early_stopping) if early_stopping is not None else None
        own_bar = any(isinstance(callback, ProgressBar) for callback in callbacks or [])
        bar = FitProgress() if progress_bar and not own_bar else None
        trainer = make_trainer(
            [*filter(None, (bar, CollapseWatch(), stop, best, *(callbacks or []), last))],
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
            run(trainer, training, batches, last.path if last is not None and last.path.exists() else None)
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
