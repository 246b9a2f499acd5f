"""Callbacks that show progress, write metrics and warn of collapse during training."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from rich import progress
from rich.table import Column

from sepvae.errors import CollapseWarning
from sepvae.files import write_whole
from sepvae.losses import CHANCE, MARGIN
from sepvae.training.module import AlternatingTraining

EPOCHS = 5  # consecutive epochs that must agree
EPOCHS_OF_CRITIC = 20  # minimum, none better than chance: the critic learns along with the codes
NOTHING = 0.01  # nats of a whole space: below it, its posterior is almost the prior
CURVE = "its loss (train_critic_loss in metrics.csv)"
PERFECT = 0.02  # nats: below it, the critic is never wrong

# At the end of an epoch Lightning calls callbacks before the module has the epoch's means, so the bar shows
# them at the next start. It calls `Checkpoint` callbacks last.


class MetricsFile(Checkpoint):
    """Write the metrics of all epochs so far to a CSV file after each epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file, on rank 0 only."""
        if trainer.is_global_zero and isinstance(pl_module, AlternatingTraining):
            write_whole(self.path, pd.DataFrame(pl_module.history).to_csv(index=False))


class CollapseWatch(Checkpoint):
    """Warn once for each collapsed space, and once for a critic at chance or never wrong."""

    def __init__(self) -> None:
        self.warned: set[str] = set()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the history, on rank 0 only."""
        if not (trainer.is_global_zero and isinstance(pl_module, AlternatingTraining)):
            return
        for what, message in collapses(pl_module.history, pl_module.weights).items():
            if what not in self.warned:
                self.warned.add(what)
                warnings.warn(message, CollapseWarning, stacklevel=2)

    def state_dict(self) -> dict[str, Any]:
        """Return the warnings so far, so that a continued fit does not repeat them."""
        return {"warned": sorted(self.warned)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the warnings that were given."""
        self.warned = set(state_dict["warned"])


def collapses(history: Sequence[Mapping[str, float]], weights: Mapping[str, float]) -> dict[str, str]:
    """
    Return a message by name for each of "common", "salient" and "critic" that has collapsed.

    `history` has the names of `metrics.csv`. Terms with weight zero are ignored.

    >>> epoch = {"train_common_kl": 0.001, "train_salient_kl_target": 3.0}
    >>> list(collapses([epoch] * 5, {"common_kl": 1.0, "salient_kl_target": 1.0}))
    ['common']
    """
    last = history[-EPOCHS:]
    if len(last) < EPOCHS:
        return {}
    found, epochs = {}, f"{len(history) - EPOCHS} to {len(history) - 1}"
    for space, term in (("common", "common_kl"), ("salient", "salient_kl_target")):
        most = max(epoch.get(f"train_{term}", math.inf) for epoch in last)
        if most < NOTHING and weights.get(term):
            found[space] = (
                f"the {space} space holds next to nothing: {term} was below {NOTHING:g} nats in epochs "
                f"{epochs}; lower beta_{space}, or train longer"
            )
    if weights.get("mutual_information"):
        losses = [epoch.get("train_critic_loss", math.nan) for epoch in history]
        if len(losses) >= EPOCHS_OF_CRITIC and min(losses) > CHANCE - MARGIN:
            found["critic"] = (
                f"the critic is at chance: {CURVE} was above {CHANCE - MARGIN:.3f} in all "
                f"{len(losses)} epochs, so that the mutual information kept nothing apart; train longer "
                "(max_epochs)"
            )
        elif max(losses[-EPOCHS:]) < PERFECT:
            found["critic"] = (
                f"the critic is never wrong: {CURVE} was below {PERFECT:g} in epochs {epochs}, "
                "and what it estimates is not the mutual information; raise kappa"
            )
    return found


class FitProgress(ProgressBar):
    """Progress bar of the whole fit, with elapsed and remaining time and the terms of the last epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = progress.Progress(
            progress.TextColumn("epoch"),
            progress.MofNCompleteColumn(),
            progress.BarColumn(6),  # the whole line fits into 80 columns
            progress.TimeElapsedColumn(table_column=Column(min_width=7)),
            progress.TimeRemainingColumn(table_column=Column(min_width=7)),
            progress.TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar."""
        super().on_train_start(trainer, pl_module)
        self.bar.start()
        self.task = self.bar.add_task("", total=trainer.max_epochs)

    def on_train_epoch_start(self, _: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the number of finished epochs and the terms of the last one."""
        if isinstance(pl_module, AlternatingTraining) and pl_module.history:
            done, last = len(pl_module.history), pl_module.history[-1]
            self.bar.update(self.task, completed=done, description=_terms(last))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def teardown(self, *_: Any, **__: Any) -> None:
        """Stop the bar."""
        self.bar.stop()

    def on_exception(self, *_: Any, **__: Any) -> None:
        """Stop the bar: Lightning does not call `teardown` after an error."""
        self.bar.stop()

    def disable(self) -> None:
        """Hide the bar: Lightning calls this on ranks above 0."""
        self.bar.disable = True


def _terms(metrics: dict[str, float]) -> str:
    """Format the main terms for the rest of the line."""
    shown = {
        "rec": "reconstruction",
        "KL c": "common_kl",
        "KL s": "salient_kl_target",
        "MI": "mutual_information",
    }
    values = {short: metrics.get(f"train_{name}") for short, name in shown.items()}
    return "  ".join(f"{short} {value:.3g}" for short, value in values.items() if value is not None)
