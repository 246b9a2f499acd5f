"""Training curves of a run in CSV, TensorBoard, MLflow or Weights & Biases, by Lightning's loggers."""

import csv
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any
from unittest.mock import patch

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from sepvae.checks import check_choice
from sepvae.errors import DataError, reason_of
from sepvae.methods.base import ContrastiveEstimator
from sepvae.process_wide import ignoring
from sepvae.run_folder import RunFolder

LOGGERS = ("csv", "tensorboard", "mlflow", "wandb")


def check_logger(name: str | None, model: ContrastiveEstimator) -> None:
    """Raise DataError unless the logger is known and installed, and the method trains by epochs."""
    if name is None:
        return
    check_choice("--logger", name, LOGGERS)
    if not model.capabilities.epochs:
        raise DataError(f"--logger: {type(model).__name__} has no epochs to log; leave it out")
    package = None if name == "csv" else find_spec(name)
    if name != "csv" and (package is None or package.origin is None):  # a folder ./wandb is no package
        raise DataError(f"--logger: {name} is not installed; pip install {name}")


@contextmanager
def logged(model: ContrastiveEstimator, name: str | None, run: RunFolder) -> Iterator[None]:
    """
    Log the training of a model into an earlier log of the run, or a new one that has the model's keywords.

    CSV and TensorBoard write into the run folder. The stores of MLflow and Weights & Biases hold names of
    users and machines: they are where these programs keep them, and the run folder has only their ids.
    """
    if name is None:
        yield
        return
    ids = run.logger_ids.read() or {}
    new = not run.logs.exists() or (name in ("mlflow", "wandb") and name not in ids)
    run.logs.mkdir(exist_ok=True)
    try:
        logger: Logger = {"csv": _csv, "tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}[name](
            run, ids.get(name)
        )
        if new:
            logger.log_hyperparams(run.recipe.required()["keywords"])
    except Exception as error:  # of a server, or of another program's store
        raise DataError(f"--logger: {name} cannot log ({reason_of(error)})") from error
    if isinstance(logger, MLFlowLogger | WandbLogger):
        run.logger_ids.write(ids | {name: str(logger.version)})
    model.set_params(logger=logger)
    try:
        yield
    finally:
        if isinstance(logger, WandbLogger):  # else the next fit of this process would go on with it
            logger.experiment.finish()


def _csv(run: RunFolder, _: str | None) -> CSVLogger:
    """Return a logger with the rows of an earlier log, which Lightning's deletes."""
    logger = CSVLogger(run.logs, name="", version="")
    file = Path(logger.log_dir, ExperimentWriter.NAME_METRICS_FILE)
    rows: list[Any] = []
    if file.exists():
        with file.open(newline="") as earlier:
            rows += csv.DictReader(earlier)
    with ignoring(".*exists and is not empty.*"):
        writer = logger.experiment
    writer.metrics = rows
    writer.save()
    return logger


def _tensorboard(run: RunFolder, _: str | None) -> TensorBoardLogger:
    logger = TensorBoardLogger(run.logs, name="", version="", default_hp_metric=False)
    with patch.object(socket, "gethostname", lambda: "run"):  # the name of the file would have it
        _ = logger.experiment
    return logger


def _mlflow(run: RunFolder, run_id: str | None) -> MLFlowLogger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import
    from mlflow import get_tracking_uri

    uri = get_tracking_uri()  # of MLFLOW_TRACKING_URI, or a local one
    return MLFlowLogger("sepvae", run_name=run.path.resolve().name, tracking_uri=uri, run_id=run_id)


def _wandb(run: RunFolder, run_id: str | None) -> WandbLogger:
    offline = "WANDB_MODE" not in os.environ
    if offline:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    return WandbLogger(
        name=run.path.resolve().name,
        save_dir=os.environ.get("WANDB_DIR", "."),
        offline=offline,
        id=run_id or token_hex(4),
        project=os.environ.get("WANDB_PROJECT", "sepvae"),
    )
