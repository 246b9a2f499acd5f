import numpy as np
import pytest
from PIL import Image

from sepvae.data.formats.published import CelebA, Kermany
from sepvae.data.loading import read_manifest
from sepvae.data.spec import DataSpec
from sepvae.data.splits import choose_split
from sepvae.errors import DataError

XRAYS = [
    *[f"PNEUMONIA/person{i}_{kind}_{i}.jpeg" for i, kind in ((1, "bacteria"), (2, "virus"), (3, "virus"))],
    *["NORMAL/IM-0115-0001.jpeg", "NORMAL/NORMAL2-IM-0116-0001-0002.jpeg"],
]


def test_xrays_tell_patient_and_subtype_by_their_names(folder):
    root = folder(*XRAYS, "PNEUMONIA/odd.jpeg")
    assert Kermany().detect(root, DataSpec())
    about = Kermany().list(root, DataSpec()).about
    assert about["group"].tolist() == [
        *["IM-0115", "NORMAL2-IM-0116"],
        *["PNEUMONIA/odd.jpeg", "person1", "person2", "person3"],
    ]
    assert about["subtype"].fillna("-").tolist() == ["-", "-", "-", "bacteria", "virus", "virus"]


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "val")])
def test_xrays_in_parts(folder, parts):
    numbered = [(part, name.replace("n", f"n{i}", 1)) for i, part in enumerate(parts) for name in XRAYS]
    root = folder(*(f"{part}/{name}" for part, name in numbered))
    assert Kermany().detect(root, DataSpec())
    split = Kermany().list(root, DataSpec()).about["split"]
    assert split.value_counts().to_dict() == dict.fromkeys(parts, len(XRAYS))


@pytest.mark.parametrize(
    "names",
    [
        ["ILL/person1_virus_1.jpeg", "NORMAL/IM-0115-0001.jpeg"],
        ["PNEUMONIA/person1_virus_1.jpeg", "PNEUMONIA/person2_virus_1.jpeg", "NORMAL/1.jpeg"],
        ["PNEUMONIA/1.jpeg", "NORMAL/IM-0115-0001.jpeg"],
    ],
)
def test_other_folders_are_not_kermanys(folder, names):
    assert not Kermany().detect(folder(*names), DataSpec())


TEXT = """\
4
Eyeglasses Male Wearing_Hat
1.jpg  1 -1 -1
2.jpg -1  1  1
3.jpg  1  1  1
4.jpg -1 -1 -1
"""
CSV = "image_id,Eyeglasses,Male,Wearing_Hat\n1.jpg,1,-1,-1\n2.jpg,-1,1,1\n3.jpg,1,1,1\n4.jpg,-1,-1,-1\n"


@pytest.mark.parametrize("below", ["img_align_celeba", "img_align_celeba/img_align_celeba"])
@pytest.mark.parametrize(("name", "text"), [("list_attr_celeba.txt", TEXT), ("list_attr_celeba.csv", CSV)])
def test_faces_of_one_kind(folder, written, below, name, text):
    root = folder(*(f"{below}/{i}.jpg" for i in range(1, 5)))
    assert not CelebA().detect(root, DataSpec())
    written(text, name)
    assert CelebA().detect(root, DataSpec())
    manifest = CelebA().list(root, DataSpec(attributes=["Male"]))
    assert manifest.about["id"].tolist() == ["1.jpg", "2.jpg", "4.jpg"]
    assert manifest.about["label"].tolist() == ["glasses or hat", "glasses or hat", "neither"]
    assert manifest.about["accessory"].fillna("-").tolist() == ["glasses", "hat", "-"]
    assert manifest.about["Male"].tolist() == ["no", "yes", "no"]
    assert manifest.files == [root / below / f"{i}.jpg" for i in (1, 2, 4)]
    assert (manifest.background, manifest.missing, manifest.unlisted) == ("neither", [], [])


def test_faces_that_are_not_there_and_not_listed(folder, written):
    root = folder("img_align_celeba/1.jpg", "img_align_celeba/9.jpg")
    (root / "img_align_celeba" / "Thumbs.db").write_bytes(b"")
    written(TEXT, "list_attr_celeba.txt")
    manifest = CelebA().list(root, DataSpec())
    assert (manifest.missing, manifest.unlisted) == (["2.jpg", "4.jpg"], ["9.jpg"])
    with pytest.raises(DataError, match=r"2\.jpg and 1 more are named there, but not to be found"):
        read_manifest(manifest)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.removeprefix("4\n"),
        TEXT.replace("Hat", "Cap"),
        TEXT.replace("2.jpg", "1.jpg"),
        TEXT.replace("2.jpg", "../2.jpg"),
        TEXT.replace("3.jpg  1", "3.jpg  2"),
        TEXT[:-4],
        TEXT + "5.jpg 1 1 1 1 1\n",
        "",
    ],
)
def test_lists_refused(folder, written, text):
    root = folder("img_align_celeba/1.jpg")
    written(text, "list_attr_celeba.txt")
    with pytest.raises(DataError, match=r"list_attr_celeba\.txt: .*download it again$") as caught:
        CelebA().list(root, DataSpec())
    assert "\n" not in str(caught.value)


def test_celeba_refused(folder, written):
    root = folder()
    with pytest.raises(DataError, match=r"wanted CelebA's list_attr_celeba.txt or .csv, found neither"):
        CelebA().list(root, DataSpec())
    written(TEXT, "list_attr_celeba.txt")
    with pytest.raises(DataError, match="wanted CelebA's images in a folder img_align_celeba, found none"):
        CelebA().list(root, DataSpec())
    with pytest.raises(DataError, match="CelebA has no 'Age'; it has Eyeglasses, Male, Wearing_Hat"):
        CelebA().list(root, DataSpec(attributes=["Age"]))


@pytest.mark.real_data
def test_pneumonia_set(real_data):
    root = real_data / "kermany96" / "chest_xray"
    assert Kermany().detect(root, DataSpec())
    about = Kermany().list(root / "train", DataSpec()).about
    assert about["label"].value_counts().to_dict() == {"PNEUMONIA": 3875, "NORMAL": 1341}
    assert about["subtype"].value_counts().to_dict() == {"bacteria": 2530, "virus": 1345}
    assert about.groupby("label")["group"].nunique().to_dict() == {"PNEUMONIA": 1635, "NORMAL": 1211}
    train, test, how = choose_split(about)
    assert not set(about["group"][train]) & set(about["group"][test])
    assert len(test) / len(about) == pytest.approx(0.2, abs=0.01)
    assert how == "drawn with seed 0, 0.2 for the test"


@pytest.mark.real_data
def test_faces(real_data):
    manifest = CelebA().list(real_data / "celeba8k", DataSpec())
    assert manifest.about["label"].value_counts().to_dict() == {"neither": 7121, "glasses or hat": 823}
    assert manifest.about["accessory"].value_counts().to_dict() == {"glasses": 490, "hat": 333}
    source, _ = read_manifest(manifest.limited(5), channels=3, fit="crop")
    assert source.x.shape == (10, 3, 64, 64)
    # The central 54 x 54 of 89 x 109.
    with Image.open(manifest.files[0]) as image:
        wanted = image.crop((17, 27, 17 + 54, 27 + 54)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(source.x[0].transpose(1, 2, 0) - np.asarray(wanted, dtype=float)).max() <= 1
