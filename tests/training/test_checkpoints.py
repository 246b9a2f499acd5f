import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from sepvae.data.arrays import StreamSource
from sepvae.errors import DataError, ModelFileError
from sepvae.methods import ConVAE, MMcVAE, SepVAE

from ..helpers import quick

rng = np.random.default_rng(0)
Y = rng.permutation(np.repeat(["control", "patient"], [24, 16]))
OTHERS = [pytest.param(method, marks=pytest.mark.slow) for method in (ConVAE, MMcVAE)]
X = rng.normal(size=(40, 5)) + (Y == "patient")[:, None] * np.array([3.0, 0, 0, 0, 0])


def model(method=SepVAE, **keywords):
    defaults = {"max_epochs": 5, "batch_size": 11, "learning_rate": 0.03, "validation_fraction": 0.3}
    return method(**quick(common_dim=3, **defaults) | keywords)


class Killed(BaseException):
    """What no code of ours handles."""


class Kill(Callback):
    """Stop in the middle of an epoch, without a word to anyone."""

    def __init__(self, epoch, step=1):
        self.when = epoch, step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):  # noqa: ARG002
        if (trainer.current_epoch, batch_idx) == self.when:
            raise Killed


def killed(path, epoch, **keywords):
    with pytest.raises(Killed):
        model(checkpoint=path, callbacks=[Kill(epoch)], **keywords).fit(X, Y)


def assert_same(one, other):
    assert one.history_.equals(other.history_)
    for name, value in one.module_.state_dict().items():
        assert torch.equal(value, other.module_.state_dict()[name]), name


