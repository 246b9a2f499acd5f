"""Algorithm 1: alternating updates of the critic and the model on one pass through the encoders."""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import one_hot

from sepvae.batch import AnyArray
from sepvae.codes import Codes
from sepvae.errors import TrainingError, listed
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.distributed import all_reduce_sum
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.objective import Losses, Objective, weighted
from sepvae.training.runtime import compiled
from sepvae.training.sampling import Noise, draw_noise


def as_input(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert samples to the networks' input: 8-bit images scaled to [0, 1], channels last in memory."""
    x = x.to(dtype) / 255 if x.dtype == torch.uint8 else x.to(dtype)
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.contiguous(memory_format=channels_last[x.ndim]) if x.ndim in channels_last else x


# Adam's default, independent of the encoders' rate: 1e-2 was no better, and with 2e-5 it would hardly move.
READ_OUT_LEARNING_RATE = 1e-3
# Terms that the critic's own training changes.
OF_CRITIC = ("mutual_information", "critic", "forward_kl", "reverse_kl", "adversarial", "classification")
CHECK_EVERY = 50  # steps between two checks of the terms: each check waits for the device


class AlternatingTraining(pl.LightningModule):
    """Algorithm 1 of the paper for any objective; noise depends on `random_state`, epoch and step only."""

    def __init__(
        self,
        model: ContrastiveAutoencoder,
        objective: Objective,
        keywords: TrainingKeywords,
        *,
        n_groups: int,
        random_state: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.objective, self.random_state = model, objective, random_state
        self.learning_rate = keywords.learning_rate
        self.reset_optimizer = keywords.reset_optimizer
        self.gradient_clip_val = keywords.gradient_clip_val
        self.history: list[dict[str, float]] = []  # one row per epoch
        self.stopped_early = False
        self.weights: dict[str, float] = {}  # of the terms, after the first step
        self._validation_metrics: dict[str, float] = {}
        self._sums: deque[tuple[int, Tensor]] = deque(maxlen=CHECK_EVERY)  # sums of the terms after each step
        self.epoch_means = {stage: EpochMetrics(n_groups) for stage in ("train", "validation")}
        if keywords.gradient_checkpointing:
            model.checkpoint_gradients()
        fast = keywords.compile
        self._fast_posterior = compiled(self._posterior) if fast else self._posterior
        self._fast_critic_loss = compiled(self._critic_loss) if fast else self._critic_loss
        self._fast_losses = compiled(self._losses) if fast else self._losses

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return Adam for encoders, decoder and salient classifier, then for the critic and the read-out."""
        heads = [list(h.parameters()) for h in (self.model.critic, self.model.read_out) if h is not None]
        own = {parameter for head in heads for parameter in head}
        rest = [parameter for parameter in self.model.parameters() if parameter not in own]
        fused = self.device.type in ("cpu", "cuda")  # one kernel for all parameters, where torch has it
        rates = self.learning_rate, self.learning_rate, READ_OUT_LEARNING_RATE
        parts = zip([rest, *heads], rates, strict=False)
        return [torch.optim.Adam(parameters, rate, fused=fused) for parameters, rate in parts]

    def training_step(self, batch: tuple[Tensor, ...], step: int) -> None:
        """Update the critic, then the rest of the model (Algorithm 1)."""
        x, y, *u = self._input(*batch)
        seed = self._seed_step(step)
        optimizers = cast(list[LightningOptimizer], self.optimizers())
        model_optimizer, critic_optimizer, *read_out_optimizers = optimizers
        # One pass serves both updates: the critic's keeps the posterior, and each samples its own codes.
        codes = self._fast_posterior(x, y)
        noise = self._noise(codes, seed)

        logged = {}
        critic_optimizer.zero_grad()
        if self.objective.independent_critic:
            critic_loss = self._fast_critic_loss(x, y, codes.map(Tensor.detach), noise, *u)
            self.manual_backward(critic_loss.mean())
            self._step(critic_optimizer)
            logged["critic_loss"] = critic_loss

        losses = self._fast_losses(x, y, codes, noise, *u)
        loss = sum(weighted(losses.terms, losses.weights).values())
        for optimizer in (model_optimizer, *read_out_optimizers):
            optimizer.zero_grad()
        self.manual_backward((loss + losses.classifiers).mean())
        for optimizer in (model_optimizer, *read_out_optimizers):
            self._step(optimizer)
        if not self.objective.independent_critic:
            self._step(critic_optimizer)  # equivalent to one Adam for critic and model

        self._note("train", losses, logged, y)
        self._sums.append((step, cast(Tensor, self.epoch_means["train"].sums)))
        if (step + 1) % CHECK_EVERY == 0:
            means = self.epoch_means["train"].means(self.trainer.world_size)
            self._stop_if_non_finite({f"train_{name}": value for name, value in means.items()})

    def validation_step(self, batch: tuple[Tensor, ...], step: int) -> None:
        """Record all terms, with labels as in training."""
        x, y, *u = self._input(*batch)
        seed = self._seed_step(step, validation=True)
        codes = self._posterior(x, y)
        noise = self._noise(codes, seed)
        independent = self.objective.independent_critic
        logged = {"critic_loss": self._critic_loss(x, y, codes, noise, *u)} if independent else {}
        self._note("validation", self._losses(x, y, codes, noise, *u), logged, y)

    def on_train_start(self) -> None:
        """Do not continue a fit that early stopping ended."""
        self.trainer.should_stop = self.stopped_early

    def on_train_epoch_start(self) -> None:
        """Clear Adam's moments if `reset_optimizer` is "epoch" (App. E.1, E.2)."""
        self._sums.clear()
        if self.reset_optimizer == "epoch":
            for optimizer in self.trainer.optimizers[:2]:  # the read-out does not affect the model
                optimizer.state.clear()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means; raise DivergenceError if one of them or a weight is not finite."""
        metrics = self._log("train")
        # Training means precede the last steps' weights; validation means follow them.
        self._stop_if_non_finite(metrics | self._validation_metrics)
        if not torch.stack([parameter.isfinite().all() for parameter in self.parameters()]).all():
            raise DivergenceError(["weights"], self.current_epoch)
        self.history.append({"epoch": self.current_epoch} | metrics | self._validation_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log the validation means; Lightning calls this before the end of the training epoch."""
        self._validation_metrics = self._log("validation")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history and the early-stopping state."""
        checkpoint["history"], checkpoint["stopped_early"] = self.history, bool(self.trainer.should_stop)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history and the early-stopping state."""
        self.history, self.stopped_early = checkpoint["history"], checkpoint["stopped_early"]

    def _posterior(self, x: Tensor, y: Tensor) -> Codes[Tensor]:
        return self.objective.posterior(self.model.encode(x), y)

    def _critic_loss(self, x: Tensor, y: Tensor, *rest: Any) -> Tensor:
        return self.objective.critic_loss(self.model, x, y, *rest)

    def _losses(self, x: Tensor, y: Tensor, *rest: Any) -> Losses:
        return self.objective.losses(self.model, x, y, *rest)

    def _input(self, x: Tensor, y: Tensor, *u: Tensor) -> tuple[Tensor, ...]:
        """Return samples, labels and covariates, if any, as networks take them."""
        dtype = next(self.model.parameters()).dtype
        return as_input(x, dtype), y, *(part.to(dtype) for part in u)

    def _step(self, optimizer: LightningOptimizer) -> None:
        if self.gradient_clip_val is not None:
            self.clip_gradients(optimizer.optimizer, self.gradient_clip_val, "norm")
        optimizer.step()

    def _seed_step(self, step: int, *, validation: bool = False) -> int:
        """Return the seed of a step, and seed torch's global generators for the user's own networks."""
        # The 0 was once the rank; it stays, so that the results of a seed do not change.
        entropy = [self.random_state, self.current_epoch, step, 0, int(validation)]
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)
        return seed

    def _noise(self, codes: Codes[Tensor], seed: int) -> Noise:
        """Draw the noise of a step, the same whenever the step is repeated, without the global generators."""
        generator = torch.Generator(codes.common_mean.device).manual_seed(seed)
        return draw_noise(codes, generator, self.global_rank, self.trainer.world_size)

    def _note(self, stage: str, losses: Losses, logged: dict[str, Tensor], y: Tensor) -> None:
        self.weights = losses.weights
        self.epoch_means[stage].add(losses.terms | losses.logged | logged, y)

    def _stop_if_non_finite(self, metrics: dict[str, float]) -> None:
        """Raise DivergenceError with the names of the terms that are not finite."""
        bad = {name for name, value in metrics.items() if not np.isfinite(value)}
        logged = *self.weights, "critic_loss"
        non_finite = [name for name in logged if bad & {f"{stage}_{name}" for stage in self.epoch_means}]
        if not non_finite:
            return
        step, first = first_non_finite(self._sums) or (None, [])
        names = [self.epoch_means["train"].names[k] for k in first]
        # One step later all other terms are not finite either.
        terms = [name for name in non_finite if name in names] or non_finite
        raise DivergenceError(terms, self.current_epoch, step)

    def _log(self, stage: str) -> dict[str, float]:
        """Log every term, unweighted, weighted and by group, and the total with and without the MI."""
        means = self.epoch_means[stage].means(self.trainer.world_size)
        self.epoch_means[stage].clear()
        parts = weighted(means, self.weights)
        loss, of_critic = sum(parts.values()), sum(parts.get(name, 0.0) for name in OF_CRITIC)
        metrics = {"loss": loss, "loss_without_mi": loss - of_critic} | means
        metrics |= {f"{name}_weighted": value for name, value in parts.items()}
        metrics = {f"{stage}_{name}": value for name, value in metrics.items()}
        self.log_dict(metrics, sync_dist=self.trainer.world_size > 1)
        return metrics


LAST = 5  # steps whose sample ids the error holds
SHOWN = 3  # sample ids in the message


class EpochMetrics:
    """Means of per-sample values over an epoch, in total and by group; sums stay on the device until read."""

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups
        self.names: list[str] = []
        self.of_batches: set[str] = set()
        self.sums: Tensor | float = 0.0  # (names, groups)
        self.counts: Tensor | float = 0.0  # (groups,)

    def add(self, values: dict[str, Tensor], y: Tensor) -> None:
        """Add a batch; a value has shape (batch,), or () for a quantity of the whole batch."""
        members = one_hot(y.ceil().long(), self.n_groups).float()
        self.names = list(values)
        self.of_batches = {name for name, value in values.items() if value.ndim == 0}
        by_sample = torch.stack([value.detach().float().expand(len(y)) for value in values.values()])
        self.sums = self.sums + by_sample @ members
        self.counts = self.counts + members.sum(0)

    def means(self, world_size: int = 1) -> dict[str, float]:
        """Return means so far by NAME, and by group as NAME_background and NAME_target (NAME_target1, ..)."""
        if isinstance(self.sums, float) or isinstance(self.counts, float):
            return {}
        sums, counts = (all_reduce_sum(part, world_size).cpu() for part in (self.sums, self.counts))
        targets = [f"target{k}" for k in range(1, self.n_groups)] if self.n_groups > 2 else ["target"]
        means = {}
        for name, by_group in zip(self.names, sums, strict=True):
            means[name] = float(by_group.sum() / counts.sum())
            if name in self.of_batches or name.endswith(("_background", "_target", "_excess")):
                continue  # a quantity of the whole batch or of one group
            for group, value, count in zip(["background", *targets], by_group, counts, strict=True):
                if count > 0:
                    means[f"{name}_{group}"] = float(value / count)
        return means

    def clear(self) -> None:
        """Delete all sums, before a new epoch."""
        self.sums, self.counts = 0.0, 0.0


class DivergenceError(ArithmeticError):
    """A term or a weight is not finite; `step` is the first such step of the epoch, None if unknown."""

    def __init__(self, terms: Sequence[str], epoch: int, step: int | None = None) -> None:
        super().__init__(terms, epoch, step)
        self.terms, self.epoch, self.step = terms, epoch, step


def first_non_finite(sums: Iterable[tuple[int, Tensor]]) -> tuple[int, list[int]] | None:
    """
    Return the first step whose sums, of shape (terms, groups), are not finite, and the indices of the terms.

    >>> first_non_finite([(0, torch.tensor([[1.0], [2.0]])), (1, torch.tensor([[1.0], [torch.nan]]))])
    (1, [1])
    """
    for step, total in sums:
        if not total.isfinite().all():
            return step, (~total.isfinite()).any(dim=1).nonzero().flatten().tolist()
    return None


def training_error(
    diverged: DivergenceError,
    order: Sequence[AnyArray],
    ids: AnyArray,
    *,
    learning_rate: float,
    checkpoint: Path | None,
) -> TrainingError:
    """Return the error that names the step, its samples (`order` has positions by batch) and fixes."""
    last = len(order) - 1 if diverged.step is None else diverged.step
    steps = range(max(last - LAST + 1, 0), last + 1)
    batches = {step: np.asarray(ids)[order[step]].astype(str).tolist() for step in steps}
    when = f"epoch {diverged.epoch}" + ("" if diverged.step is None else f", step {diverged.step}")
    samples = listed([" ".join(name.split()) for name in batches[last]], SHOWN)
    kept = checkpoint is not None and diverged.epoch > 0
    state = f"; the state after epoch {diverged.epoch - 1} is in {checkpoint}" if kept else ""
    return TrainingError(
        f"training stopped: {', '.join(diverged.terms)} not finite in {when}, with samples "
        f"{samples}; try a lower learning_rate (now {learning_rate:g}), or gradient_clip_val=1" + state,
        batches,
    )
