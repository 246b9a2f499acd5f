import numpy as np
import pytest
from PIL import Image

from sepvae.data import read_array, read_celeba, read_image_folder, read_image_table
from sepvae.errors import DataError, PassedOverWarning


def test_a_folder(folder):
    root = folder("ill/p1_a.png", "ill/p1_b.png", "well/p2_a.png", "well/p3_a.png")
    source = read_image_folder(
        root, image_size=(2, 3), channels=3, pattern=r"(?P<group>p\d)_(?P<eye>.)", limit=1
    )
    assert source.x.shape == (2, 3, 2, 3)
    assert source.x.dtype == np.uint8
    assert source.ids.tolist() == ["ill/p1_a.png", "well/p2_a.png"]
    assert source.labels.tolist() == ["ill", "well"]
    assert source.groups.tolist() == ["p1", "p2"]
    assert source.attributes["eye"].tolist() == ["a", "a"]
    assert len(read_image_folder(root, pattern="_(?P<eye>.)", limit=1, limit_by="eye")) == 3
    assert read_image_folder(root / "ill", labelled=False).labels.tolist() == ["", ""]


def test_files_that_are_not_read_are_counted_in_a_warning(folder):
    root = folder("ill/1.png", "well/2.png")
    for name in ("ill/3.dcm", "ill/4.dcm", "well/notes.txt"):
        (root / name).write_text("")
    with pytest.warns(
        PassedOverWarning, match=r"passed over: ill: 2 \.dcm; well: 1 \.txt; DICOM is not read"
    ):
        assert len(read_image_folder(root, image_size=4)) == 2


def test_pixels_are_rounded_to_the_nearest(folder):
    root = folder("well/1.png", **{"ill/1.png": Image.fromarray(np.uint8([[0, 1, 1, 1]]))})
    assert read_image_folder(root, image_size=1, fit="squash").x[0].tolist() == [[[1]]]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"channels": 2}, "channels: wanted 1"),
        ({"fit": "stretch"}, "fit: wanted 'pad', 'crop' or 'squash'"),
        ({"image_size": 0}, "image_size: wanted pixels"),
        ({"limit_by": "eye"}, "limit_by='eye' needs limit"),
        ({"pattern": "(?P<eye>x)"}, "found in no file name"),
    ],
)
def test_keywords_refused(folder, keywords, message):
    with pytest.raises(DataError, match=message):
        read_image_folder(folder("a/1.png", "b/1.png"), **keywords)


def test_a_table(folder, written):
    root = folder(**{"x/1.png": Image.new("L", (4, 4), 100), "x/2.png": Image.new("L", (4, 4), 200)})
    table = written("scan,dx,age,who\n1,well,30,p\n2,ill,40,q\n")
    columns = {"images": "{scan}.png", "label": "dx", "subject": "who", "id": "scan", "attributes": ["age"]}
    source = read_image_table(table, root=root / "x", **columns, image_size=1)
    assert source.x.ravel().tolist() == [100, 200]
    assert source.ids.tolist() == ["1", "2"]
    assert source.labels.tolist() == ["well", "ill"]
    assert source.groups.tolist() == ["p", "q"]
    assert source.attributes["age"].tolist() == [30, 40]


def test_an_array(tmp_path, written):
    x = np.random.default_rng(0).random((2, 3, 4, 5))
    np.save(tmp_path / "x.npy", x)
    source = read_array(
        tmp_path / "x.npy", table=written("dx,who\nwell,p\nill,q\n"), label="dx", subject="who"
    )
    np.testing.assert_array_equal(source.take(np.array([1])).x, x[[1]])
    assert source.groups.tolist() == ["p", "q"]


def test_celeba(folder, written):
    red = Image.new("RGB", (178, 218), (255, 0, 0))
    red.paste((0, 0, 255), (35, 55, 35 + 108, 55 + 108))  # the central square is blue
    root = folder(**{f"img_align_celeba/{i}.png": red for i in range(2)})
    written("image_id,Eyeglasses,Wearing_Hat,Male\n0.png,1,-1,1\n1.png,-1,-1,-1\n", "list_attr_celeba.csv")
    source = read_celeba(root, attributes=["Male"], image_size=8)
    assert source.labels.tolist() == ["glasses or hat", "neither"]
    assert source.attributes["Male"].tolist() == ["yes", "no"]
    assert (source.x == np.uint8([0, 0, 255])[:, None, None]).all()