@pytest.mark.parametrize("method", [SepVAE, *OTHERS])
@pytest.mark.parametrize(
    "keywords", [{}, {"reset_optimizer": "epoch"}, {"keep": "best"}, {"early_stopping": 1}]
)
def test_a_fit_that_was_killed_ends_as_if_it_had_not_been(tmp_path, method, keywords):
    whole = model(method, **keywords).fit(X, Y)
    for epoch in {0, len(whole.history_) - 1}:
        path = tmp_path / str(epoch)
        killed(path, epoch, method=method, **keywords)
        assert path.exists() == (epoch > 0)
        assert_same(model(method, checkpoint=path, **keywords).fit(X, Y), whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_that_read_ahead_read_on_from_there(tmp_path):
    images = rng.integers(0, 256, size=(40, 1, 16, 16), dtype=np.uint8)
    source = StreamSource(images.__getitem__, (1, 16, 16), Y)
    path = tmp_path / "last"
    how = {"learning_rate": 1e-3, "num_workers": 2}
    whole = model(**how | {"num_workers": 0}).fit(source)
    with pytest.raises(Killed):
        model(checkpoint=path, callbacks=[Kill(3)], **how).fit(source)
    assert_same(model(checkpoint=path, **how).fit(source), whole)


@pytest.mark.parametrize("keywords", [{}, {"keep": "best"}, {"early_stopping": 1}])
def test_a_fit_that_was_at_its_end_trains_no_more(tmp_path, keywords):
    keywords = {"max_epochs": 20, "checkpoint": tmp_path / "last"} | keywords
    whole = model(**keywords).fit(X, Y)
    assert (len(whole.history_) < 20) == ("early_stopping" in keywords)
    again = model(callbacks=[Kill(len(whole.history_), 0)], **keywords).fit(X, Y)
    assert_same(again, whole)


def test_a_network_that_draws_for_itself_draws_the_same(tmp_path):
    network = nn.Sequential(nn.Linear(5, 4), nn.Dropout()), nn.Linear(5, 5)
    whole = model(network=network).fit(X, Y)
    killed(tmp_path / "last", 3, network=network)
    assert_same(model(network=network, checkpoint=tmp_path / "last").fit(X, Y), whole)


def test_another_fit_does_not_go_on_from_it(tmp_path):
    path = tmp_path / "last"
    model(checkpoint=path).fit(X, Y)
    with pytest.raises(ModelFileError, match=r"another fit \(kappa was 10.0, now 3.0\); remove it"):
        model(checkpoint=path, kappa=3.0).fit(X, Y)
    with pytest.raises(ModelFileError, match=r"another fit \(data was"):
        model(checkpoint=path).fit(X, Y[::-1].copy())
    with pytest.raises(DataError, match="random_state: wanted a number"):
        model(checkpoint=path, random_state=None).fit(X, Y)


class Payload:
    """What a pickle would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_what_is_no_state_of_a_fit_is_refused_and_runs_nothing(tmp_path):
    path = tmp_path / "last"
    for state in ({"callbacks": {}}, {"history": Payload(tmp_path / "executed")}, [1]):
        torch.save(state, path)
        with pytest.raises(ModelFileError, match="wanted the state of a fit"):
            model(checkpoint=path).fit(X, Y)
    path.write_bytes(b"no zip")
    with pytest.raises(ModelFileError, match="wanted the state of a fit"):
        model(checkpoint=path).fit(X, Y)
    assert not (tmp_path / "executed").exists()


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "last"
    model(checkpoint=path, max_epochs=1).fit(X, Y)
    with zipfile.ZipFile(path) as whole:
        largest = max(whole.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 300] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"last is damaged \(.*\); remove it"):
        model(checkpoint=path, max_epochs=1).fit(X, Y)


def test_a_full_disk_leaves_the_last_state(tmp_path, monkeypatch):
    path, copy = tmp_path / "last", tmp_path / "copy"

    class Fill(Callback):
        def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002
            if trainer.current_epoch == 1:
                shutil.copy(path, copy)
                monkeypatch.setattr("sepvae.training.callbacks.settle", full)

    def full(aside, place):  # noqa: ARG001
        raise OSError(28, "No space left on device", str(place))

    with pytest.raises(OSError, match="No space"):
        model(checkpoint=path, callbacks=[Fill()]).fit(X, Y)
    assert path.read_bytes() == copy.read_bytes()


@pytest.mark.parametrize("keywords", [{}, {"reset_optimizer": "epoch"}, {"keep": "best"}])
def test_more_epochs_of_a_finished_fit_are_those_of_a_longer_one(tmp_path, keywords):
    path = tmp_path / "state"
    model(checkpoint=path, max_epochs=2, **keywords).fit(X, Y)
    assert_same(model(checkpoint=path, max_epochs=5, **keywords).fit(X, Y), model(**keywords).fit(X, Y))


def test_a_fit_that_early_stopping_ended_stays_as_it_is(tmp_path):
    keywords = {"checkpoint": tmp_path / "state", "early_stopping": 1}
    ended = model(max_epochs=50, **keywords).fit(X, Y)
    assert len(ended.history_) < 50
    assert_same(model(max_epochs=100, **keywords).fit(X, Y), ended)


def test_fewer_epochs_than_a_fit_has_behind_it_are_refused(tmp_path):
    path = tmp_path / "state"
    model(checkpoint=path, max_epochs=3).fit(X, Y)
    with pytest.raises(ModelFileError, match="after 3 epochs, got max_epochs=2; give 3 or more"):
        model(checkpoint=path, max_epochs=2).fit(X, Y)


def test_warm_start_begins_with_the_weights_of_the_fit_before():
    still = {"learning_rate": 1e-12, "max_epochs": 1}
    one = model(warm_start=True).fit(X, Y)
    before = one.transform(X)
    np.testing.assert_allclose(one.set_params(**still).fit(X, Y).transform(X), before, atol=1e-4)
    assert len(one.history_) == 1
    anew = one.set_params(warm_start=False).fit(X, Y).transform(X)
    assert np.abs(anew - before).max() > 0.1


def test_warm_start_of_other_shapes_is_refused():
    one = model(warm_start=True, max_epochs=1).fit(X, Y)
    with pytest.raises(DataError, match="warm_start: wanted features, labels and"):
        one.fit(X[:, :3], Y)


@pytest.mark.parametrize(
    "other",
    [
        {"features": ["b", "a", "c"]},
        {"condition_on": ["sex", "age"]},
        {"background": "patient"},
    ],
    ids=["features", "covariates", "background"],
)
def test_warm_start_of_inputs_in_another_order_is_refused(other):
    frame = pd.DataFrame(X[:, :3], columns=list("abc")).assign(age=X[:, 3], sex=X[:, 4])
    keywords = {"condition_on": ["age", "sex"], "background": "control"}
    one = model(warm_start=True, max_epochs=1, **keywords).fit(frame, Y)
    before = one.transform(frame)
    changed = frame[[*other.get("features", "abc"), "age", "sex"]]
    one.set_params(**{name: other[name] for name in other if name != "features"})
    with pytest.raises(DataError, match="warm_start: wanted features, labels and"):
        one.fit(changed, Y)
    np.testing.assert_array_equal(one.transform(frame), before)
