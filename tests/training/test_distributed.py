"""Two processes give what one gives: every number of a fit, on the same batches and noise."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from sepvae import SepVAE
from sepvae.errors import DataError
from sepvae.training.distributed import all_gather, all_reduce_sum, check_launch, is_alone, is_first

from . import distributed_fit

SCRIPT = Path(distributed_fit.__file__)


@pytest.fixture(scope="module", params=distributed_fit.METHODS)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def one(method):
    return distributed_fit.fit(method, 1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Folder with what two processes made of each method."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-W", "error", str(SCRIPT), "2", str(folder)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def two(method, fitted):
    with np.load(fitted / f"{method}.npz") as arrays:
        return dict(arrays)


def parts(found, kind):
    return {name: value for name, value in found.items() if name.startswith(kind)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gradient0", "gradient1", "weight", "history", "codes"])
def test_two_processes_give_what_one_gives(one, two, kind):
    wanted, got = parts(one, kind), parts(two, kind)
    assert wanted.keys() == got.keys() != set()
    for name, value in wanted.items():
        # Losses are averaged in single precision; all else is in double.
        tolerance = 1e-5 if kind == "history" else 1e-9
        np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def test_gradients_of_both_updates_are_there_and_reach_what_each_trains(one):
    critic = parts(one, "gradient1")
    assert all("critic" in name for name in critic)
    assert not any("critic" in name for name in parts(one, "gradient0"))
    assert all(np.abs(value).max() > 1e-6 for name, value in critic.items() if "weight" in name)


def test_alone_there_is_nothing_to_gather_or_add():
    x = torch.ones(2, 3)
    assert all_gather(x, 1) is x
    assert all_reduce_sum(x, 1) is x


@pytest.mark.parametrize(("devices", "num_nodes", "alone"), [
    (1, 1, True),
    ("1", 1, True),
    ([3], 1, True),
    (2, 1, False),
    ([0, 1], 1, False),
    ("auto", 1, False),
    (1, 2, False),
])  # fmt: skip
def test_one_device_on_one_node_is_alone(devices, num_nodes, alone):
    assert is_alone(devices, num_nodes) is alone


@pytest.mark.parametrize(("keyword", "value"), [("random_state", None), ("compile", True)])
def test_what_processes_could_not_agree_on_is_refused(keyword, value):
    x, y = np.zeros((20, 3)), np.arange(20) % 2
    with pytest.raises(DataError, match=f"{keyword}: wanted .*, got {value}"):
        SepVAE(devices=2, accelerator="cpu", **{keyword: value}).fit(x, y)


@pytest.mark.parametrize(("node", "rank", "first"), [("0", 0, True), ("0", 1, False), ("1", 0, False)])
def test_the_first_process_is_the_first_of_the_first_node(monkeypatch, node, rank, first):
    monkeypatch.setenv("NODE_RANK", node)
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    assert is_first(2, 2) is first


def test_processes_that_torchrun_started_to_share_a_fit_are_not_each_alone(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(DataError, match="devices: torchrun started 4 processes, but devices is 1"):
        check_launch(1, 1)
    check_launch(4, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    check_launch(1, 1)


def test_one_of_many_tasks_of_a_scheduler_is_the_first_of_its_own_fit(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    assert is_first(1, 1)
    assert not is_first(2, 1)
