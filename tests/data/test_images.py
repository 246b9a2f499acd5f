import numpy as np
import pytest
from PIL import Image

from sepvae.data import read_image_folder, split
from sepvae.data.images import _resized
from sepvae.errors import DataError

KERMANY = [r"(?P<group>person\d+)_(?P<subtype>bacteria|virus)", r"(?P<group>(NORMAL2-)?IM-\d+)"]


@pytest.fixture
def folder(tmp_path):
    """Build a tree with one plain image besides those given, so that there are two labels."""

    def build(**images):
        for name, image in {"other/plain.png": Image.new("L", (4, 4)), **images}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / name)
        return tmp_path

    return build


def grey(rows, dtype=np.uint8):
    return Image.fromarray(np.array(rows, dtype=dtype))


def read_one(folder, image, name="a/one.png", **keywords):
    """The pixels of one image, as lists."""
    return read_image_folder(folder(**{name: image}), **keywords).x[0].tolist()


@pytest.mark.parametrize(
    ("fit", "wanted"),
    [
        # A white and a black pixel side by side, into 4x4. Linear growth: 255 * (1, 3/4, 1/4, 0).
        ("squash", [[255, 191, 64, 0]] * 4),
        ("pad", [[0] * 4, [255, 191, 64, 0], [255, 191, 64, 0], [0] * 4]),
        ("crop", [[255] * 4] * 4),
    ],
)
def test_fit_of_a_wide_image(folder, fit, wanted):
    assert read_one(folder, grey([[255, 0]]), image_size=4, fit=fit) == [wanted]


def test_fit_of_a_tall_image(folder):
    tall = grey([[100], [200], [0]])
    assert read_one(folder, tall, image_size=(3, 2), fit="pad") == [[[100, 0], [200, 0], [0, 0]]]
    assert read_one(folder, tall, image_size=1, fit="crop") == [[[200]]]


def test_shrinking_averages_blocks():
    x = np.random.default_rng(0).random((3, 12, 20), dtype=np.float32)
    np.testing.assert_allclose(_resized(x, 4, 5), x.reshape(3, 4, 3, 5, 4).mean(axis=(2, 4)), atol=1e-6)


def test_shrinking_counts_pixels_by_area():
    # 3 pixels to 2: each new one covers a whole old one and half of the middle one.
    np.testing.assert_allclose(_resized(np.float32([[[0, 60, 90]]]), 1, 2), [[[20, 80]]], rtol=1e-6)


