import logging
import random
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.testing import assert_close

from sepvae.batch import in_proportion
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.callbacks import FitProgress
from sepvae.training.fit import MONITOR, make_trainer, train
from sepvae.training.keywords import TrainingKeywords

OBJECTIVE = SepVAEObjective(
    beta_common=1.0,
    beta_salient=1.0,
    kappa=1.0,
    gamma=1.0,
    background_prior_var=0.05,
    background_posterior_var=0.1,
    reconstruction_var=0.5,
    rectify_mi=True,
)
rng = np.random.default_rng(0)
Y = rng.permutation(np.repeat([0, 1], [18, 12]))
X = rng.normal(size=(30, 5)) + Y[:, None] * np.array([3.0, 0, 0, 0, 0])


def fit(x=X, *, seed=0, validation=8, batch_size=11, max_epochs=2, **keywords):
    """Train on all but the first samples, which are for validation."""
    quiet = {"learning_rate": 1e-2, "progress_bar": False, "accelerator": "cpu"}
    return train(
        OBJECTIVE,
        lambda: build_autoencoder("auto", x.shape[1:], 3, 2, 2),
        ArraySource(x, Y),
        Y,
        (np.arange(validation, len(x)), np.arange(validation)),
        TrainingKeywords(**quiet | keywords),
        batch_size=batch_size,
        max_epochs=max_epochs,
        seed=seed,
        about={},
    )


def assert_same_weights(one, other):
    assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_same_seed_same_weights_to_the_bit_and_another_seed_others():
    (model, history), (again, same), (other, _) = fit(seed=1), fit(seed=1), fit(seed=2)
    assert_same_weights(model, again)
    assert history.equals(same)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)


def test_global_generators_are_left_as_found_and_do_not_matter():
    first, _ = fit()
    torch.manual_seed(99)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    again, _ = fit()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert_same_weights(first, again)


def test_model_comes_back_in_evaluation_mode_with_a_row_per_epoch():
    model, history = fit(max_epochs=3)
    assert not any(module.training for module in model.modules())
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history.notna().all(axis=None)


def test_without_validation_it_trains_too():
    _, history = fit(validation=0)
    assert not any(column.startswith("validation") for column in history)


def test_training_lowers_the_loss():
    loss = fit(max_epochs=10)[1]["train_loss_without_mi"]
    assert loss.iloc[-1] < 0.8 * loss.iloc[0]


def test_double_precision():
    model, _ = fit(precision="64-true")
    assert {p.dtype for p in model.parameters()} == {torch.float64}


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_weights_trained_in_lower_precision_are_kept_in_single(precision, monkeypatch):
    monkeypatch.setattr("sepvae.training.fit.check_precision", lambda *_: None)  # whatever this processor is
    model, history = fit(precision=precision)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert np.isfinite(history["train_loss"]).all()


def test_a_precision_that_only_costs_time_is_refused_before_training(monkeypatch):
    seconds = {torch.float32: 1, torch.bfloat16: 500}
    monkeypatch.setattr("sepvae.training.runtime.matmul_seconds", seconds.get)
    with pytest.raises(DataError, match="precision: bf16-mixed is 500 times slower"):
        fit(precision="bf16-mixed")


@pytest.mark.slow
def test_a_compiled_step_trains_as_the_plain_one(monkeypatch):
    """Traced and differentiated as for any compiler, but run by torch, which is quicker than compiling."""
    traced = []

    def trace(function, **keywords):
        traced.append(function.__name__)
        return real(function, backend="aot_eager", **keywords)

    real = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    plain, compiled = (fit(compile=compile, precision="64-true")[0] for compile in (False, True))  # noqa: A001
    assert traced == ["_posterior", "_critic_loss", "_losses"]
    assert_close(compiled.state_dict(), plain.state_dict(), rtol=1e-9, atol=1e-12)


def test_keep_best_gives_the_weights_of_the_epoch_with_the_least_validation_loss():
    best, history = fit(keep="best", max_epochs=8, learning_rate=0.02)
    epoch = int(history["validation_loss_without_mi"].argmin())
    assert 0 < epoch < 7
    assert_same_weights(best, fit(max_epochs=epoch + 1, learning_rate=0.02)[0])
    last, _ = fit(max_epochs=8, learning_rate=0.02)
    assert not torch.equal(best.decoder.linear.weight, last.decoder.linear.weight)


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_after_so_many_epochs_that_bring_nothing(patience):
    _, history = fit(max_epochs=8, learning_rate=0.02)
    loss = history["validation_loss_without_mi"].tolist()
    stop = next(e for e in range(patience, 8) if min(loss[e + 1 - patience : e + 1]) > min(loss[: e + 1]))
    _, stopped = fit(max_epochs=8, learning_rate=0.02, early_stopping=patience)
    assert len(stopped) == stop + 1 < 8
    assert stopped.equals(history[: stop + 1])


