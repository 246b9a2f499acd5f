"""Tables joined to participants.tsv: of FreeSurfer, of visits, and of other measures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sepvae.data import read_regions
from sepvae.data.loading import list_data
from sepvae.data.manifest import Manifest
from sepvae.errors import DataError

PEOPLE = "participant_id\tdx\tage\nsub-001\twell\t30\nsub-002\till\t40\nsub-003\till\t50\n"
LEFT = (
    "lh.aparc.thickness\tlh_insula_thickness\tlh_MeanThickness_thickness\tBrainSegVolNotVent\teTIV\n"
    "sub-002\t2.5\t2.4\t1100.5\t1500.25\nsub-003\t2.6\t2.2\t1000\t1600\nsub-001\t2.1\t2.0\t900\t1400\n"
)
RIGHT = (
    "rh.aparc.thickness\tinsula\tBrainSegVolNotVent\teTIV\n"  # by --parcid-only
    "/fs/sub-003/\t3.6\t1000.0\t1600.001\n/fs/sub-001/\t3.1\t900.0\t1400.0\n/fs/sub-002/\t3.5\t1100.5\t1500.25\n"
)
ASEG = "Measure:volume\tLeft-Amygdala\tEstimatedTotalIntraCranialVol\n3\t1633\t1600\n1\t1631\t1400\n9\t1\t1\n"

Listed = Callable[..., Manifest]


@pytest.fixture
def listed(written: Callable[[str, str], Path]) -> Listed:
    """List participants.tsv with tables, given as texts by name."""

    def listed(people: str = PEOPLE, /, fields: dict[str, object] | None = None, **tables: str) -> Manifest:
        named = [written(text, f"{name}.tsv") for name, text in tables.items()]
        return list_data(written(people, "participants.tsv"), label="dx", tables=named, **fields or {})

    return listed


def messages(manifest: Manifest) -> str:
    return "\n".join(note.message for note in manifest.notes)


def test_regions_of_freesurfer_are_features_in_the_order_of_people(listed: Listed) -> None:
    manifest = listed(left=LEFT, right=RIGHT)
    assert manifest.features is not None
    names = ["lh_insula_thickness", "lh_MeanThickness_thickness", "rh_insula_thickness"]
    assert manifest.features.columns.tolist() == names
    np.testing.assert_array_equal(manifest.features, [[2.1, 2.0, 3.1], [2.5, 2.4, 3.5], [2.6, 2.2, 3.6]])
    assert manifest.about["id"].tolist() == ["sub-001", "sub-002", "sub-003"]
    assert "features: the 3 columns of FreeSurfer's tables; left out: BrainSegVolNotVent, eTIV" in messages(
        manifest
    )


def test_people_without_regions_are_left_out_and_counted(listed: Listed) -> None:
    manifest = listed(left=LEFT, aseg=ASEG)
    assert manifest.about["id"].tolist() == ["sub-001", "sub-003"]
    assert "participants.tsv: 1 of 3 rows have no regions, and are left out: sub-002" in messages(manifest)
    said = "aseg.tsv: 2 of 3 rows of participants.tsv have a row; left out there: 1, such as 9"
    assert f"{said}; 2 names are taken for the same, such as 1 for sub-001" in messages(manifest)


def test_tables_with_the_same_people_share_a_note(listed: Listed) -> None:
    notes = [note.message for note in listed(left=LEFT, right=RIGHT).notes if note.code == "joined"]
    assert notes == ["left.tsv, right.tsv: 3 of 3 rows of participants.tsv have a row"]


def test_totals_are_features_or_attributes_where_named(listed: Listed) -> None:
    manifest = listed(fields={"attributes": {"eTIV": None}}, left=LEFT, right=RIGHT)
    assert manifest.attributes["eTIV"].tolist() == [1400, 1500.25, 1600]
    named = listed(fields={"features": ["BrainSegVolNotVent", "re:^rh_"]}, left=LEFT, right=RIGHT).features
    assert named is not None
    assert named.columns.tolist() == ["BrainSegVolNotVent", "rh_insula_thickness"]


@pytest.mark.parametrize(
    "name",
    ["sub-002", "002", "2", "/fs/sub-002", "/fs/sub-002/", r"C:\fs\sub-002", "sub-002_T1w", "sub-02"],
)
def test_names_of_one_person(listed: Listed, name: str) -> None:
    manifest = listed(aseg=ASEG.replace("\n3\t", f"\n{name}\t"))
    assert manifest.about["id"].tolist() == ["sub-001", "sub-002"]


def test_names_as_they_are_take_precedence(listed: Listed) -> None:
    people = "participant_id\tdx\n01\twell\n1\till\n"
    manifest = listed(people, aseg="Measure:volume\tLeft-Amygdala\n1\t5\n01\t6\n")
    assert manifest.features is not None
    np.testing.assert_array_equal(manifest.features, [[6], [5]])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"left": LEFT.replace("sub-", "p")},
            r"left\.tsv: no row is of a person in DATA: they are p002, p003",
        ),
        (
            {"left": LEFT.replace("2.6", "x")},
            r"left\.tsv line 3: wanted a number as feature 'lh_insula_thick",
        ),
        (
            {"left": LEFT.replace("sub-003", "sub-002")},
            r"left\.tsv: 2 rows \(sub-002, sub-002\) are of sub-002",
        ),
        (
            {"left": LEFT, "right": RIGHT.replace("1600.001", "1601")},
            r"right\.tsv: column 'eTIV' has '1601', but '1600' before it, for line 4 of participants\.tsv",
        ),
        (
            {"more": "who\tx\nsub-001\t3\n"},
            r"more\.tsv: no column 'participant_id' for joining tables \(subj",
        ),
        ({"more": "participant_id\tx\nsub-001\t3\n"}, "name the columns of features, such as features='lh_"),
    ],
)
def test_tables_refused(listed: Listed, tables: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(**tables)


def test_a_row_for_two_rows_is_refused(listed: Listed) -> None:
    message = r"participants\.tsv: lines 2 and 5 are both of 'sub-001' in left\.tsv, wanted one"
    with pytest.raises(DataError, match=message):
        listed(PEOPLE + "sub-1\till\t2\n", left=LEFT)


def test_other_measures_may_lack_people(listed: Listed) -> None:
    scores = "participant_id\tados\nsub-002\t14\n"
    manifest = listed(fields={"attributes": {"ados": "continuous"}}, left=LEFT, scores=scores)
    np.testing.assert_array_equal(manifest.attributes["ados"], [np.nan, 14, np.nan])


def test_a_table_that_does_not_exist(written: Callable[[str, str], Path]) -> None:
    people = written(PEOPLE, "participants.tsv")
    with pytest.raises(
        DataError, match=r"^gone\.tsv: wanted a table to join, found nothing; name it by table="
    ):
        read_regions(people, label="dx", tables=["gone.tsv"])


def test_tables_may_lie_beside_data(written: Callable[[str, str], Path]) -> None:
    written(LEFT, "lh.tsv")
    source = read_regions(written(PEOPLE, "participants.tsv"), label="dx", tables=["lh.tsv"])
    assert source.take(np.arange(3)).x.shape == (3, 2)


SESSIONS = {
    "sub-001": "session_id\tage\nses-01\t30\nses-02\t32\n",
    "sub-002": "session_id\tage\nses-01\t41\n",
}


@pytest.fixture
def visits(tmp_path: Path, written: Callable[[str, str], Path]) -> Path:
    """Write participants.tsv, and the sessions of two of three people as BIDS has them."""
    for name, text in SESSIONS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_sessions.tsv").write_text(text)
    return written(PEOPLE, "participants.tsv")


def test_sessions_of_bids_make_rows_of_visits(visits: Path) -> None:
    how = {"tables": ["sub-*/sub-*_sessions.tsv"], "features": ["age"], "label": "dx"}
    manifest = list_data(visits, **how)
    assert manifest.about["id"].tolist() == ["sub-001_ses-01", "sub-001_ses-02", "sub-002_ses-01", "sub-003"]
    assert manifest.about["group"].tolist() == ["sub-001", "sub-001", "sub-002", "sub-003"]
    assert manifest.grouped
    assert manifest.features is not None
    np.testing.assert_array_equal(manifest.features["age"], [30, 32, 41, np.nan])
    assert "2 of 3 rows of participants.tsv have rows, 3 visits" in messages(manifest)
    assert "sub-*_sessions.tsv: age of visits and of persons differ; those of visits are taken" in messages(
        manifest
    )


def test_visits_with_their_people_and_their_regions(listed: Listed) -> None:
    sessions = "participant_id\tsession_id\tage\nsub-001\t1\t30\nsub-001\t2\t32\nsub-002\t1\t41\n"
    people = "participant_id\tdx\tage\nsub-001\twell\t30\nsub-002\till\t40\n"
    names = "sub-001_ses-02\t2.2\n/fs/sub-002_ses-01.long.sub-002/\t2.4\nsub-001_ses-01\t2.1\n"
    left = f"lh.aparc.thickness\tlh_insula_thickness\n{names}"
    manifest = listed(sessions, fields={"attributes": ["age"]}, people=people, left=left)
    assert manifest.about["id"].tolist() == ["sub-001_ses-1", "sub-001_ses-2", "sub-002_ses-1"]
    assert manifest.features is not None
    np.testing.assert_array_equal(manifest.features, [[2.1], [2.2], [2.4]])
    assert manifest.attributes["age"].tolist() == [30, 32, 41]


def test_rows_of_a_person_without_visits_are_not_of_each_visit(listed: Listed) -> None:
    sessions = "participant_id\tsession_id\tdx\nsub-001\t1\twell\nsub-001\t2\twell\n"
    with pytest.raises(
        DataError, match=r"lines 2 and 3 are both of 'sub-001' in left\.tsv, wanted one; name the"
    ):
        listed(sessions, left=LEFT)


def test_two_scans_of_one_visit(listed: Listed) -> None:
    sessions = "participant_id\tsession_id\tdx\tx\tscan\nsub-001\t1\twell\t3\ta\nsub-001\tses-1\twell\t4\tb\n"
    sessions += "sub-002\t1\till\t3\tc\n"
    message = r"lines 2 and 3 are both of sub-001_ses-1, one visit; take one out, or name a column .* by id="
    with pytest.raises(DataError, match=message):
        listed(sessions, fields={"features": ["x"]})
    manifest = listed(sessions, fields={"features": ["x"], "id": "scan", "background": "well"})
    assert manifest.about["group"].tolist() == ["sub-001", "sub-001", "sub-002"]


def test_quality_of_cat12(written: Callable[[str, str], Path]) -> None:
    report = "<S><subjectmeasures><vol_TIV>1467.5</vol_TIV></subjectmeasures><qualityratings>\n<NCR>2.1</NCR>"
    written(f"{report}<IQR>\n 2.25 </IQR></qualityratings></S>", "cat_sub-001_T1w.xml")
    people = written(PEOPLE, "participants.tsv")
    how = {"tables": ["cat_*.xml"], "features": ["TIV"], "label": "dx", "attributes": {"IQR": "continuous"}}
    manifest = list_data(people, **how)
    np.testing.assert_array_equal(manifest.attributes["IQR"], [2.25, np.nan, np.nan])
    assert manifest.features is not None
    np.testing.assert_array_equal(manifest.features["TIV"], [1467.5, np.nan, np.nan])
    written("<S><other><IQR>2</IQR></other></S>", "cat_sub-002.xml")
    with pytest.raises(
        DataError, match=r"cat_sub-002\.xml: wanted a report of CAT12, found no IQR among its"
    ):
        list_data(people, **how)