def test_growing_is_pillows_bilinear():
    x = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    wanted = np.asarray(Image.fromarray(x).resize((16, 13), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(_resized(x[None], 13, 16)[0], wanted, atol=1e-6)


def test_one_axis_shrinks_while_the_other_grows(folder):
    assert read_one(folder, grey([[0, 100]]), image_size=(2, 1), fit="squash") == [[[50], [50]]]


RED, HALF = (255, 0, 0), (255, 0, 0, 128)  # red is 76 in grey (ITU-R 601)


@pytest.mark.parametrize(
    ("image", "channels", "wanted"),
    [
        (Image.new("1", (1, 1), 1), 1, [255]),
        (Image.new("L", (1, 1), 7), 1, [7]),
        (Image.new("L", (1, 1), 7), 3, [7, 7, 7]),
        (Image.new("RGB", (1, 1), RED), 1, [76]),
        (Image.new("RGB", (1, 1), RED), 3, [255, 0, 0]),
        (Image.new("RGB", (1, 1), RED).convert("P"), 3, [255, 0, 0]),
        (Image.new("RGBA", (1, 1), HALF), 3, [128, 0, 0]),
        (Image.new("LA", (1, 1), (200, 0)), 1, [0]),
        (grey([[65535]], np.uint16), 1, [255]),
        (grey([[0x8000]], np.uint16), 3, [128, 128, 128]),
        (grey([[257]], np.int32), 1, [1]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes(folder, image, channels, wanted):
    pixels = read_one(folder, image, "a/one.tif", image_size=1, channels=channels)
    assert np.ravel(pixels).tolist() == wanted


def test_cmyk_and_transparent_palette(folder):
    cyan = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    assert read_one(folder, cyan, "a/1.tif", image_size=1, channels=3) == [[[0]], [[255]], [[255]]]
    clear = Image.new("RGBA", (2, 1), (0, 255, 0, 255))
    clear.putpixel((1, 0), (0, 255, 0, 0))
    assert read_one(folder, clear, "a/0.gif", image_size=(1, 2)) == [[[150, 0]]]


def test_exif_turns_the_image(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    root = folder()
    (root / "a").mkdir()
    grey([[10, 20]]).save(root / "a" / "turned.png", exif=exif)
    assert read_image_folder(root, image_size=(2, 1)).x[0].tolist() == [[[10], [20]]]


def test_order_ids_and_labels_follow_paths(folder):
    names = [
        "b/2.PNG",
        "b/10.png",
        "a/deep/er/1.webp",
        "a/z.bmp",
        ".hidden/1.png",
        "b/._2.png",
        "none/.x.png",
    ]
    root = folder(**{name: Image.new("L", (3, 3)) for name in names})
    (root / "b" / "notes.txt").write_text("no image")
    source = read_image_folder(root, image_size=2)
    assert source.ids.tolist() == ["a/deep/er/1.webp", "a/z.bmp", "b/10.png", "b/2.PNG", "other/plain.png"]
    assert source.labels.tolist() == ["a", "a", "b", "b", "other"]
    assert source.groups.tolist() == source.ids.tolist()
    assert source.x.shape == (5, 1, 2, 2)
    assert source.x.dtype == np.uint8


@pytest.fixture
def xrays(folder):
    names = ["person1_bacteria_1", "person1_bacteria_2", "person1_virus_3", "person2_virus_4", "odd"]
    normals = ["IM-0115-0001", "NORMAL2-IM-0115-0001"]
    paths = [f"ILL/{name}.png" for name in names] + [f"NORMAL/{name}.png" for name in normals]
    return folder(**{path: Image.new("L", (2, 2)) for path in paths})


def test_patterns_name_groups_and_attributes(xrays):
    source = read_image_folder(xrays, pattern=KERMANY)
    of = dict(zip(source.ids, source.groups, strict=True))
    assert of["ILL/person1_bacteria_1.png"] == of["ILL/person1_virus_3.png"] == "person1"
    assert of["ILL/odd.png"] == "ILL/odd.png"
    assert of["NORMAL/NORMAL2-IM-0115-0001.png"] == "NORMAL2-IM-0115"
    assert source.attributes.columns.tolist() == ["subtype"]
    assert source.attributes["subtype"].fillna("-").tolist() == [
        *["-", "bacteria", "bacteria", "virus", "virus"],
        *["-", "-", "-"],
    ]


def test_limit_counts_by_label_or_attribute(xrays):
    assert read_image_folder(xrays, limit=1).labels.tolist() == ["ILL", "NORMAL", "other"]
    by_kind = read_image_folder(xrays, pattern=KERMANY, limit=1, limit_by="subtype")
    assert by_kind.ids.tolist() == [
        *["ILL/odd.png", "ILL/person1_bacteria_1.png", "ILL/person1_virus_3.png"],
        *["NORMAL/IM-0115-0001.png", "other/plain.png"],
    ]


def test_progress_counts_every_image(xrays):
    calls = []
    read_image_folder(xrays, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"image_size": 0}, "image_size: wanted a side or"),
        ({"image_size": (8, 8, 8)}, "image_size: wanted a side or"),
        ({"channels": 2}, r"channels: wanted 1 \(grey\) or 3 \(RGB\), got 2"),
        ({"fit": "stretch"}, "fit: wanted one of pad, crop, squash, got 'stretch'"),
        ({"limit": 0}, "limit: wanted at least 1, got 0"),
        ({"limit_by": "subtype"}, "limit_by='subtype' needs limit"),
        (
            {"limit": 1, "limit_by": "sex", "pattern": KERMANY},
            r"named group of pattern \(subtype\), got 'sex'",
        ),
        ({"pattern": "(?P<group>"}, "no regular expression .*; file names look like 'odd.png'"),
        ({"pattern": r"person\d+"}, "wanted a named group"),
        ({"pattern": r"(?P<group>sub-\d+)"}, "found in no file name; file names look like 'odd.png'"),
        ({"pattern": r"(?P<label>person)"}, "attributes: 'label' is a column of its own"),
    ],
)
def test_keywords_refused(xrays, keywords, message):
    with pytest.raises(DataError, match=message):
        read_image_folder(xrays, **keywords)


def test_folders_refused(tmp_path, folder):
    with pytest.raises(DataError, match=r"wanted a folder .*, found nothing"):
        read_image_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="found none; put the images of each label in a folder of its own"):
        read_image_folder(tmp_path)
    root = folder()
    with pytest.raises(DataError, match="one per label, found other;"):
        read_image_folder(root)
    with pytest.raises(DataError, match=r"wanted a folder .*, found a file"):
        read_image_folder(root / "other" / "plain.png")


def test_parts_of_a_split_are_no_labels(tmp_path):
    for part in ("train", "val"):
        (tmp_path / part / "NORMAL").mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / part / "NORMAL" / "1.png")
    with pytest.raises(DataError, match="train, val look like parts of a split, not like labels; name one"):
        read_image_folder(tmp_path)


def test_unreadable_images_are_named(folder):
    root = folder(**{"a/1.jpg": Image.effect_noise((64, 64), 50)})
    whole = (root / "a" / "1.jpg").read_bytes()
    (root / "a" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError, match=r"a.1\.jpg: cannot be read as an image \(OSError.*truncated.*\); replace"
    ):
        read_image_folder(root)
    (root / "a" / "2.png").write_text("no image")
    with pytest.raises(DataError, match=r"a.1\.jpg: .*, nor can 1 more; replace or remove it"):
        read_image_folder(root)


@pytest.mark.parametrize("image", [grey([[0.5]], np.float32), grey([[70000]], np.int32)])
def test_pixels_without_a_known_range_are_refused(folder, image):
    with pytest.raises(DataError, match="no known range, save as 8 or 16 bits"):
        read_image_folder(folder(**{"a/1.tif": image}))


def test_decompression_bombs_are_refused(folder, monkeypatch):
    root = folder(**{"a/1.png": Image.new("L", (50, 50))})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="DecompressionBombError"):
        read_image_folder(root)


