"""Training curves in logs of other programs: all terms by name, continued after a stop, offline."""

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sepvae import ContrastivePCA, SepVAE
from sepvae.errors import DataError
from sepvae.run_folder import RunFolder
from sepvae.runs import loggers
from sepvae.runs.loggers import check_logger, logged

from ..helpers import invoke, outcome, quick, quick_sets, table_source


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.recipe.write({"keywords": {"kappa": 2.0, "network": "auto"}})
    return run


def fit(run: RunFolder, name: str, max_epochs: int) -> pd.DataFrame:
    """Fit, or go on, and return what was logged by the fit itself."""
    keywords = quick(max_epochs=max_epochs, validation_fraction=0.2, checkpoint=run.path / "state.ckpt")
    model = SepVAE(**keywords, background="hc")
    with logged(model, name, run):
        model.fit(table_source(0))
    return model.history_.set_index("epoch")


def test_csv_has_every_term_of_every_epoch_also_of_a_fit_that_goes_on(run: RunFolder) -> None:
    fit(run, "csv", 2)
    history = fit(run, "csv", 3)
    found = pd.read_csv(run.logs / "metrics.csv").groupby("epoch").first().drop(columns="step")
    assert {"train_mutual_information", "validation_common_kl_weighted"} < set(history)
    pd.testing.assert_frame_equal(found[list(history)], history, rtol=1e-6)
    assert "kappa: 2.0" in (run.logs / "hparams.yaml").read_text()


def test_tensorboard_has_every_term_and_no_name_of_the_machine(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "pc-of-jane")
    fit(run, "tensorboard", 2)
    history = fit(run, "tensorboard", 3)
    events = EventAccumulator(str(run.logs)).Reload()
    found = {name: [event.value for event in events.Scalars(name)] for name in history}
    pd.testing.assert_frame_equal(pd.DataFrame(found), history.reset_index(drop=True), rtol=1e-6)
    assert len(files := [*run.logs.iterdir()]) == 3  # of two processes, and the keywords
    assert not any("jane" in file.name or b"jane" in file.read_bytes() for file in files)


class Remote:
    """Logger of another program, without it; what it gets is kept."""

    made: list[dict[str, Any]]

    def __init__(self, *_: Any, **keywords: Any) -> None:
        self.made.append(keywords)
        self.version, self.experiment = "the-id", self

    def log_hyperparams(self, keywords: dict[str, Any]) -> None:
        self.made[-1]["logged"] = keywords

    def finish(self) -> None:
        self.made[-1]["finished"] = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keywords of each logger that was made, of programs that may be absent."""
    Remote.made, uri = [], "MLFLOW_TRACKING_URI"
    for name in ("MLFlowLogger", "WandbLogger"):
        monkeypatch.setattr(loggers, name, type(name, (Remote,), {}))
    mlflow = SimpleNamespace(get_tracking_uri=lambda: os.environ.get(uri, "sqlite:///mlflow.db"))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    for name in ("WANDB_MODE", uri, "MLFLOW_DISABLE_TELEMETRY", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    return Remote.made


def test_weights_and_biases_is_offline_until_its_mode_is_set(
    run: RunFolder, made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged(SepVAE(), "wandb", run):
        assert made[0]["offline"] is True
        assert made[0]["logged"] == {"kappa": 2.0, "network": "auto"}
    assert made[0]["finished"]
    monkeypatch.setenv("WANDB_MODE", "online")
    with logged(SepVAE(), "wandb", run):
        assert (made[1]["offline"], made[1]["id"]) == (False, "the-id")
    assert "logged" not in made[1]  # a log that goes on


def test_mlflow_is_local_and_goes_on_in_its_run(
    run: RunFolder, made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged(SepVAE(), "mlflow", run):
        assert (made[0]["tracking_uri"], made[0]["run_id"]) == ("sqlite:///mlflow.db", None)
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with logged(SepVAE(), "mlflow", run):
        assert (made[1]["tracking_uri"], made[1]["run_id"]) == ("http://127.0.0.1:5000", "the-id")


def test_what_cannot_log_is_told_in_one_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"logger: wanted one of csv, tensorboard, mlflow, wandb, got 'tb'"):
        check_logger("tb", SepVAE())
    with pytest.raises(DataError, match="logger: ContrastivePCA has no epochs to log; leave it out"):
        check_logger("csv", ContrastivePCA())
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="logger: tensorboard is not installed; pip install tensorboard"):
        check_logger("tensorboard", SepVAE())

    def refuse(*_: Any) -> None:
        raise ConnectionError("no server\nat 127.0.0.1")

    monkeypatch.setattr(loggers, "_mlflow", refuse)
    refused = pytest.raises(DataError, match=r"logger: mlflow cannot log \(ConnectionError: no server\)")
    with refused, logged(SepVAE(), "mlflow", run):
        pass


@pytest.mark.usefixtures("undrawn")
def test_the_command_logs_into_the_run_folder(tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "run"
    pd.DataFrame({"a": range(60), "b": [3, 1, 2] * 20, "dx": ["hc", "scz"] * 30}).to_csv(table, index=False)
    how = ["--features", "[ab]", "--label", "dx", "--permutations", "0"]
    for more in ([], ["--seeds", "2", *quick_sets()]):
        said = outcome("fit", table, "--out", out, *how, *more, "--logger", "tb")[1]
        assert "logger: wanted one of csv" in said
        assert "fitting with" not in said
    assert not RunFolder(out).seeds.exists()
    invoke("fit", table, "--out", out, *how, "--logger", "csv", *quick_sets())
    assert pd.read_csv(out / "logs" / "metrics.csv")["train_loss"].notna().any()
