"""What is shown and kept while training goes on."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Callback, ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sepvae.files import write_whole


class History(Callback):
    """
    Keep every epoch's metrics.

    Parameters
    ----------
    path : Path or None, default=None
        A CSV file to write after each epoch as well.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """
        Take note of an epoch.

        Parameters
        ----------
        trainer : Trainer
            Its metrics are read.
        pl_module : LightningModule
            Not used.
        """
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        if self.path is not None and trainer.is_global_zero:
            write_whole(self.path, pd.DataFrame(self.rows).to_csv(index=False))


class FitProgress(ProgressBar):
    """One bar for the whole fit, with the terms of the last epoch and the time left."""

    shown = ("reconstruction", "common_kl", "salient_kl_target", "salient_kl_background_excess", "mutual_information")
    short = ("rec", "KL c", "KL s target", "KL s background", "MI")

    def __init__(self) -> None:
        super().__init__()
        self.bar: Progress | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """
        Open the bar.

        Parameters
        ----------
        trainer : Trainer
            Knows how many epochs there are.
        pl_module : LightningModule
            Not used.
        """
        super().on_train_start(trainer, pl_module)
        self.bar = Progress(
            TextColumn("epoch"), MofNCompleteColumn(), BarColumn(20), TimeRemainingColumn(), TextColumn("{task.description}")
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=trainer.max_epochs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """
        Move on by one epoch.

        Parameters
        ----------
        trainer : Trainer
            Its metrics are read.
        pl_module : LightningModule
            Not used.
        """
        if self.bar is not None:
            metrics: dict[str, Any] = dict(trainer.callback_metrics)
            terms = [
                f"{short} {float(metrics['train_' + name]):.4g}"
                for name, short in zip(self.shown, self.short, strict=True)
                if f"train_{name}" in metrics
            ]
            self.bar.update(self.task, advance=1, description="  ".join(terms))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """
        Close the bar, also after an error.

        Parameters
        ----------
        trainer : Trainer
            Not used.
        pl_module : LightningModule
            Not used.
        stage : str
            Not used.
        """
        if self.bar is not None:
            self.bar.stop()
