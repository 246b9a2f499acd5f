"""Callbacks of a fit: progress, metrics, warnings of collapse, checkpoints and the best weights."""

import math
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from rich import progress
from rich.table import Column
from torch import Tensor

from sepvae.errors import CollapseWarning, ModelFileError
from sepvae.files import naming, settle, write_whole
from sepvae.losses import CHANCE, MARGIN
from sepvae.training.module import AlternatingTraining

EPOCHS = 5  # consecutive epochs that must agree
EPOCHS_OF_CRITIC = 20  # minimum, none better than chance: the critic learns along with the codes
NOTHING = 0.01  # nats of a whole space: below it, its posterior is almost the prior
CURVE = "its loss (train_critic_loss in metrics.csv)"
PERFECT = 0.02  # nats: below it, the critic is never wrong
TERMS = ("reconstruction", "common_kl", "salient_kl_target", "mutual_information")  # in the progress bar
DAMAGE = (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, TypeError, RuntimeError, EOFError)

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
            last = pl_module.history[-1]
            shown = zip(
                ("rec", "KL c", "KL s", "MI"), (last.get(f"train_{name}") for name in TERMS), strict=True
            )
            terms = "  ".join(f"{short} {value:.3g}" for short, value in shown if value is not None)
            self.bar.update(self.task, completed=len(pl_module.history), description=terms)

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


class LastState(Checkpoint):
    """Save the state after each epoch, from which the fit that `about` identifies continues bit by bit."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about

    def state_dict(self) -> dict[str, Any]:
        """Return the values that identify the fit."""
        return self.about

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the state aside, then move it into place, so that the file is always complete."""
        aside = self.path.with_name(f".{self.path.name}")
        try:
            with naming(self.path):
                trainer.save_checkpoint(aside)
                if trainer.is_global_zero:
                    settle(aside, self.path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        trainer.strategy.barrier()

    def check(self, max_epochs: int) -> None:
        """Raise ModelFileError if the file is damaged or does not match this fit; execute nothing in it."""
        again = "remove it to start again"
        try:
            with zipfile.ZipFile(self.path) as whole:
                if damaged := whole.testzip():
                    raise ModelFileError(f"{self.path} is damaged ({damaged}); {again}")
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            was = state["callbacks"][self.state_key]
            epochs = len(state["history"])
            _ = state["stopped_early"], state["optimizer_states"]
            older = not any(name.startswith("model.read_out.") for name in state["state_dict"])
        except DAMAGE as error:
            raise ModelFileError(
                f"{self.path}: wanted the state of a fit, as its keyword checkpoint leaves it; {again}"
            ) from error
        if older:
            raise ModelFileError(f"{self.path}: was left by an older sepvae, without a read-out; {again}")
        for name, now in self.about.items():
            if str(was.get(name)) != str(now):  # an older version lacks keywords, which are None by default
                raise ModelFileError(
                    f"{self.path}: holds another fit ({name} was {was.get(name)}, now {now}); {again}, or "
                    "name another file"
                )
        if epochs > max_epochs:
            raise ModelFileError(
                f"{self.path}: holds the state after {epochs} epochs, got max_epochs={max_epochs}; "
                f"give {epochs} or more, or {again}"
            )


class BestWeights(Checkpoint):
    """Remember the weights of the epoch with the lowest value of a metric."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.least = float("inf")
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights if the metric, the same in all processes, is the lowest so far."""
        if (now := float(trainer.callback_metrics[self.monitor])) < self.least:
            state = pl_module.state_dict()
            self.least, self.weights = now, {k: value.detach().cpu().clone() for k, value in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their metric."""
        return {"least": self.least, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best weights and their metric."""
        self.least, self.weights = state_dict["least"], state_dict["weights"]


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
