from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource, as_array
from sepvae.errors import DataError


def test_defaults_and_take():
    source = ArraySource([[1.0], [2.0], [3.0]], ["a", "b", "b"])
    batch = source.take(np.array([2, 0]))
    assert source.sample_shape == (1,)
    assert batch.x.tolist() == [[3.0], [1.0]]
    assert batch.y.tolist() == ["b", "a"]
    assert batch.id.tolist() == batch.group.tolist() == ["2", "0"]


def test_select_keeps_rows_together():
    about = pd.DataFrame({"age": [50, 60, 70]}, index=[7, 8, 9])
    part = ArraySource(np.eye(3), [0, 1, 1], groups=list("xyz"), attributes=about).select(
        np.array([True, False, True])
    )
    assert part.ids.tolist() == ["0", "2"]
    assert part.groups.tolist() == ["x", "z"]
    assert part.attributes["age"].tolist() == [50, 70]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"groups": [1]}, r"groups: wanted one per sample \(2\), got 1"),
        ({"ids": ["a", "a"]}, "ids: wanted unique names, got 'a' more than once"),
        ({"attributes": pd.DataFrame({"split": [1, 2]})}, "attributes: 'split' is a column of its own"),
    ],
)
def test_refused(keywords, message):
    with pytest.raises(DataError, match=message):
        ArraySource([[1.0], [2.0]], [0, 1], **keywords)


def test_a_stream_reads_what_is_taken():
    calls = []
    about = pd.DataFrame({"age": [50, 60, 70]})
    source = StreamSource(
        lambda rows: calls.append(rows.tolist()) or rows[:, None] * 10.0,
        (1,),
        ["a", "b", "b"],
        groups=list("xyz"),
        attributes=about,
    )
    assert (len(source), source.sample_shape, source.in_memory, calls) == (3, (1,), False, [])
    batch = source.take(np.array([2, 0]))
    assert batch.x.tolist() == [[20.0], [0.0]]
    assert (batch.y.tolist(), batch.id.tolist(), batch.group.tolist()) == (["b", "a"], ["2", "0"], ["z", "x"])
    assert calls == [[2, 0]]


@pytest.mark.parametrize("wanted", [np.array([2, 1]), np.array([False, True, True])])
def test_parts_of_a_stream_know_where_they_lie(wanted):
    about = pd.DataFrame({"age": [50, 60, 70]})
    source = StreamSource(lambda rows: rows[:, None] * 10, (1,), [0, 1, 1], attributes=about).select(wanted)
    for rows in (np.array([1]), np.array([False, True])):
        batch = source.take(rows)
        assert batch.x.tolist() == [[int(batch.id[0]) * 10]]
    assert source.select(np.array([1])).take(np.array([0])).x.tolist() == batch.x.tolist()
    assert source.attributes["age"].tolist() == [50 + 10 * int(id_) for id_ in source.ids]


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", "g"])
def test_numbers_are_as_tensors_take_them(dtype):
    source = ArraySource(np.array([[0.5], [0.25]], dtype=dtype), [0, 1])
    assert source.x.dtype.isnative
    assert source.x.dtype.itemsize <= 8
    assert source.x.tolist() == [[0.5], [0.25]]


def test_an_array_is_not_copied():
    x = np.zeros((2, 1))
    assert ArraySource(x, [0, 1]).x is x


@pytest.mark.parametrize(
    "x", [["a.nii.gz", "b.nii.gz"], [Path("a.nii")], "a.nii", [Nifti1Image(np.ones((2, 2, 2)), np.eye(4))]]
)
def test_paths_and_images_of_nibabel_point_to_the_reader(x):
    with pytest.raises(DataError, match="read_volumes"):
        as_array(x)


def test_groups_that_equal_the_ids_are_groups():
    names = np.array(["a", "b"])
    for groups in (names, None):
        source = ArraySource(np.zeros((2, 1)), [0, 1], ids=names, groups=groups)
        assert source.select(np.array([1])).grouped == (groups is not None)
        assert source.select(np.array([1])).groups.tolist() == ["b"]


def test_a_missing_label_is_no_word():
    assert pd.isna(ArraySource([[1.0], [2.0]], ["ill", float("nan")]).labels[1])


def test_positions_that_repeat_have_ids_of_their_own_and_one_group():
    source = ArraySource(np.eye(3), [0, 1, 1], ids=["a", "b", "c"])
    twice = source.select(np.array([0, 2, 2, 2]))
    assert twice.ids.tolist() == ["a", "c", "c (2)", "c (3)"]
    assert twice.groups.tolist() == ["a", "c", "c", "c"]
    assert twice.grouped
    assert twice.x.tolist() == np.eye(3)[[0, 2, 2, 2]].tolist()
    assert source.select(np.array([0, 2])).grouped is False
