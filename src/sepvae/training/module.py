"""Algorithm 1: the critic's update and the model's update, in turn, on one pass through the encoders."""

from typing import Literal, NamedTuple, Protocol, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import one_hot

from sepvae.codes import Codes
from sepvae.errors import TrainingError
from sepvae.networks.autoencoder import ContrastiveAutoencoder


class Losses(NamedTuple):  # numpydoc ignore=PR02
    """
    What an objective says of a batch, one value per sample.

    Parameters
    ----------
    terms : dict of str to Tensor of shape (batch,)
        Unweighted terms, zero where one does not apply to a sample. No gradient of them reaches the critic or
        the salient classifier.
    classifier : Tensor of shape (batch,)
        What the salient classifier itself learns from, on detached codes.
    shown : dict of str to Tensor of shape (batch,)
        Logged, but not learnt from.
    """

    terms: dict[str, Tensor]
    classifier: Tensor
    shown: dict[str, Tensor]


class Objective(Protocol):
    """The loss of a method, as training sees it."""

    @property
    def weights(self) -> dict[str, float]:
        """
        Weight of each term.

        Returns
        -------
        dict of str to float
            By the names of the terms.
        """
        ...

    def posterior(self, codes: Codes[Tensor], y: Tensor) -> Codes[Tensor]:
        """
        Say what codes are drawn from in training, where labels are known.

        Parameters
        ----------
        codes : Codes of Tensor
            What the encoders say.
        y : Tensor of shape (batch,)
            Groups.

        Returns
        -------
        Codes of Tensor
            Means and log-variances.
        """
        ...

    def critic_loss(
        self, model: ContrastiveAutoencoder, codes: Codes[Tensor], generator: torch.Generator
    ) -> Tensor:
        """
        Say what the critic learns from.

        Parameters
        ----------
        model : ContrastiveAutoencoder
            Its critic is trained.
        codes : Codes of Tensor
            Posterior, detached.
        generator : torch.Generator
            Noise and pairing.

        Returns
        -------
        Tensor of shape (batch,)
            Its loss.
        """
        ...

    def losses(
        self,
        model: ContrastiveAutoencoder,
        x: Tensor,
        y: Tensor,
        codes: Codes[Tensor],
        generator: torch.Generator,
    ) -> Losses:
        """
        Say what all the rest learns from.

        Parameters
        ----------
        model : ContrastiveAutoencoder
            All but its critic is trained.
        x : Tensor of shape (batch, ...)
            Samples.
        y : Tensor of shape (batch,)
            Groups.
        codes : Codes of Tensor
            Posterior.
        generator : torch.Generator
            Noise.

        Returns
        -------
        Losses
            One value per sample.
        """
        ...


def as_input(x: Tensor, dtype: torch.dtype) -> Tensor:
    """
    Bring samples to what the networks take: 8-bit images in [0, 1], images with channels last in memory.

    Parameters
    ----------
    x : Tensor of shape (batch, ...)
        As the source holds them.
    dtype : torch.dtype
        Of the network.

    Returns
    -------
    Tensor of shape (batch, ...)
        The same samples.
    """
    x = x.to(dtype) / 255 if x.dtype == torch.uint8 else x.to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


class GroupMeans:
    """
    Means of per-sample values over an epoch, in all and by group, kept on the device until asked for.

    Parameters
    ----------
    n_groups : int
        Background and targets together.
    """

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups
        self.names: list[str] = []
        self.sums: Tensor | float = 0.0  # (names, groups)
        self.counts: Tensor | float = 0.0  # (groups,)

    def add(self, values: dict[str, Tensor], y: Tensor) -> None:
        """
        Take in a batch.

        Parameters
        ----------
        values : dict of str to Tensor of shape (batch,)
            The same names each time.
        y : Tensor of shape (batch,)
            Groups.
        """
        members = one_hot(y, self.n_groups).float()
        self.names = list(values)
        self.sums = self.sums + torch.stack([v.detach().float() for v in values.values()]) @ members
        self.counts = self.counts + members.sum(0)

    def means(self) -> dict[str, float]:
        """
        Give the means so far, and start again.

        Returns
        -------
        dict of str to float
            Each name over all samples, and followed by _background and _target (_target1, .. for several)
            over the samples of that group.
        """
        if isinstance(self.sums, float) or isinstance(self.counts, float):
            return {}
        sums, counts = self.sums.cpu(), self.counts.cpu()
        targets = [f"target{k}" for k in range(1, self.n_groups)] if self.n_groups > 2 else ["target"]
        means = {}
        for name, total in zip(self.names, sums, strict=True):
            means[name] = float(total.sum() / counts.sum())
            if name.endswith(("_background", "_target", "_excess")):
                continue  # a term of one group
            for group, value, count in zip(["background", *targets], total, counts, strict=True):
                if count > 0:
                    means[f"{name}_{group}"] = float(value / count)
        self.sums, self.counts = 0.0, 0.0
        return means


