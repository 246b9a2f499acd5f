import pytest

from sepvae.data.cells import read_cells
from sepvae.errors import DataError

TABLE = "id,age,site\n007,1.5,A B\n008,n/a,\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(",", "\t"),
        TABLE.replace(",", ";").replace("\n", "\r\n"),
        "\ufeff" + TABLE.replace("\n", "\r"),
        TABLE.replace(",", " , ").replace("n/a ,", '" n/a ",'),
        TABLE.replace("\n", ",,\n"),
    ],
    ids=["commas", "tabs", "semicolons and CRLF", "mark and CR", "blanks and quotes", "empty ends"],
)
def test_one_table_in_many_writings(written, text):
    table = read_cells(written(text))
    assert table.columns.tolist() == ["id", "age", "site"]
    assert table["id"].tolist() == ["007", "008"]
    assert table["site"].fillna("-").tolist() == ["A B", "-"]
    assert table["age"].isna().tolist() == [False, True]


def test_rows_know_their_lines(written):
    table = read_cells(written('\nid,note\n1,"two\nlines"\n\n , \n2,"say ""no"", please"\n\n'))
    assert table["note"].to_dict() == {3: "two\nlines", 7: 'say "no", please'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; wanted names of columns in the first line"),
        ("\n\n", "is empty"),
        ("id,age\n", "wanted one row per sample below the names of the columns, found none"),
        ("id,age\n1,2\n1,2,3\n", "line 3: wanted 2 cells, one for each name in the first line, got 3"),
        ("id,age\n1,2,3\n", "line 2: wanted 2 cells"),
        ("id,age\n\n1\n", "line 3: wanted 2 cells, .* got 1; mend that row"),
        ('id,age\n1,"2\n3,4\n', "line 2: cannot be read as a table .*; mend that row"),
        ("id,age\n\xe4,1\n".encode("latin-1"), r"is no text in UTF-8 \(.*\); save it as CSV in UTF-8"),
        (TABLE.encode("utf-16"), "is no text in UTF-8"),
        ("id,age\n1\0,2\n", "is no text, it holds zero bytes; save it as CSV"),
    ],
)
def test_refused_in_one_line(written, text, message):
    with pytest.raises(DataError, match=rf"table\.csv:? ?{message}") as caught:
        read_cells(written(text))
    assert "\n" not in str(caught.value)


def test_only_a_file_is_a_table(tmp_path):
    with pytest.raises(DataError, match="wanted a table, found a folder"):
        read_cells(tmp_path)
    with pytest.raises(DataError, match="wanted a table, found nothing"):
        read_cells(tmp_path / "nowhere.csv")
