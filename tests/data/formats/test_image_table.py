import numpy as np
import pytest

from sepvae.data.formats.array import Array
from sepvae.data.formats.tables import ImageTable
from sepvae.data.spec import DataSpec, read_spec
from sepvae.errors import DataError

TABLE = """\
path,dx,age,site,patient
0.png,well,30,01,p1
1.png,well,n/a,02,p1
sub/2.png,ill,41.5,01,p2
"""


@pytest.fixture
def listed(folder, written):
    """List a table beside three images."""
    root = folder("0.png", "1.png", "sub/2.png")

    def listed(text=TABLE, **keywords):
        spec = read_spec({"images": "path", "label": "dx", "root": root} | keywords)
        return ImageTable().list(written(text), spec)

    return listed


def test_columns_become_what_they_are_named(listed):
    manifest = listed(subject="patient", attributes={"age": "continuous", "site": "categorical"})
    assert manifest.about["id"].tolist() == ["0.png", "1.png", "sub/2.png"]
    assert manifest.about["label"].tolist() == ["well", "well", "ill"]
    assert manifest.about["group"].tolist() == ["p1", "p1", "p2"]
    assert manifest.attributes["age"].fillna(-1).tolist() == [30, -1, 41.5]
    assert manifest.attributes["site"].tolist() == ["01", "02", "01"]
    assert manifest.kinds == {"age": "continuous", "site": "categorical"}
    assert (manifest.grouped, manifest.label_name, manifest.missing) == (True, "dx", [])


def test_values_tell_the_kind_where_it_is_not_named(listed):
    attributes = listed(TABLE.replace("30", "NaN"), attributes=["age", "patient"]).attributes
    assert attributes["age"].fillna(-1).tolist() == [-1, -1, 41.5]
    assert attributes["patient"].tolist() == ["p1", "p1", "p2"]


def test_an_attribute_may_be_missing_everywhere(listed):
    gone = TABLE.replace("30", "").replace("41.5", "n/a")
    assert listed(gone, attributes=["age"]).attributes["age"].isna().all()


def test_a_template_names_files(listed):
    text = "subject,run,dx\n0,,well\n1,,ill\nsub/2,x,ill\n"
    assert listed(text, images="{subject}.png", id="subject").about["id"].tolist() == ["0", "1", "sub/2"]
    braces = listed("a,dx\n{b},well\n", images="{a}/{a}.png", label=None)
    assert braces.about["id"].tolist() == ["{b}/{b}.png"]


def test_a_pattern_is_the_one_file_that_fits(folder, written):
    root = folder(
        "fs/p1/mri/x_p1_GM.png", "fs/p1/mri/x_p1_WM.png", "fs/p[2]/mri/y_GM.png", "fs/p4/mri/z_GM.png"
    )
    spec = {"images": "{who}/mri/*_GM.png", "label": "dx", "root": root / "fs"}
    table = written("who,dx\np1,well\np[2],ill\np3,ill\n")
    manifest = ImageTable().list(table, read_spec(spec))
    assert manifest.about["id"].tolist() == ["p1/mri/x_p1_GM.png", "p[2]/mri/y_GM.png", "p3/mri/*_GM.png"]
    assert manifest.missing == ["p3/mri/*_GM.png"]
    message = (
        r"line 2: wanted one file, 2 fit \(p1/mri/x_p1_GM\.png, p1/mri/x_p1_WM\.png\); narrow the template"
    )
    with pytest.raises(DataError, match=message):
        ImageTable().list(table, read_spec(spec | {"images": "{who}/mri/*.png"}))
    with pytest.raises(DataError, match="leads out of"):
        ImageTable().list(table, read_spec(spec | {"images": "../fs/../../{who}*.png"}))


@pytest.mark.parametrize("visit", ["{session_id}", "ses-{session_id}"])
def test_visits_on_disk_are_rows_where_no_column_names_them(folder, written, visit):
    root = folder("p1/ses-a/p1_ses-a_GM.png", "p1/ses-b/p1_ses-b_GM.png", "p2/ses-b/p2_ses-b_GM.png")
    images = f"{{participant_id}}/{visit}/{{participant_id}}_{visit}_GM.png"
    table = written("participant_id,dx\np1,well\np2,ill\np3,ill\n")
    manifest = ImageTable().list(table, read_spec({"images": images, "label": "dx", "root": root}))
    *found, gone = manifest.about["id"]
    assert found == ["p1/ses-a/p1_ses-a_GM.png", "p1/ses-b/p1_ses-b_GM.png", "p2/ses-b/p2_ses-b_GM.png"]
    assert manifest.missing == [gone]
    assert manifest.about["label"].tolist() == ["well", "well", "ill", "ill"]
    assert manifest.about["group"].tolist() == ["p1", "p1", "p2", "p3"]


