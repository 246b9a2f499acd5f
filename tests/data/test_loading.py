import numpy as np
import pytest

from sepvae.data.loading import list_data
from sepvae.errors import DataError

CELEBA = "image_id,Eyeglasses,Male,Wearing_Hat\n1.jpg,1,-1,-1\n2.jpg,-1,-1,-1\n"
TABLE = "path,dx,age\na/1.png,well,30\nb/2.png,ill,40\nb/3.png,odd,50\n"


@pytest.fixture
def data(folder, written):
    """A folder, a table and an array of the same three samples."""
    root = folder("a/1.png", "b/2.png", "b/3.png")
    np.save(root / "x.npy", np.zeros((3, 1, 4, 4), dtype=np.uint8))
    written(TABLE, "x.csv")
    return root


TWO = {"background": "well", "targets": ["ill"]}


@pytest.mark.parametrize(
    ("name", "keywords", "reader", "ids"),
    [
        ("", {}, "folder", ["a/1.png", "b/2.png", "b/3.png"]),
        ("x.csv", {"images": "path", "label": "dx", **TWO}, "table", ["a/1.png", "b/2.png"]),
        ("x.npy", {"label": "dx", **TWO}, "array", ["0", "1"]),
    ],
)
def test_what_is_named_tells_the_reader(data, name, keywords, reader, ids):
    manifest = list_data(data / name, **keywords)
    assert manifest.format.name == reader
    assert manifest.about["id"].tolist() == ids
    assert manifest.about["label"].nunique() == 2


def test_published_data_are_known(folder, written):
    xrays = folder("x/PNEUMONIA/person1_virus_6.jpeg", "x/NORMAL/IM-0001-0001.jpeg") / "x"
    assert list_data(xrays).format.name == "kermany"
    manifest = list_data(xrays, pattern=r"(?P<group>person\d)")
    assert (manifest.format.name, manifest.attributes.columns.tolist()) == ("folder", [])
    root = folder("img_align_celeba/1.jpg", "img_align_celeba/2.jpg")
    written(CELEBA, "list_attr_celeba.csv")
    manifest = list_data(root, attributes={"Male": None})
    assert (manifest.format.name, manifest.background) == ("celeba", "neither")
    with pytest.raises(DataError, match="is CelebA, whose attributes are yes or no"):
        list_data(root, attributes={"Male": "continuous"})


def test_a_folder_may_be_named_like_a_file(folder):
    assert list_data(folder("x.npy/a/1.png", "x.npy/b/1.png") / "x.npy").format.name == "folder"


def test_file_names_give_numbers_where_that_is_said(folder):
    root = folder("a/p1_30.png", "b/p2_40.png")
    pattern = r"(?P<eye>p\d)_(?P<age>\d+)"
    manifest = list_data(root, pattern=pattern, attributes={"age": "continuous"})
    assert manifest.attributes["age"].tolist() == [30, 40]
    assert manifest.kinds == {"age": "continuous"}
    assert list_data(root, pattern=pattern).attributes["age"].tolist() == ["30", "40"]
    with pytest.raises(
        DataError, match=r"attribute: wanted a named group of pattern= \(eye, age\), got 'sex'"
    ):
        list_data(root, pattern=pattern, attributes={"sex": None})
    with pytest.raises(DataError, match="attribute eye: wanted a number, got 'p1'; correct the pattern="):
        list_data(root, pattern=pattern, attributes={"eye": "continuous"})


def test_limits_count_the_two_labels(data):
    manifest = list_data(data / "x.npy", label="dx", background="well", targets=["ill", "odd"], limit=1)
    assert manifest.about["label"].tolist() == ["well", "ill + odd"]


def test_without_labels(data):
    manifest = list_data(data / "x.csv", images="path", labelled=False)
    assert manifest.about["label"].tolist() == ["", "", ""]
    assert len(list_data(data / "b", labelled=False)) == 2


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("none.CSV", {"images": "path"}, "none.CSV: wanted a table, found nothing"),
        ("none.npz", {}, "none.npz: wanted an array, found nothing"),
        (
            "none",
            {"label": "dx"},
            "none: wanted a folder with one subfolder of images per label, found nothing",
        ),
        ("a/1.png", {}, r"wanted a folder of images, a table \(csv, tsv\), an array"),
        (
            "x.csv",
            {"label": "dx"},
            r"x.csv: name the column of image files or volumes \(images= path\), or the col",
        ),
        ("x.csv", {"images": "path"}, "x.csv: name the column of labels, such as label=diagnosis"),
        ("x.csv", {"images": "path", "pattern": "x"}, "is a table, for which pattern= has no meaning"),
        ("b", {"table": "x.csv"}, "is a folder, for which table= has no meaning; leave it out"),
        ("x.csv", {"images": "path", "label": "dx"}, r"3 labels, ill \(1\), odd \(1\), well"),
        ("x.npy", {}, "x.csv: name the column of labels"),
        ("x.npy", {"images": "path"}, "is an array, for which images= has no meaning"),
        ("x.npy", {"table": "y.csv", "label": "dx"}, "y.csv: wanted a table, found nothing"),
        ("", {"label": "dx"}, "is a folder, for which label= has no meaning"),
        ("", {"root": "."}, "is a folder, for which root= has no meaning"),
        ("", {"background": "c"}, "background: wanted one of a, b, got 'c'"),
        ("", {"attributes": {"age": None}}, r"wanted a named group of pattern= \(none\), got 'age'"),
    ],
)
def test_refused(data, name, keywords, message):
    with pytest.raises(DataError, match=message):
        list_data(data / name, **keywords)


def test_an_array_needs_a_table(data):
    (data / "x.csv").unlink()
    with pytest.raises(
        DataError, match=r"x\.npy: wanted a table beside it .* such as x\.csv; name it by table="
    ):
        list_data(data / "x.npy", label="dx")
