import numpy as np
import pandas as pd
import pytest

from sepvae.data import ArraySource
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
