import pandas as pd
import pytest

from sepvae.data.cells import are_missing, read_cell_table, read_cells
from sepvae.data.spec import DataSpec, read_spec
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
        ("id,age\n\n1\n", "line 3: wanted 2 cells, .* got 1; fix that row"),
        ('id,age\n1,"2\n3,4\n', "line 2: cannot be read as a table .*; fix that row"),
        (
            "id,age\n\xe4,1\n".encode("latin-1"),
            r"is no text in UTF-8 \(.*\); name its encoding, such as encoding=cp1252",
        ),
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


STRAY = {3: '"feels fine', 23: 'moved a lot"'}


def with_comments(separator):
    rows = (f"s{i},{'HC' if i % 2 else 'SZ'},{i % 7},{STRAY.get(i, 'n/a')}" for i in range(60))
    return "\n".join(["id,dx,lh,comment", *rows, ""]).replace(",", separator)


def test_no_row_of_a_tsv_is_swallowed_by_quotes(written):
    table, notes = read_cell_table(written(with_comments("\t")))
    assert table["id"].tolist() == [f"s{i}" for i in range(60)]
    assert table["comment"].dropna().tolist() == ['"feels fine', 'moved a lot"']
    assert [note.message for note in notes] == ["table.csv: read 60 rows from 61 lines (1 of names)"]


def test_rows_of_a_csv_that_quotes_swallow_are_told(written):
    table, (count, swallowed) = read_cell_table(written(with_comments(",")))
    assert len(table) == 40
    assert count.message.endswith("read 40 rows from 61 lines (1 of names, 20 within cells of several lines)")
    assert (swallowed.level, swallowed.code) == ("warning", "swallowed-rows")
    assert "lines 5 to 25: one row, for a cell in quotes spans lines" in swallowed.message
    assert "20 of its lines look like rows of their own" in swallowed.message


def test_a_cell_of_lines_is_noted(written):
    _, (_, noted) = read_cell_table(written('id,age,note\n1,2,"two\nlines"\n'))
    assert (noted.level, noted.code) == ("note", "cell-of-lines")


def test_cells_between_tabs_that_r_puts_in_quotes(written):
    table, notes = read_cell_table(written('"id"\t"dx"\n"s1"\t"5 ""big"""\n"s2"\t"b, c"\n'))
    assert table.columns.tolist() == ["id", "dx"]
    assert table["dx"].tolist() == ['5 "big"', "b, c"]
    assert "4 cells between tabs stand in quotes" in notes[-1].message


@pytest.mark.parametrize(
    "text",
    [
        TABLE.encode("utf-16"),
        TABLE.encode("utf-32"),
        "\ufeff".encode("utf-16-be") + TABLE.encode("utf-16-be"),
        "sep=,\r\n" + TABLE,
        "sep=;\n" + TABLE.replace(",", ";"),
        '"sep=;"\r\n' + TABLE.replace(",", ";"),
    ],
    ids=["utf-16", "utf-32", "utf-16-be", "sep=,", "sep=;", "quoted sep"],
)
def test_what_excel_writes(written, text):
    pd.testing.assert_frame_equal(
        read_cells(written(text)).reset_index(drop=True), read_cells(written(TABLE)).reset_index(drop=True)
    )


def test_decimal_commas_between_semicolons(written):
    text = "id;a;b;c;d\n1;1,5;3;1,2 x;NA\n2;-2;4;3,5;,5\n"
    table, notes = read_cell_table(written(text))
    assert table[["a", "b", "d"]].astype(object).to_numpy().tolist() == [
        ["1.5", "3", "NA"],
        ["-2", "4", ".5"],
    ]
    assert table["c"].tolist() == ["1,2 x", "3,5"]
    assert "commas in 2 columns (a, d) are read as decimal points" in notes[-1].message
    assert read_cells(written(text.replace(",", ".")))["a"].tolist() == ["1.5", "-2"]


def test_a_named_encoding(written):
    file = written("id,site\n1,München\n".encode("cp1252"))
    assert read_cells(file, DataSpec(encoding="cp1252"))["site"].tolist() == ["München"]
    with pytest.raises(DataError, match="encoding: wanted one that Python knows, such as cp1252, got 'cp12'"):
        read_spec({"encoding": "cp12"})


def test_one_vocabulary_of_missing_values():
    pandas = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
    pandas += ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "Na", "."]
    assert are_missing(pd.Series(pandas)).all()
    values = pd.Series(["0", "-", "none", "no", "F", "naan", "-9999", "999"])
    assert not are_missing(values).any()


def test_codes_and_exceptions():
    spec = DataSpec(missing=[-9999, " unknown"], not_missing="NA")
    cells = pd.Series(["-9999", "-9999.0", "-9.999e3", "unknown", "NA", None, "nan", "-999"])
    assert are_missing(cells, spec).tolist() == [True, True, True, True, False, True, True, False]
    with pytest.raises(DataError, match="'x' is named as missing and as not missing"):
        read_spec({"missing": ["x"], "not_missing": ["x"]})
