import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.testing import assert_close

from sepvae.data.arrays import ArraySource
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.fit import quiet_lightning
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.loader import GroupBatches, ordered_batches, training_batches
from sepvae.training.module import AlternatingTraining, DivergenceError, EpochMetrics, as_input
from sepvae.training.sampling import derangement

OBJECTIVE = SepVAEObjective(
    beta_common=0.5,
    beta_salient=0.3,
    kappa=2.0,
    gamma=1.0,
    background_prior_var=0.05,
    background_posterior_var=0.1,
    reconstruction_var=0.5,
    rectify_mi=True,
)
rng = np.random.default_rng(0)
Y = rng.permutation(np.repeat([0, 1], [14, 9]))
X = rng.normal(size=(23, 5)) + Y[:, None] * np.array([3.0, 0, 0, 0, 0])
VALIDATION = np.arange(3)  # one of a group, two of the other


class Watched:
    """The objective, with something done on the way."""

    def __init__(self, **methods):
        for name, method in methods.items():
            setattr(self, name, method)

    def __getattr__(self, name):
        return getattr(OBJECTIVE, name)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_autoencoder("mlp", (5,), 3, 2, 2).double()


@pytest.fixture
def fit(model, tmp_path):
    """Train for some epochs of two batches of 8 in double precision; give the Lightning module."""

    def run(
        objective=OBJECTIVE,
        *,
        epochs=3,
        reset_optimizer="never",
        gradient_clip_val=None,
        validate=True,
        learning_rate=1e-2,
        batch_size=8,
        callbacks=(),
    ):
        keywords = TrainingKeywords(
            learning_rate=learning_rate, reset_optimizer=reset_optimizer, gradient_clip_val=gradient_clip_val
        )
        training = AlternatingTraining(model, objective, keywords, n_groups=2, random_state=7)
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            precision="64-true",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=tmp_path,
            callbacks=[*callbacks],
        )
        source, rest = ArraySource(X, Y), np.arange(len(VALIDATION), len(Y))
        batches = training_batches(source, Y, rest, batch_size=batch_size, balanced=False, random_state=7)
        validation = ordered_batches(source, Y, VALIDATION, batch_size=2) if validate else None
        with quiet_lightning():
            trainer.fit(training, batches, validation)
        return training

    return run


def algorithm_1(model, *, epochs, new_adam_each_epoch):
    """The paper's pseudo-code, on the same batches and noise."""
    rest = [p for name, p in model.named_parameters() if not name.startswith(("critic", "read_out"))]
    read_out_adam = torch.optim.Adam(model.read_out.parameters(), 1e-3)
    batches = GroupBatches(Y, np.arange(len(VALIDATION), len(Y)), 8, balanced=False, random_state=7)
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        if epoch == 0 or new_adam_each_epoch:
            adam, critic_adam = (
                torch.optim.Adam(rest, 1e-2),
                torch.optim.Adam(model.critic.parameters(), 1e-2),
            )
        for step, rows in enumerate(batches):
            x, y = torch.from_numpy(X[rows]), torch.from_numpy(Y[rows])[:, None].double()
            entropy = np.random.SeedSequence([7, epoch, step, 0, 0]).generate_state(1, np.uint64)
            noise = torch.Generator().manual_seed(int(entropy[0] >> 1))

            def posterior(x=x, y=y):
                (mean, logvar), (salient_mean, salient_logvar) = (
                    model.common_encoder(x),
                    model.salient_encoder(x),
                )
                std = y * (salient_logvar / 2).exp() + (1 - y) * 0.1**0.5
                return Normal(mean, (logvar / 2).exp()), Normal(salient_mean, std)

            def draw(q, noise=noise):
                return q.loc + q.scale * torch.randn(q.loc.shape, generator=noise, dtype=torch.float64)

            q_c, q_s = posterior()
            c, s = draw(q_c).detach(), draw(q_s).detach()
            d = model.critic(c, s).sigmoid()
            d_shuffled = model.critic(c, s[derangement(len(s), noise)]).sigmoid()
            critic_adam.zero_grad()
            (-d.log() - (1 - d_shuffled).log()).mean().backward()
            critic_adam.step()

            q_c, q_s = posterior()  # a second pass, as line 9 says; ours has one
            c, s = draw(q_c), draw(q_s)
            d = model.critic(c, s).sigmoid()
            prior = Normal(torch.zeros_like(y), (y + (1 - y) * 0.05).sqrt())
            loss = (
                (x - model.decode(c, y * s)).square().sum(dim=1)
                + 0.5 * kl_divergence(q_c, Normal(0, 1)).sum(dim=1)
                + 0.3 * kl_divergence(q_s, prior).sum(dim=1)
                - Bernoulli(logits=model.salient_classifier(s)).log_prob(y)[:, 0]
                + 2.0 * (d / (1 - d)).log().relu()
            )
            adam.zero_grad()
            loss.mean().backward()
            adam.step()

            read_out_adam.zero_grad()  # ours: what predict reads learns from means, never from samples
            (-Bernoulli(logits=model.read_out(q_s.loc.detach())).log_prob(y)).mean().backward()
            read_out_adam.step()