@pytest.mark.parametrize("keywords", [{"early_stopping": 3}, {"keep": "best"}], ids=str)
def test_what_needs_validation_is_refused_without(keywords):
    with pytest.raises(DataError, match="need validation samples: raise validation_fraction"):
        fit(validation=0, **keywords)


def test_what_chooses_is_the_validation_loss_without_mutual_information():
    row = fit(max_epochs=1)[1].iloc[0]
    assert row[MONITOR] == pytest.approx(row["validation_loss"] - row["validation_mutual_information"])


def test_reset_optimizer_changes_training_from_the_second_epoch_on():
    (_, never), (_, each) = fit(reset_optimizer="never"), fit(reset_optimizer="epoch")
    assert never["validation_loss"][0] == each["validation_loss"][0]
    assert never["validation_loss"][1] != each["validation_loss"][1]


def test_balanced_batches_change_the_proportions():
    _, history = fit(balanced=True, batch_size=10, max_epochs=1, learning_rate=1e-9)
    row = history.iloc[0]
    halves = (row["train_common_kl_background"] + row["train_common_kl_target"]) / 2
    assert row["train_common_kl"] == pytest.approx(halves)


def test_8_bit_images_train_as_the_same_images_in_0_to_1():
    x = np.random.default_rng(0).integers(256, size=(30, 1, 16, 16), dtype=np.uint8)
    (model, _), (same, _) = fit(x, max_epochs=1), fit((x / 255).astype(np.float32), max_epochs=1)
    assert_same_weights(model, same)


def test_callbacks_of_the_user_are_called():
    class Count(pl.Callback):
        epochs = 0

        def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002
            self.epochs += 1

    fit(callbacks=[count := Count()])
    assert count.epochs == 2


def test_checkpoints_and_progress_bars_of_the_user_are_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint, bar = ModelCheckpoint(every_n_epochs=1), FitProgress()
    fit(callbacks=[checkpoint, bar], progress_bar=True)
    assert Path(checkpoint.best_model_path).is_file()
    assert bar.trainer.progress_bar_callback is bar


def test_logs_are_written_whatever_number_a_scheduler_gives_the_task(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 2)
    fit(logger=CSVLogger(tmp_path))
    assert list(tmp_path.rglob("metrics.csv"))
    assert rank_zero_only.rank == 2


@pytest.mark.parametrize("keywords", [{"devices": "two"}, {"devices": 0}, {"strategy": "none"}], ids=str)
def test_what_lightning_refuses_is_one_line(keywords):
    with pytest.raises(DataError, match=r"^accelerator, devices, strategy or precision: [^\n]+$"):
        fit(**keywords)


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_processes_that_would_keep_the_history_are_refused(strategy):
    with pytest.raises(DataError, match=f"strategy: wanted ddp, .* got '{strategy}'"):
        fit(devices=2, strategy=strategy)


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
def test_several_devices_expect_parameters_that_a_backward_pass_does_not_reach(strategy, monkeypatch):
    asked, trainer = [], pl.Trainer
    monkeypatch.setattr(pl, "Trainer", lambda **how: asked.append(how["strategy"]) or trainer(**how))
    make_trainer([], strategy, accelerator="cpu", devices=2, num_nodes=1, logger=False)
    assert asked == [strategy, "ddp_find_unused_parameters_true"]


def test_a_fit_on_one_device_takes_no_notice_of_a_schedulers_other_tasks(monkeypatch):
    for name, value in {"NTASKS": "4", "PROCID": "2", "LOCALID": "2", "JOB_ID": "1", "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    trainer = make_trainer([], "auto", accelerator="cpu", devices=1, num_nodes=1, logger=False)
    assert (trainer.global_rank, trainer.world_size) == (0, 1)


def test_lightning_is_quiet_during_the_fit_and_as_before_after(capfd):
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    fit()
    assert logger.level == level
    assert capfd.readouterr() == ("", "")


def test_validation_batches_hold_groups_in_the_shares_of_all():
    y = np.repeat([0, 1], [60, 20])
    mixed = in_proportion(np.ceil(y))
    assert sorted(mixed) == list(range(80))
    assert [y[mixed[i : i + 8]].sum() for i in range(0, 80, 8)] == [2] * 10
