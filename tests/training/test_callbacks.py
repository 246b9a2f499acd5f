import io

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.callbacks import Callback, Checkpoint
from rich.console import Console

from sepvae.data.arrays import ArraySource
from sepvae.methods.sepvae_objective import SepVAEObjective
from sepvae.networks.autoencoder import build_autoencoder
from sepvae.training.callbacks import FitProgress, MetricsFile
from sepvae.training.fit import quiet_lightning
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.loader import training_batches
from sepvae.training.module import AlternatingTraining, DivergenceError

Y = np.arange(16) % 2
X = np.random.default_rng(0).normal(size=(16, 5))


@pytest.fixture
def fit(tmp_path):
    """Train for three epochs with a callback; give the history."""

    def run(*callbacks, learning_rate=1e-3):
        objective = SepVAEObjective(1.0, 1.0, 1.0, 1.0, 0.05, 0.1, 0.5, rectify_mi=True)
        keywords = TrainingKeywords(learning_rate=learning_rate)
        model = build_autoencoder("mlp", (5,), 3, 2, 2)
        training = AlternatingTraining(model, objective, keywords, n_groups=2, random_state=0)
        batches = training_batches(
            ArraySource(X, Y), Y, np.arange(16), batch_size=8, balanced=False, random_state=0
        )
        with quiet_lightning():
            pl.Trainer(
                max_epochs=3,
                accelerator="cpu",
                logger=False,
                callbacks=list(callbacks),
                enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
                enable_model_summary=False,
                default_root_dir=tmp_path,
                enable_progress_bar=any(isinstance(callback, FitProgress) for callback in callbacks),
            ).fit(training, batches)
        return training.history

    return run


class EachEpoch(Callback):
    """Note something at the start of each epoch."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_train_epoch_start(self, trainer, pl_module):  # noqa: ARG002
        self.seen.append(self.look())


def test_metrics_file_holds_the_history(fit, tmp_path):
    history = fit(MetricsFile(tmp_path / "metrics.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "metrics.csv"), pd.DataFrame(history))


def test_metrics_file_grows_by_a_row_each_epoch(fit, tmp_path):
    path = tmp_path / "metrics.csv"
    rows = EachEpoch(lambda: len(pd.read_csv(path)) if path.exists() else None)
    fit(MetricsFile(path), rows)
    assert rows.seen == [None, 1, 2]


@pytest.fixture
def progress():
    callback = FitProgress()
    callback.bar.live.console = Console(file=io.StringIO(), width=120)
    return callback


def test_progress_counts_epochs_and_shows_the_terms_of_the_last(fit, progress):
    done = EachEpoch(lambda: progress.bar.tasks[0].completed)
    last = fit(progress, done)[-1]
    (task,) = progress.bar.tasks
    assert done.seen == [0, 1, 2]
    assert (task.completed, task.total) == (3, 3)
    for short, name in {"rec": "reconstruction", "KL c": "common_kl", "MI": "mutual_information"}.items():
        assert f"{short} {last['train_' + name]:.3g}" in task.description
    assert not progress.bar.live.is_started


def test_progress_is_closed_after_an_error(fit, progress):
    with pytest.raises(DivergenceError):
        fit(progress, learning_rate=1e30)
    assert not progress.bar.live.is_started


def test_progress_is_silent_in_processes_that_do_not_lead(progress):
    progress.disable()
    progress.bar.start()
    assert not progress.bar.live.is_started
