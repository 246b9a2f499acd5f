"""Checkpoints of a fit: the state after each epoch, to continue from, and the best weights."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from sepvae.errors import ModelFileError
from sepvae.files import naming, settle

# Lightning calls `Checkpoint` callbacks last, when the module has the epoch's means.


class LastState(Checkpoint):
    """
    Save the state after each epoch, so that a fit continues from it as if it had never stopped.

    `about` identifies the fit, so that another fit does not continue from its state.
    """

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
        except (
            zipfile.BadZipFile,
            pickle.UnpicklingError,
            KeyError,
            TypeError,
            RuntimeError,
            EOFError,
        ) as error:
            raise ModelFileError(
                f"{self.path}: wanted the state of a fit, as its keyword checkpoint leaves it; {again}"
            ) from error
        if older:
            raise ModelFileError(f"{self.path}: was left by an older sepvae, without a read-out; {again}")
        for name, now in self.about.items():
            if was.get(name) != now:
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
            self.least = now
            self.weights = {
                name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their metric."""
        return {"least": self.least, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best weights and their metric."""
        self.least, self.weights = state_dict["least"], state_dict["weights"]
