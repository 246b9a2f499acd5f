import os

import pytest
from PIL import Image

from sepvae.data.formats.image_folder import ImageFolder, describe_skipped, images_in
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

KERMANY = [r"(?P<group>person\d+)_(?P<subtype>bacteria|virus)", r"(?P<group>(NORMAL2-)?IM-\d+)"]


def listed(root, labelled=True, **fields):
    return ImageFolder().list(root, DataSpec(**fields), labelled=labelled)


def test_order_ids_and_labels_follow_paths(folder):
    names = ["b/2.PNG", "b/10.png", "a/deep/er/1.webp", "a/z.bmp"]
    root = folder(*names, ".hidden/1.png", "b/._2.png", "none/.x.png", "b/.checkpoints/2.png")
    (root / "b" / "notes.txt").write_text("no image")
    manifest = listed(root)
    assert manifest.about["id"].tolist() == ["a/deep/er/1.webp", "a/z.bmp", "b/10.png", "b/2.PNG"]
    assert manifest.about["label"].tolist() == ["a", "a", "b", "b"]
    assert manifest.about["group"].tolist() == manifest.about["id"].tolist()
    assert [file.relative_to(root).as_posix() for file in manifest.files] == manifest.about["id"].tolist()
    assert not manifest.grouped


def test_folders_behind_links_are_entered_once_and_broken_links_stay(folder):
    root = folder("far/1.png", "data/a/2.png", "data/b/3.png")
    (root / "data" / "a" / "linked").symlink_to(root / "far")
    (root / "data" / "a" / "ring").symlink_to(root / "data" / "a")
    (root / "data" / "a" / "lost.png").symlink_to(root / "nowhere.png")
    (root / "data" / "c").symlink_to(root / "data" / "b")
    ids = listed(root / "data").about["id"].tolist()
    assert ids == ["a/2.png", "a/linked/1.png", "a/lost.png", "b/3.png", "c/3.png"]
    assert [file.name for file in images_in(root / "data" / "a")] == ["2.png", "lost.png"]


def test_names_that_are_no_text_are_refused(folder):
    root = folder("a/1.png", "b/1.png")
    (root / "a" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with pytest.raises(DataError, match=r"a/\\xff\.png': wanted a name in UTF-8; rename it"):
        listed(root)


@pytest.fixture
def xrays(folder):
    names = ["person1_bacteria_1", "person1_bacteria_2", "person1_virus_3", "person2_virus_4", "odd"]
    normals = ["IM-0115-0001", "NORMAL2-IM-0115-0001"]
    return folder(*(f"ILL/{name}.png" for name in names), *(f"NORMAL/{name}.png" for name in normals))


def test_patterns_name_groups_and_attributes(xrays):
    manifest = listed(xrays, pattern=KERMANY)
    of = manifest.about.set_index("id")["group"]
    assert of["ILL/person1_bacteria_1.png"] == of["ILL/person1_virus_3.png"] == "person1"
    assert of["ILL/odd.png"] == "ILL/odd.png"
    assert of["NORMAL/NORMAL2-IM-0115-0001.png"] == "NORMAL2-IM-0115"
    assert manifest.attributes.columns.tolist() == ["subtype"]
    kinds = ["-", "bacteria", "bacteria", "virus", "virus", "-", "-"]
    assert manifest.attributes["subtype"].fillna("-").tolist() == kinds
    assert manifest.grouped


def test_an_empty_group_is_none(xrays):
    manifest = listed(xrays, pattern=r"(?P<group>(person2)?)")
    assert manifest.about["group"].nunique() == len(manifest)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<group>", "no regular expression .*; file names look like 'odd.png'"),
        (r"person\d+", "wanted a named group"),
        (r"(?P<group>sub-\d+)", "found in no file name; file names look like 'odd.png'"),
        ([KERMANY[0], r"(?P<group>sub-\d+)"], "found in no file name"),
        (r"(?P<label>person)", "attributes: 'label' is a column of its own"),
    ],
)
def test_patterns_refused(xrays, pattern, message):
    with pytest.raises(DataError, match=message):
        listed(xrays, pattern=pattern)


