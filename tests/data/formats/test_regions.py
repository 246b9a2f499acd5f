import numpy as np
import pytest

from sepvae.data.formats.regions import Regions, read_regions
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

TABLE = """\
who,dx,age,site,lh_a,lh_b,rh_a,qc
p1,2,30,01,2.5,NA,7,ok
p1,2,31,02,,1e3,8,1
p2,1,41,01,-1,.,9,2
"""


@pytest.fixture
def listed(written):
    def listed(text=TABLE, **keywords):
        return Regions().list(written(text), DataSpec(**{"label": "dx", "features": ["lh_*"]} | keywords))

    return listed


def test_measures_with_gaps(listed):
    features = listed().features
    assert features.columns.tolist() == ["lh_a", "lh_b"]
    assert (features.dtypes == np.float64).all()
    np.testing.assert_array_equal(features, [[2.5, np.nan], [np.nan, 1000], [-1, np.nan]])


def test_rows_are_told_about(listed):
    manifest = listed(subject="who", attributes={"age": "continuous", "site": "categorical"})
    assert manifest.about["id"].tolist() == ["0", "1", "2"]
    assert manifest.about["group"].tolist() == ["p1", "p1", "p2"]
    assert manifest.attributes["site"].tolist() == ["01", "02", "01"]
    assert (manifest.kinds, manifest.grouped) == ({"age": "continuous", "site": "categorical"}, True)
    assert manifest.attributes["age"].dtype == np.float64  # whole years, yet an amount
    assert listed(id="age", label=None).about["id"].tolist() == ["30", "31", "41"]


def test_people_are_called_by_participant_id(listed):
    text = "participant_id,dx,lh_a\n71,2,1\n72,1,2\n{},1,3\n"
    manifest = listed(text.format(73), features=["number"])
    assert (manifest.about["id"].tolist(), manifest.grouped) == (["71", "72", "73"], True)
    assert manifest.features.columns.tolist() == ["lh_a"]  # a name of numbers is no measure
    with pytest.raises(DataError, match=r"table\.csv: '71' stands in lines 2 and 4; .* name another id="):
        listed(text.format(71))
    assert listed(text.format(71), subject="participant_id").about["id"].tolist() == ["0", "1", "2"]


def test_numbers_are_what_is_left_of_all_that_are_numbers(listed):
    manifest = listed(features=["number"], attributes=["age", "site"])
    assert manifest.features.columns.tolist() == ["lh_a", "lh_b", "rh_a"]


def test_a_source(listed, written):
    manifest = listed(features=["rh_a", "lh_a"], attributes=["age"]).keep(np.array([True, False, True]))
    source = Regions().read(manifest, DataSpec())[0]
    assert source.feature_names == ["lh_a", "rh_a"]
    np.testing.assert_array_equal(source.x, [[2.5, 7], [-1, 9]])
    assert (source.labels.tolist(), source.ids.tolist()) == (["2", "1"], ["0", "2"])
    assert source.attributes["age"].tolist() == [30, 41]
    again = read_regions(written(TABLE), features="rh_*", label="dx", subject="who")
    assert (again.sample_shape, again.groups.tolist()) == ((1,), ["p1", "p1", "p2"])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"features": ["lh_*", "qc"]}, r"table\.csv line 2: wanted a number as feature 'qc', got 'ok'"),
        ({"features": ["dx"]}, r"table\.csv: features: 'dx' is the label"),
        ({"features": ["who"], "subject": "who"}, "'who' is the subject, and cannot be both"),
        ({"features": ["age"], "attributes": ["age"]}, "'age' is an attribute, and cannot be both"),
        ({"features": ["xh_*"]}, r"table\.csv: features: no column fits 'xh_\*'"),
        ({"id": "who"}, "'p1' stands in lines 2 and 3; every sample needs a name of its own"),
    ],
)
def test_columns_refused(listed, keywords, message):
    with pytest.raises(DataError, match=message):
        listed(**keywords)


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999", '"2,5"', "x"])
def test_cells_refused(listed, cell):
    with pytest.raises(DataError, match=r"table\.csv line 2: wanted a number as feature 'lh_a', got "):
        listed(TABLE.replace("2.5", cell))


def test_infinite_cells_are_no_way_out_of_the_numbers(listed):
    with pytest.raises(DataError, match="line 4: wanted a number as feature 'rh_a', got 'inf'"):
        listed(TABLE.replace("9", "inf"), features=["number"])


def test_a_name_that_stands_twice(listed):
    with pytest.raises(DataError, match="several columns are named 'lh_a', wanted one for features"):
        listed(TABLE.replace("rh_a", "lh_a"))