@pytest.mark.parametrize("reset_optimizer", ["never", "epoch"])
def test_training_is_algorithm_1(model, fit, reset_optimizer):
    start = {name: value.clone() for name, value in model.state_dict().items()}
    got = {
        name: value.clone() for name, value in fit(reset_optimizer=reset_optimizer).model.state_dict().items()
    }
    model.load_state_dict(start)
    algorithm_1(model, epochs=3, new_adam_each_epoch=reset_optimizer == "epoch")
    assert_close(got, dict(model.state_dict()), rtol=1e-6, atol=1e-9)
    assert max((got[name] - start[name]).abs().max() for name in got) > 1e-2


def test_the_critic_steps_first_and_alone(model, fit):
    states = [{name: value.clone() for name, value in model.state_dict().items()}]
    changed = []

    def note():
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        before, now = states[-2:]
        changed.append({name.split(".")[0] for name in now if not torch.equal(now[name], before[name])})

    def critic_loss(*args):
        note()
        return OBJECTIVE.critic_loss(*args)

    def losses(*args):
        note()
        return OBJECTIVE.losses(*args)

    fit(Watched(critic_loss=critic_loss, losses=losses), epochs=1, validate=False)
    all_else = {"common_encoder", "salient_encoder", "decoder", "salient_classifier", "read_out"}
    assert changed == [set(), {"critic"}, all_else, {"critic"}]


def test_the_critic_learns_from_detached_codes(fit):
    seen = []

    def critic_loss(model, x, y, codes, noise):
        seen.extend([codes.common_mean, codes.common_logvar, codes.salient_mean, codes.salient_logvar])
        return OBJECTIVE.critic_loss(model, x, y, codes, noise)

    fit(Watched(critic_loss=critic_loss), epochs=1)
    assert seen
    assert not any(part.requires_grad for part in seen)


def test_every_term_is_logged_unweighted_weighted_and_by_group(fit):
    training = fit(epochs=2)
    for row in training.history:
        for stage in ("train", "validation"):
            for name, weight in training.weights.items():
                assert row[f"{stage}_{name}_weighted"] == weight * row[f"{stage}_{name}"]
            by_group = ("reconstruction", "common_kl", "squared_error", "mutual_information")
            for name in (*by_group, "critic_loss", "read_out_loss"):
                assert {f"{stage}_{name}_background", f"{stage}_{name}_target"} <= row.keys()
    logged = {name: value.item() for name, value in training.trainer.callback_metrics.items()}
    assert logged == pytest.approx({k: v for k, v in training.history[-1].items() if k != "epoch"})


@pytest.mark.parametrize("stage", ["train", "validation"])
def test_loss_is_the_sum_of_weighted_terms_with_the_mi_and_without(fit, stage):
    training = fit(epochs=1)
    row = training.history[0]
    terms = {name: weight * row[f"{stage}_{name}"] for name, weight in training.weights.items()}
    assert row[f"{stage}_loss"] == pytest.approx(sum(terms.values()))
    assert row[f"{stage}_loss_without_mi"] == pytest.approx(sum(terms.values()) - terms["mutual_information"])


def test_a_mean_of_all_weighs_groups_by_their_samples(fit):
    row = fit(epochs=1).history[0]
    n = np.bincount(Y[VALIDATION])
    for name in ("reconstruction", "common_kl", "salient_classification"):
        by_group = [row[f"validation_{name}_{group}"] for group in ("background", "target")]
        assert row[f"validation_{name}"] == pytest.approx(np.average(by_group, weights=n))


def test_each_row_of_the_history_belongs_to_its_own_epoch(fit):
    """A clock that counts training steps, two an epoch, shows where metrics come from."""
    time = 0

    def losses(model, x, y, *rest):
        nonlocal time
        time += torch.is_grad_enabled()
        return OBJECTIVE.losses(model, x, y, *rest)._replace(
            logged={"time": torch.full((len(y),), float(time))}
        )

    history = fit(Watched(losses=losses)).history
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert [row["train_time"] for row in history] == [1.5, 3.5, 5.5]
    assert [row["validation_time"] for row in history] == [2, 4, 6]


