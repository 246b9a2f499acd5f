import os
import signal
import sys
import warnings

import numpy as np
import pytest
import torch

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.errors import DataError
from sepvae.training import loader
from sepvae.training.loader import GroupBatches, ordered_batches, training_batches

# Samples of each group, and batch size: equal, uneven (with shares inexact in floats), rare, three groups.
CASES = pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [((50, 50), 10), ((5, 22), 10), ((497, 3), 32), ((3, 497), 500), ((90, 10), 4), ((45, 45, 10), 6)],
    ids=str,
)


def batches(sizes, batch_size, *, balanced=False, epoch=0, seed=0, **share):
    """Batches of one epoch, and the group of every sample."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    sampler = GroupBatches(y, np.arange(len(y)), batch_size, balanced=balanced, random_state=seed, **share)
    sampler.set_epoch(epoch)
    n = share.get("world_size", 1)
    assert len(sampler) == len(y) // (batch_size // n * n)
    return list(sampler), y


def counts(sizes, *args, **keywords):
    """How many of each group are in each batch."""
    drawn, y = batches(sizes, *args, **keywords)
    return np.array([np.bincount(y[rows], minlength=len(sizes)) for rows in drawn])


@CASES
@pytest.mark.parametrize("balanced", [False, True])
def test_every_batch_is_full_and_holds_two_of_each_group(sizes, batch_size, balanced):
    of_each = counts(sizes, batch_size, balanced=balanced)
    assert len(of_each) == sum(sizes) // batch_size
    assert (of_each.sum(axis=1) == batch_size).all()
    assert of_each.min() >= 2


@pytest.mark.parametrize(
    ("sizes", "batch_size"), [((50, 50), 10), ((61, 40), 16), ((70, 200, 231), 25)], ids=str
)
def test_an_epoch_has_the_proportions_of_the_data(sizes, batch_size):
    of_each = counts(sizes, batch_size)
    ideal = of_each.sum() * np.array(sizes) / sum(sizes)
    assert np.abs(of_each.sum(axis=0) - ideal).max() < 1
    assert np.abs(of_each - ideal / len(of_each)).max() < 2


@pytest.mark.parametrize(
    ("sizes", "batch_size"), [((61, 40), 16), ((497, 3), 33), ((90, 10, 20), 12)], ids=str
)
def test_balanced_batches_hold_equal_numbers(sizes, batch_size):
    of_each = counts(sizes, batch_size, balanced=True)
    assert np.abs(of_each - batch_size / len(sizes)).max() < 1
    assert np.ptp(of_each.sum(axis=0)) <= 1


@CASES
def test_no_sample_comes_twice_in_an_epoch_unless_its_group_is_too_rare(sizes, batch_size):
    drawn, y = batches(sizes, batch_size)
    times = np.bincount(np.concatenate(drawn), minlength=len(y))
    for k, size in enumerate(sizes):
        is_rare = size * batch_size < 2 * sum(sizes)
        assert np.ptp(times[y == k]) <= 1
        assert times[y == k].max() == 1 or is_rare


def test_a_rare_group_is_gone_through_again_and_again():
    drawn, y = batches((497, 3), 32)
    times = np.bincount(np.concatenate(drawn), minlength=500)
    assert times[y == 1].tolist() == [10, 10, 10]  # two in each of 15 batches


def test_another_order_and_another_rest_in_each_epoch():
    first, second = (np.concatenate(batches((61, 40), 16, epoch=epoch)[0]) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    assert set(first) != set(second)


def test_order_depends_on_the_seed_and_nothing_else():
    one, same, other = (np.concatenate(batches((61, 40), 16, seed=seed, epoch=3)[0]) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_every_order_is_random():
    drawn, y = batches((500, 500), 1000)
    for k in (0, 1):
        rows = drawn[0][y[drawn[0]] == k]
        assert abs(np.corrcoef(rows, np.arange(500))[0, 1]) < 0.1


def test_a_batch_larger_than_the_data_is_all_of_it():
    y = np.array([0, 1, 0, 1, 1])
    (rows,) = GroupBatches(y, np.arange(5), 100, balanced=False, random_state=0)
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_only_the_given_positions_are_drawn():
    positions = np.array([3, 5, 7, 8, 11, 12])
    drawn = list(GroupBatches(np.arange(20) % 2, positions, 4, balanced=True, random_state=0))
    assert set(np.concatenate(drawn)) <= set(positions)


@pytest.mark.parametrize(("sizes", "batch_size"), [((50, 50), 10), ((61, 40), 18), ((90, 30), 16)], ids=str)
def test_processes_part_each_batch_between_them(sizes, batch_size):
    whole, _ = batches(sizes, batch_size)
    shares = [batches(sizes, batch_size, rank=rank, world_size=2)[0] for rank in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(np.concatenate(parts)) == sorted(batch)
        assert abs(len(parts[0]) - len(parts[1])) <= 1


def test_a_rare_group_is_no_more_frequent_for_being_shared():
    alone, shared = ([batches((190, 10), 40, rank=r, world_size=w)[0] for r in range(w)] for w in (1, 4))
    y = batches((190, 10), 40)[1]
    of_rare = [
        sum(int((y[batch] == 1).sum()) for share in parts for batch in share) for parts in (alone, shared)
    ]
    assert of_rare == [10, 10]


def test_a_batch_size_is_rounded_so_that_processes_get_as_many():
    shares = [batches((50, 50), 15, rank=rank, world_size=2)[0] for rank in (0, 1)]
    assert {len(batch) for share in shares for batch in share} == {7}


@pytest.mark.parametrize(("batch_size", "world_size", "got"), [(3, 1, 3), (5, 4, 4), (3, 2, 2)])
def test_a_batch_too_small_for_every_group_is_refused(batch_size, world_size, got):
    sizes = (50, 50, 50) if got == 4 else (50, 50)
    message = f"batch_size: wanted {2 * len(sizes)} or more, .* 2 samples of every group, got {got}"
    with pytest.raises(DataError, match=message):
        batches(sizes, batch_size, world_size=world_size)


def test_processes_share_ordered_batches_and_repeat_a_few_of_the_last():
    source, y = ArraySource(np.arange(20.0)[:, None], np.zeros(20)), np.zeros(20, dtype=int)
    shares = [
        [
            x[:, 0].tolist()
            for x, _ in ordered_batches(source, y, np.arange(20), batch_size=8, rank=r, world_size=3)
        ]
        for r in range(3)
    ]
    rows = [sorted(row for part in parts for row in part) for parts in zip(*shares, strict=True)]
    assert rows == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17], [18, 18, 19]]
    assert all(len({len(part) for part in parts}) == 1 for parts in zip(*shares, strict=True))


class CountingSource(ArraySource):
    """Notes the positions of every call."""

    calls = ()

    def take(self, indices):
        self.calls = (*self.calls, indices.tolist())
        return super().take(indices)


def test_training_batches_take_each_batch_in_one_call():
    y = np.arange(20) % 2
    source = CountingSource(np.arange(20.0)[:, None], y)
    loader = training_batches(source, y, np.arange(20), batch_size=8, balanced=False, random_state=0)
    pairs, rows = list(loader), [rows.tolist() for rows in loader.sampler]
    assert [x[:, 0].tolist() for x, _ in pairs] == list(source.calls) == rows
    assert [groups.tolist() for _, groups in pairs] == [y[rows].tolist() for rows in source.calls]
    assert pairs[0][1].dtype == torch.int64


def test_ordered_batches_keep_order_and_the_last_incomplete_one():
    y = np.array([1, 0, 0, 1, 0])
    source = CountingSource(np.arange(5.0)[:, None], y)
    pairs = list(ordered_batches(source, y, np.array([4, 0, 1, 3, 2]), batch_size=2))
    assert [x[:, 0].tolist() for x, _ in pairs] == list(source.calls) == [[4, 0], [1, 3], [2]]
    assert [groups.tolist() for _, groups in pairs] == [[0, 1], [0, 1], [0]]


def test_of_no_positions_there_are_no_ordered_batches():
    source = ArraySource([[1.0]], [0])
    assert list(ordered_batches(source, np.array([0]), np.arange(0), batch_size=2)) == []


IMAGES = np.random.default_rng(0).integers(0, 256, size=(23, 1, 4, 3), dtype=np.uint8)
# More workers than cores are the user's choice, of which torch warns.
WORKERS = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def read(rows):
    """Images, and the process that gave them in their corner."""
    x = IMAGES[rows].astype(np.int64)
    x[:, 0, 0, 0] = os.getpid()
    return x


def epochs(source, n=2, **keywords):
    """All batches of some epochs."""
    y = np.arange(len(IMAGES)) % 2
    given = {"batch_size": 6, "balanced": False, "random_state": 0} | keywords
    loader = training_batches(source, y, np.arange(len(y)), **given)
    for epoch in range(n):
        loader.sampler.set_epoch(epoch)
        yield from loader


@WORKERS
@pytest.mark.parametrize("num_workers", [0, 1, 2, "auto"])
def test_workers_give_the_same_batches_in_the_same_order(num_workers):
    labels = np.arange(len(IMAGES)) % 2
    streamed = epochs(StreamSource(IMAGES.__getitem__, IMAGES.shape[1:], labels), num_workers=num_workers)
    at_hand = epochs(ArraySource(IMAGES, labels))
    n = 0
    for (x, y), (wanted_x, wanted_y) in zip(streamed, at_hand, strict=True):
        torch.testing.assert_close(x, wanted_x, rtol=0, atol=0)
        torch.testing.assert_close(y, wanted_y, rtol=0, atol=0)
        n += 1
    assert n == 6


@WORKERS
@pytest.mark.parametrize("num_workers", [0, 2])
def test_ordered_batches_of_workers(num_workers):
    source = StreamSource(IMAGES.__getitem__, IMAGES.shape[1:], np.zeros(23))
    positions = np.arange(23)[::-1]
    pairs = list(ordered_batches(source, positions, positions, batch_size=5, num_workers=num_workers))
    np.testing.assert_array_equal(torch.cat([x for x, _ in pairs]), IMAGES[::-1])


@WORKERS
@pytest.mark.parametrize(
    ("num_workers", "platform", "readers"),
    [(0, "linux", 0), (2, "linux", 2), ("auto", "linux", 3), (2, "darwin", 0), ("auto", "win32", 0)],
)
def test_workers_read_where_processes_can_be_forked(monkeypatch, num_workers, platform, readers):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(loader, "n_cores", lambda: 3)
    source = StreamSource(read, (1, 4, 3), np.zeros(23))
    processes = {int(x[0, 0, 0, 0]) for x, _ in epochs(source, num_workers=num_workers, batch_size=4)}
    assert len(processes - {os.getpid()}) == readers
    assert (os.getpid() in processes) == (readers == 0)


@WORKERS
def test_a_source_in_memory_needs_no_workers(monkeypatch):
    monkeypatch.setattr(loader, "n_cores", lambda: 3)
    y = np.zeros(23, dtype=int)
    given = ordered_batches(ArraySource(IMAGES, y), y, np.arange(23), batch_size=5)
    assert given.num_workers == 0
    monkeypatch.setattr(loader, "n_cores", lambda: 64)
    stream = StreamSource(IMAGES.__getitem__, (1, 4, 3), y)
    assert ordered_batches(stream, y, np.arange(23), batch_size=5).num_workers == 8


@WORKERS
def test_to_fork_beside_threads_is_meant(monkeypatch):
    fork = os.fork

    def warn():  # as Python 3.12 and later do
        text = "This process (pid=1) is multi-threaded, use of fork() may lead to deadlocks in the child."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warn)
    source = StreamSource(IMAGES.__getitem__, (1, 4, 3), np.zeros(23))
    assert len(list(epochs(source, num_workers=1))) == 6


def break_at_seven(rows):
    if 7 in rows:
        raise DataError("seven.png: could be read before")
    return IMAGES[rows]


@WORKERS
@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_breaks_in_a_worker_is_heard_of(num_workers):
    source = StreamSource(break_at_seven, (1, 4, 3), np.zeros(23))
    with pytest.raises(DataError) as caught:
        list(epochs(source, num_workers=num_workers))
    assert str(caught.value) == "seven.png: could be read before"


def die_at_seven(rows):
    if 7 in rows:
        os.kill(os.getpid(), signal.SIGKILL)
    return IMAGES[rows]


@WORKERS
@pytest.mark.skipif(sys.platform != "linux", reason="worker processes read on Linux only")
def test_a_worker_that_is_killed_is_heard_of():
    source = StreamSource(die_at_seven, (1, 4, 3), np.zeros(23))
    with pytest.raises(DataError, match="a process that reads was killed, perhaps for want of memory"):
        list(epochs(source, num_workers=1))