class AlternatingTraining(pl.LightningModule):
    """
    Algorithm 1 of the paper, for any objective.

    Parameters
    ----------
    model : ContrastiveAutoencoder
        What is trained.
    objective : Objective
        What it is trained on.
    n_groups : int
        Background and targets together.
    learning_rate : float
        Of both Adam optimizers.
    reset_optimizer : {"never", "epoch"}
        "epoch" forgets Adam's moments before each epoch (App. E.1, E.2).
    random_state : int
        Seed of the noise, which depends on it, the epoch, the step and the process only.
    """

    def __init__(
        self,
        model: ContrastiveAutoencoder,
        objective: Objective,
        *,
        n_groups: int,
        learning_rate: float,
        reset_optimizer: Literal["never", "epoch"],
        random_state: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.objective = objective
        self.learning_rate = learning_rate
        self.reset_optimizer = reset_optimizer
        self.random_state = random_state
        self.history: list[dict[str, float]] = []  # one row per epoch
        self._validation_metrics: dict[str, float] = {}
        self.epoch_means = {stage: GroupMeans(n_groups) for stage in ("train", "validation")}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """
        Adam for encoders, decoder and salient classifier, and an independent Adam for the critic.

        Returns
        -------
        list of Optimizer
            The model's and the critic's.
        """
        critic = list(self.model.critic.parameters())
        own = set(critic)
        rest = [parameter for parameter in self.model.parameters() if parameter not in own]
        return [torch.optim.Adam(parameters, lr=self.learning_rate) for parameters in (rest, critic)]

    def training_step(self, batch: tuple[Tensor, Tensor], step: int) -> None:
        """
        Update the critic, then all the rest (Algorithm 1).

        Parameters
        ----------
        batch : tuple of Tensor
            Samples x and groups y.
        step : int
            Number of the batch in its epoch.
        """
        x, y = self._input(batch[0]), batch[1]
        model_optimizer, critic_optimizer = cast(list[LightningOptimizer], self.optimizers())
        generator = self._generator(step)
        # One pass serves both updates: the critic's leaves the posterior as it is; each draws its own codes.
        codes = self.objective.posterior(self.model.encode(x), y)

        critic_loss = self.objective.critic_loss(self.model, codes.map(Tensor.detach), generator)
        critic_optimizer.zero_grad()
        self.manual_backward(critic_loss.mean())
        critic_optimizer.step()

        losses = self.objective.losses(self.model, x, y, codes, generator)
        loss = sum(weight * losses.terms[name] for name, weight in self.objective.weights.items())
        model_optimizer.zero_grad()
        self.manual_backward((loss + losses.classifier).mean())
        model_optimizer.step()

        self._note("train", losses, critic_loss, y)

    def validation_step(self, batch: tuple[Tensor, Tensor], step: int) -> None:
        """
        Take note of all terms, with labels as in training.

        Parameters
        ----------
        batch : tuple of Tensor
            Samples x and groups y.
        step : int
            Number of the batch.
        """
        x, y = self._input(batch[0]), batch[1]
        generator = self._generator(step, validation=True)
        codes = self.objective.posterior(self.model.encode(x), y)
        critic_loss = self.objective.critic_loss(self.model, codes, generator)
        losses = self.objective.losses(self.model, x, y, codes, generator)
        self._note("validation", losses, critic_loss, y)

    def on_train_epoch_start(self) -> None:
        """Forget Adam's moments, if asked to."""
        if self.reset_optimizer == "epoch":
            for optimizer in self.trainer.optimizers:
                optimizer.state.clear()

    def on_train_epoch_end(self) -> None:
        """
        Log the epoch's means.

        Raises
        ------
        TrainingError
            If one of them is not finite.
        """
        metrics = self._log("train")
        terms = (*self.objective.weights, "critic_loss")  # of their sums nobody learns which one went astray
        # The training means come before the last steps' weights, those of the validation part after them.
        seen = [{name: metrics[f"train_{name}"] for name in terms}]
        if self._validation_metrics:
            seen.append({name: self._validation_metrics[f"validation_{name}"] for name in terms})
        if astray := [name for name in terms if not all(np.isfinite(means[name]) for means in seen)]:
            raise TrainingError(
                f"training stopped: {', '.join(astray)} not finite after epoch {self.current_epoch}; "
                f"try a lower learning_rate (now {self.learning_rate:g})"
            )
        self.history.append({"epoch": self.current_epoch} | metrics | self._validation_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation part, which comes before the end of the training epoch."""
        self._validation_metrics = self._log("validation")

    def _input(self, x: Tensor) -> Tensor:
        return as_input(x, next(self.model.parameters()).dtype)

    def _note(self, stage: str, losses: Losses, critic_loss: Tensor, y: Tensor) -> None:
        self.epoch_means[stage].add(losses.terms | losses.shown | {"critic_loss": critic_loss}, y)

    def _log(self, stage: str) -> dict[str, float]:
        """Log every term, unweighted, weighted and by group, and their sum with and without the MI."""
        means = self.epoch_means[stage].means()
        weighted = {f"{name}_weighted": w * means[name] for name, w in self.objective.weights.items()}
        loss = sum(weighted.values())
        sums = {"loss": loss, "loss_without_mi": loss - weighted.get("mutual_information_weighted", 0.0)}
        metrics = {f"{stage}_{name}": value for name, value in (sums | means | weighted).items()}
        self.log_dict(metrics, sync_dist=self.trainer.world_size > 1)
        return metrics

    def _generator(self, step: int, *, validation: bool = False) -> torch.Generator:
        """Noise of this step: apart from the global generators, the same whenever the step is repeated."""
        entropy = [self.random_state, self.current_epoch, step, self.global_rank, int(validation)]
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
        return torch.Generator(self.device).manual_seed(seed)
