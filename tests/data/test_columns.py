import pandas as pd
import pytest

from sepvae.data.columns import choose_columns, column_notes
from sepvae.errors import DataError

TABLE = pd.DataFrame([[1, 2, 3, 4.5, "x"]], columns=["age", "lh_area", "rh_area", "lh_thickness", "note"])
OTHERS = {"age": "an attribute"}


def chosen(*features, table=TABLE, others=OTHERS):
    numeric = pd.api.types.is_numeric_dtype
    return choose_columns(table, features, where="table", others=others, is_number=numeric)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (["rh_area", "lh_area"], ["lh_area", "rh_area"]),
        (["lh_*"], ["lh_area", "lh_thickness"]),
        (["*_area", "lh_*"], ["lh_area", "rh_area", "lh_thickness"]),
        (["[lr]h_area"], ["lh_area", "rh_area"]),
        (["re:^(lh|rh)_.*s$"], ["lh_thickness"]),
        (["re:a"], ["lh_area", "rh_area"]),
        (["number"], ["lh_area", "rh_area", "lh_thickness"]),
        (["note", "number"], ["lh_area", "rh_area", "lh_thickness", "note"]),
        (["*"], ["lh_area", "rh_area", "lh_thickness", "note"]),
    ],
)
def test_features_in_the_order_of_the_table(features, names):
    assert chosen(*features) == names


def test_a_name_goes_before_a_pattern():
    table = pd.DataFrame([[1, 2]], columns=["a*", "ab"])
    assert chosen("a*", table=table) == ["a*"]


def test_one_word_is_one_feature():
    numeric = pd.api.types.is_numeric_dtype
    assert choose_columns(TABLE, "note", where="table", others={}, is_number=numeric) == ["note"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["lh_are"], "table: no column 'lh_are' for features; did you mean 'lh_area'"),
        (["xx_*"], "table: features: no column fits 'xx_\\*'; it has age, lh_area"),
        (["re:("], r"features: 're:\(' is no regular expression \(missing \), unterminated"),
        (["age"], "features: 'age' is an attribute, and cannot be both"),
        (["a*"], "features: only 'age' fits 'a\\*', which is an attribute"),
        (["lh_*", "lh_*"], "features: 'lh_\\*' is named twice"),
        ([], "features: wanted names of columns or patterns, got none"),
    ],
)
def test_features_refused(features, message):
    with pytest.raises(DataError, match=message):
        chosen(*features)


def test_odd_tables_are_refused():
    with pytest.raises(DataError, match="no column of numbers is left"):
        chosen("number", table=TABLE[["age", "note"]])
    with pytest.raises(DataError, match="'number' is the name of a column, and asks for all"):
        chosen("number", table=TABLE.rename(columns={"note": "number"}))
    with pytest.raises(DataError, match="several columns are named 'lh_area', wanted one for features"):
        chosen("lh_*", table=TABLE.rename(columns={"note": "lh_area"}))


def test_row_numbers_and_ids_are_no_features_unless_named():
    table = pd.DataFrame(
        {
            "Unnamed: 0": [4, 2, 0, 1, 3],
            "": [9, 8, 7, 6, 5],
            "row": range(1, 6),
            "SUB_ID": [51, 57, 53, 59, 52],
            "age_id": [1, 1, 2, 2, 3],
            "lh_a": [1.5, 2, 3, 4, 5],
            "grid": [51, 57, 53, 59, 52],
        }
    )
    assert chosen("number", table=table) == ["age_id", "lh_a", "grid"]
    assert chosen("*", table=table) == ["SUB_ID", "age_id", "lh_a", "grid"]
    assert chosen("row", "SUB_ID", table=table) == ["row", "SUB_ID"]
    with pytest.raises(DataError, match="'Unnamed: 0' is a column without a name"):
        chosen("Unnamed: 0", table=table)
    with pytest.raises(DataError, match=r"only row numbers \('Unnamed: 0'\) fit 'Unn\*'; name features"):
        chosen("Unn*", table=table)


def test_what_number_took_is_said():
    table = TABLE.assign(row=1, flat=7).loc[[0] * 6].assign(row=range(6), lh_area=range(3, 9))
    names = chosen("number", table=table)
    told, constant = column_notes(table, names, others=OTHERS, is_number=pd.api.types.is_numeric_dtype)
    assert told.message == (
        "features: number took 4 of 7 columns: lh_area, rh_area, lh_thickness, flat; "
        "left out: attribute: 'age'; words: 'note'; row numbers: 'row'"
    )
    assert constant.message.startswith(
        "features: 3 of these are constant or empty (rh_area, lh_thickness, flat)"
    )
