"""What is kept while training goes on: the state after each epoch, to go on from, and the best weights."""

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
    """Keep all that a fit needs to go on after its last finished epoch, as if it had never stopped."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about

    def state_dict(self) -> dict[str, Any]:
        """Say whose state it is."""
        return self.about

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the state."""
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
        """See that the file is whole, and of this fit; nothing in it is executed."""
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
    """Remember the weights of the epoch with the least of a metric."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.least = float("inf")
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare."""
        if (now := float(trainer.callback_metrics[self.monitor])) < self.least:
            self.least = now
            self.weights = {
                name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Give what is remembered."""
        return {"least": self.least, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.least, self.weights = state_dict["least"], state_dict["weights"]
