"""What is shown and written while training goes on."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from sepvae.errors import CollapseWarning
from sepvae.files import write_whole
from sepvae.training.collapse import collapses
from sepvae.training.module import AlternatingTraining

# Callbacks hear of an epoch's end before the module has its means: the bar looks back from the next start.
# Those that are a `Checkpoint` hear of it last.


class MetricsFile(Checkpoint):
    """Write the metrics of all epochs so far to a CSV file, after each epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is known."""
        if trainer.is_global_zero and isinstance(pl_module, AlternatingTraining):
            write_whole(self.path, pd.DataFrame(pl_module.history).to_csv(index=False))


class CollapseWatch(Checkpoint):
    """Warn, once of each, while a space holds nothing or the critic says nothing."""

    def __init__(self) -> None:
        self.warned: set[str] = set()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the last epochs."""
        if not (trainer.is_global_zero and isinstance(pl_module, AlternatingTraining)):
            return
        for what, message in collapses(pl_module.history, pl_module.objective.weights).items():
            if what not in self.warned:
                self.warned.add(what)
                warnings.warn(message, CollapseWarning, stacklevel=2)

    def state_dict(self) -> dict[str, Any]:
        """Say what has been warned of."""
        return {"warned": sorted(self.warned)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.warned = set(state_dict["warned"])


class FitProgress(ProgressBar):
    """One bar for the whole fit, with the time, the time left and the terms of the last epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(6),  # all of it is to fit into 80 columns
            TimeElapsedColumn(table_column=Column(min_width=7)),
            TimeRemainingColumn(table_column=Column(min_width=7)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        super().on_train_start(trainer, pl_module)
        self.bar.start()
        self.task = self.bar.add_task("", total=trainer.max_epochs)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Show the epochs that are done."""
        if isinstance(pl_module, AlternatingTraining) and pl_module.history:
            done, last = len(pl_module.history), pl_module.history[-1]
            self.bar.update(self.task, completed=done, description=_terms(last))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Close the bar."""
        self.bar.stop()

    def on_exception(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Close the bar, for Lightning tears nothing down after an error."""
        self.bar.stop()

    def disable(self) -> None:
        """Show nothing: Lightning asks for it in all processes but the first."""
        self.bar.disable = True


def _terms(metrics: dict[str, float]) -> str:
    """Put the terms on what is left of a line."""
    shown = {
        "rec": "reconstruction",
        "KL c": "common_kl",
        "KL s": "salient_kl_target",
        "MI": "mutual_information",
    }
    values = {short: metrics.get(f"train_{name}") for short, name in shown.items()}
    return "  ".join(f"{short} {value:.3g}" for short, value in values.items() if value is not None)