def test_without_validation_there_are_training_metrics_only(fit):
    assert {name.split("_")[0] for row in fit(validate=False).history for name in row} == {"epoch", "train"}


def test_weights_that_are_not_finite_stop_training_before_the_epoch_counts(fit):
    def losses(model, x, y, codes, noise):
        losses = OBJECTIVE.losses(model, x, y, codes, noise)
        nothing = (0 * codes.common_mean.sum(1)).sqrt()  # its gradient is no number
        return losses._replace(terms=losses.terms | {"common_kl": losses.terms["common_kl"] + nothing})

    with pytest.raises(DivergenceError) as caught:
        fit(Watched(losses=losses), validate=False, epochs=1, batch_size=20)  # one step
    assert (caught.value.terms, caught.value.step) == (["weights"], None)


class Norms(pl.Callback):
    """The norm of the gradients of every step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):  # noqa: ARG002
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.seen.append(float(torch.cat([p.grad.ravel() for p in parameters]).norm()))


def test_gradients_are_clipped_to_a_norm(fit):
    free, clipped = Norms(), Norms()
    fit(epochs=1, callbacks=[free])
    fit(epochs=1, callbacks=[clipped], gradient_clip_val=0.01)
    assert min(free.seen) > 0.01
    assert clipped.seen == pytest.approx([0.01] * len(free.seen), rel=1e-3)


@pytest.mark.parametrize("diverging", ["common_kl", "mutual_information"])
def test_a_term_that_is_not_finite_stops_training_and_is_named(fit, diverging):
    steps = iter([1, 1, 1, np.nan])  # two epochs of two, the last not finite

    def losses(*args):
        losses = OBJECTIVE.losses(*args)
        return losses._replace(terms=losses.terms | {diverging: next(steps) * losses.terms[diverging]})

    with pytest.raises(DivergenceError) as caught:
        fit(Watched(losses=losses), validate=False)
    assert (caught.value.terms, caught.value.epoch, caught.value.step) == ([diverging], 1, 1)


def test_a_long_epoch_is_not_waited_for(fit, monkeypatch):
    monkeypatch.setattr("sepvae.training.module.CHECK_EVERY", 2)
    steps = 0

    def losses(*args):
        nonlocal steps
        steps += 1
        losses = OBJECTIVE.losses(*args)
        return losses._replace(terms=losses.terms | {"common_kl": np.inf * losses.terms["common_kl"]})

    with pytest.raises(DivergenceError) as caught:
        fit(Watched(losses=losses), batch_size=4)
    assert steps == 2  # of five
    assert (caught.value.terms, caught.value.epoch, caught.value.step) == (["common_kl"], 0, 0)


def test_group_means_are_those_of_a_loop():
    values, y = np.random.default_rng(0).normal(size=12), np.array([0, 1, 2, 2, 0, 0, 1, 1, 1, 2, 0, 0])
    means = EpochMetrics(3)
    for rows in (slice(0, 7), slice(7, 12)):
        batch = torch.from_numpy(values[rows])
        means.add({"error": batch, "kl_background": batch}, torch.from_numpy(y[rows]))
    wanted = {"error": values.mean(), "kl_background": values.mean()}
    wanted |= {
        f"error_{g}": values[y == k].mean() for k, g in enumerate(["background", "target1", "target2"])
    }
    assert means.means() == pytest.approx(wanted)
    means.clear()
    assert means.means() == {}


def test_group_means_leave_out_a_group_that_never_came():
    means = EpochMetrics(2)
    means.add({"error": torch.ones(2)}, torch.tensor([1, 1]))
    assert means.means() == {"error": 1, "error_target": 1}


def test_as_input_scales_8_bit_images_only():
    grey = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    assert as_input(grey, torch.float64).flatten().tolist() == [0, 0.2, 1]
    assert as_input(torch.tensor([[3.0, 255.0]]), torch.float32).tolist() == [[3, 255]]
    assert as_input(torch.zeros(1, 2, dtype=torch.float64), torch.float32).dtype == torch.float32


def test_as_input_lays_images_out_with_channels_last():
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    laid_out = as_input(x, torch.float32)
    assert torch.equal(laid_out, x)
    assert laid_out.is_contiguous(memory_format=torch.channels_last)
