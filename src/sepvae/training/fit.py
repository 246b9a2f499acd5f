"""One training run: network, Lightning trainer and history."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ProgressBar

from sepvae.batch import Source, in_proportion
from sepvae.errors import DataError
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.callbacks import BestWeights, CollapseWatch, FitProgress, LastState
from sepvae.training.distributed import first_of_one, is_alone, is_first
from sepvae.training.epoch_metrics import DivergenceError, training_error
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.loader import Batches, GroupBatches, ordered_batches, training_batches
from sepvae.training.module import AlternatingTraining
from sepvae.training.objective import Objective
from sepvae.training.runtime import SeededInit, check_precision, retain_freed_memory
from sepvae.training.trainer import make_trainer, quiet_lightning, run, seeded, sets_default_dtype

# Model selection ignores the MI, because the critic's estimate of it also changes on its own.
MONITOR = "validation_loss_without_mi"


def train(
    objective: Objective,
    build: Callable[[], ContrastiveAutoencoder],
    source: Source,
    y: npt.NDArray[Any],
    parts: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    keywords: TrainingKeywords,
    *,
    batch_size: int,
    max_epochs: int,
    seed: int,
    about: dict[str, Any],
) -> tuple[ContrastiveAutoencoder, pd.DataFrame]:
    """
    Build a network and train it; return it on the CPU in evaluation mode, with one history row per epoch.

    `y` holds groups as integers or severities in [0, 1] as floats; 0 is the background. `parts` are positions
    for training and validation; the latter may be empty. If the file `keywords.checkpoint` exists, the fit
    continues from it, and its state must match `about`.
    """
    best = BestWeights(MONITOR) if keywords.keep == "best" else None
    if (best is not None or keywords.early_stopping is not None) and not len(parts[1]):
        raise DataError("early_stopping and keep='best' need validation samples: raise validation_fraction")
    n_groups = int(np.ceil(y.max())) + 1
    checkpoint = None if keywords.checkpoint is None else Path(keywords.checkpoint)
    last = None if checkpoint is None else LastState(checkpoint, about)
    if last is not None and last.path.exists():
        last.check(max_epochs)
    quiet = quiet_lightning(alone=keywords.compile or sets_default_dtype(keywords.precision))
    first = first_of_one() if is_alone(keywords.devices, keywords.num_nodes) else nullcontext()
    with quiet, seeded(seed), retain_freed_memory(), first:
        with SeededInit(seed):  # other threads may draw at the same time
            model = build()
        training = AlternatingTraining(model, objective, keywords, n_groups=n_groups, random_state=seed)
        shared: dict[str, Any] = {"batch_size": batch_size, "num_workers": keywords.num_workers}
        sampling = {"balanced": keywords.balanced, "random_state": seed} | shared
        validation = parts[1][in_proportion(np.ceil(y[parts[1]]))]  # so that every batch has all groups
        batches = Batches(
            partial(training_batches, source, y, parts[0], **sampling),
            partial(ordered_batches, source, y, validation, **shared),
        )
        trainer = _trainer(keywords, best, last, max_epochs, validate=len(parts[1]) > 0)
        if keywords.compile:
            torch.compiler.reset()  # torch gives up after several functions that differ only in constants
        try:
            run(trainer, training, batches, last.path if last is not None and last.path.exists() else None)
        except DivergenceError as error:
            order = batches.train(rank=trainer.global_rank, world_size=trainer.world_size).sampler
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