@pytest.mark.real_data
def test_pneumonia_set(real_data):
    source = read_image_folder(
        real_data / "kermany96" / "chest_xray" / "train", image_size=16, pattern=KERMANY
    )
    kind = source.attributes["subtype"].fillna("normal")
    assert kind.value_counts().to_dict() == {"bacteria": 2530, "virus": 1345, "normal": 1341}
    ill = source.labels == "PNEUMONIA"
    assert len(set(source.groups[ill])) == 1635
    assert len(set(source.groups[~ill])) == 1211
    train, test = split(source.labels, source.groups, stratify=kind)
    assert not set(source.groups[train]) & set(source.groups[test])
    np.testing.assert_allclose(kind.iloc[test].value_counts() / kind.value_counts(), 0.2, atol=0.005)


@pytest.mark.real_data
def test_mixed_sizes_and_modes(real_data):
    source = read_image_folder(real_data / "xray-originals", image_size=32)
    assert np.unique(source.labels, return_counts=True)[1].tolist() == [10, 10]
    assert (source.x.mean(axis=(1, 2, 3)) > 20).all()


def test_without_labels_any_folder_of_images_is_read(folder):
    root = folder(**{"b.png": Image.new("L", (4, 4))})
    source = read_image_folder(root, image_size=4, labelled=False, pattern="(?P<kind>no such name)")
    assert list(source.ids) == ["b.png", "other/plain.png"]
    assert list(source.labels) == ["", "other"]
    with pytest.raises(DataError, match="wanted a folder with images, found none"):
        read_image_folder(root / "none", labelled=False)