def test_folders_refused(folder):
    root = folder()
    with pytest.raises(DataError, match=r"nowhere: wanted a folder .*, found nothing"):
        listed(root / "nowhere")
    with pytest.raises(DataError, match="found none; put the images of each label in a folder of its own"):
        listed(root)
    folder("other/1.png")
    (root / "empty").mkdir()
    with pytest.raises(DataError, match="one per label, found other;"):
        listed(root)
    with pytest.raises(DataError, match=r"wanted a folder .*, found a file"):
        listed(root / "other" / "1.png")


def test_parts_of_a_split_are_no_labels(folder):
    root = folder("Train/a/1.png", "Train/b/1.png", "val/a/1.png", "TEST/a/1.png", "__MACOSX/._1.png")
    manifest = listed(root)
    assert manifest.about["label"].tolist() == ["a", "a", "b", "a"]
    assert manifest.about["split"].tolist() == ["TEST", "Train", "Train", "val"]


def test_a_label_may_be_called_train(folder):
    manifest = listed(folder("train/1.png", "car/1.png"))
    assert manifest.about["label"].tolist() == ["car", "train"]
    assert manifest.about["split"].isna().all()


def test_parts_refused(folder):
    root = folder("train/1.png", "test/1.png")
    with pytest.raises(DataError, match="with images in test, train, one per label, found none"):
        listed(root)
    folder("train/a/1.png", "test/b/1.png", "copy/a/1.png")
    with pytest.raises(DataError, match="test, train look like parts of a split, copy does not; name one"):
        listed(root)


def test_labels_that_differ_in_case_are_two(folder):
    assert listed(folder("ill/1.png", "Ill/1.png")).about["label"].tolist() == ["Ill", "ill"]


def test_without_labels_any_folder_of_images_is_listed(folder):
    root = folder("b.png", "other/plain.png")
    about = listed(root, labelled=False, pattern="(?P<kind>no such name)").about
    assert about["id"].tolist() == ["b.png", "other/plain.png"]
    assert about["label"].tolist() == ["", "other"]
    with pytest.raises(DataError, match="wanted a folder with images, found none"):
        listed(root / "none", labelled=False)


def test_without_labels_parts_are_still_no_labels(folder):
    about = listed(folder("train/a/1.png", "test/2.png"), labelled=False).about
    assert dict(zip(about["id"], about["label"], strict=True)) == {"train/a/1.png": "a", "test/2.png": ""}


def test_jfif_and_jpe_are_images(folder):
    root = folder("ill/a.png", "well/b.png")
    for name in ("ill/c.jfif", "well/d.JPE"):
        Image.new("L", (4, 4)).save(root / name, format="JPEG")
    ids = listed(root).about["id"].tolist()
    assert ids == ["ill/a.png", "ill/c.jfif", "well/b.png", "well/d.JPE"]


def test_files_that_are_not_read_are_counted_by_label_and_suffix(folder):
    root = folder("ill/a.png", "ill/deep/b.png", "well/c.png", "loose.png")
    for name in ("ill/a.DCM", "ill/deep/b.dcm", "ill/Thumbs.db", "ill/.DS_Store", "well/notes.txt"):
        (root / name).write_bytes(b"x")
    (root / "well/1.2.840").write_bytes(bytes(128) + b"DICM")
    manifest = listed(root)
    assert manifest.passed_over == {
        "": {".png": 1},
        "ill": {".dcm": 2},
        "well": {"DICOM without suffix": 1, ".txt": 1},
    }
    said = describe_skipped(manifest.passed_over)
    assert "ill: 2 .dcm; well: 1 DICOM without suffix, 1 .txt" in said
    assert "dcm2niix" in said


def test_labels_of_other_files_only_are_named(folder):
    root = folder("ill/a.png")
    (root / "well").mkdir()
    (root / "well/b.dcm").write_bytes(b"x")
    with pytest.raises(DataError, match=r"found ill; .*passed over: well: 1 \.dcm"):
        listed(root)