def test_rows_without_file_and_files_without_row(listed):
    manifest = listed(TABLE.replace("1.png", "one.png"))
    assert (manifest.missing, manifest.unlisted) == (["one.png"], ["1.png"])
    odd = listed(TABLE.replace("1.png", "x" * 300).replace("0.png", "."))
    assert odd.missing == [".", "x" * 300]


@pytest.mark.parametrize("name", ["./0.png", "sub/../0.png", r".\sub\..\0.png", "{root}/0.png"])
def test_names_of_one_file(listed, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path, "."):
        manifest = listed(f"path,dx\n{name.format(root=tmp_path)},ill\n", root=root)
        assert (manifest.about["id"].tolist(), manifest.missing) == (["0.png"], [])


@pytest.mark.parametrize("name", ["../0.png", "sub/../../0.png", "/etc/passwd", "{root}x/0.png"])
def test_paths_that_leave_the_folder(listed, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path, "."):
        with pytest.raises(DataError, match=r"table\.csv line 3: .* leads out of .*\(root=\)"):
            listed(f"path,dx\n0.png,well\n{name.format(root=tmp_path)},ill\n", root=root)


def test_links_may_lead_elsewhere(listed, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "3.png").symlink_to(tmp_path / "0.png")
    (tmp_path / "in" / "ring.png").symlink_to(tmp_path / "in" / "ring.png")
    manifest = listed("path,dx\n3.png,well\nring.png,ill\n", root=tmp_path / "in")
    assert manifest.missing == ["ring.png"]


def test_by_default_files_lie_beside_the_table(listed):
    assert listed(root=None).missing == []


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"images": "file"}, "no column 'file' for images; it has path, dx, age, site, patient"),
        ({"images": "{file}.png"}, "no column 'file' for images"),
        ({"images": "{path"}, "no column '{path' for images; did you mean 'path'"),
        ({"label": "DX"}, "no column 'DX' for label"),
        ({"subject": "patients"}, "no column 'patients' for subject; did you mean 'patient'"),
        ({"id": "patient"}, "'p1' stands in lines 2 and 3; .* name another id= column"),
        ({"id": "age"}, "1 of 3 rows have no 'age' for id, the first in line 3; fill them in"),
        ({"attributes": ["height"]}, "no column 'height' for an attribute"),
        ({"attributes": {"age": "ordinal"}}, "attribute.age: wanted 'continuous' or 'categorical'"),
        (
            {"attributes": {"patient": "continuous"}},
            "line 2: wanted a number as 'patient', got 'p1'; correct the table",
        ),
        ({"root": "nowhere"}, r"nowhere: wanted the folder of the images, found no folder; .*root="),
    ],
)
def test_columns_refused(listed, keywords, message):
    with pytest.raises(DataError, match=message):
        listed(**keywords)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.png,well", "1.png,", "1 of 3 rows have no 'dx' for label, the first in line 3"),
        ("1.png,well", "1.png,  ", "1 of 3 rows have no 'dx' for label, the first in line 3"),
        ("02,p1", "02,n/a", "1 of 3 rows have no 'patient' for subject, the first in line 3"),
        ("1.png", "./0.png", "'0.png' stands in lines 2 and 3; every sample needs a name of its own"),
        ("site", "age", "several columns are named 'age', wanted one for an attribute; rename the others"),
        ("41.5", '"41,5"', "line 4: wanted a number as 'age', got '41,5'; write decimals with a point"),
        ("patient", "id", "no column 'patient' for subject"),
    ],
)
def test_cells_refused(listed, old, new, message):
    with pytest.raises(DataError, match=rf"table\.csv:? ?{message}"):
        listed(TABLE.replace(old, new, 1), subject="patient", attributes=["age"])


def test_columns_that_are_not_used_may_be_odd(listed):
    assert len(listed(TABLE.replace("site", "age").replace("p1", ""))) == 3


def test_a_table_beside_an_array(written, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    manifest = Array().list(
        tmp_path / "x.npy", DataSpec(table=written(TABLE), label="dx", attributes=["age"])
    )
    assert manifest.about["id"].tolist() == ["0", "1", "2"]
    assert manifest.array.shape == (3, 2)
    with pytest.raises(
        DataError, match=r"table.csv: wanted one row for each of the 3 samples in x.npy, got 1"
    ):
        Array().list(tmp_path / "x.npy", DataSpec(table=written("dx\nill\n"), label="dx"))
