"""BraTS: slices of small volumes that are made here."""

import gzip
import json
import re

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sepvae.cli.app import app
from sepvae.data import ArraySource, read_brats
from sepvae.data.arrays import StreamSource
from sepvae.data.formats.brats import BraTS, list_brats
from sepvae.data.images import measure_images
from sepvae.data.loading import list_data, read_manifest
from sepvae.data.spec import DataSpec
from sepvae.data.splits import choose_split
from sepvae.errors import DataError

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # as BraTS lies on disk
SHAPE = (24, 24, 16)


def brain(seed, shape=SHAPE):
    """A block of 20 x 18 voxels of noise from slice 2 to 13, and a crumb in slice 14; zero elsewhere."""
    voxels = np.zeros(shape, dtype=np.int16)
    voxels[2:22, 3:21, 2:14] = np.random.default_rng(seed).integers(100, 900, size=(20, 18, 12))
    voxels[10:13, 10:13, 14] = 500
    return voxels


def tumour(**voxels_in):
    """A segmentation with so many voxels in slice z5, .. of kinds 1, 2 and 4."""
    seg = np.zeros(SHAPE, dtype=np.int16)
    for z, n in voxels_in.items():
        seg[4:14, 4:14, int(z[1:])].flat[:n] = np.resize([1, 2, 4], n)
    return seg


def save(file, voxels, affine=LPS):
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(voxels, affine).to_filename(file)
    return file


TUMOURS = [tumour(z4=60, z8=50, z5=99), tumour(z6=49, z8=1, z12=100), tumour()]


@pytest.fixture
def root(tmp_path):
    """Three patients named as in 2020; the third has no tumour."""
    for i, seg in enumerate(TUMOURS):
        stem = f"BraTS20_Training_{i:03d}"
        save(tmp_path / stem / f"{stem}_flair.nii.gz", brain(i))
        save(tmp_path / stem / f"{stem}_t1.nii.gz", brain(i + 10))
        save(tmp_path / stem / f"{stem}_seg.nii.gz", seg)
    return tmp_path


def of(manifest):
    """Label by id, patients as one digit."""
    ids = [id_.removeprefix("BraTS20_Training_00") for id_ in manifest.about["id"]]
    return dict(zip(ids, manifest.about["label"], strict=True))


def test_slices_have_labels_patients_and_positions(root):
    manifest = list_brats(root)
    # 0 has no brain; of patient 1, slice 8 shows one voxel of the tumour.
    assert of(manifest) == {
        **{"0#004": "tumour", "0#008": "tumour", "0#012": "healthy"},
        **{"1#004": "healthy", "1#012": "tumour"},
        **{"2#004": "healthy", "2#008": "healthy", "2#012": "healthy"},
    }
    assert manifest.about["group"].tolist() == [id_[:20] for id_ in manifest.about["id"]]
    assert manifest.attributes["slice_position"].tolist() == [z / 15 for z in (4, 8, 12, 4, 12, 4, 8, 12)]
    assert manifest.attributes["tumour_voxels"].fillna(0).tolist() == [60, 50, 0, 0, 100, 0, 0, 0]
    assert manifest.kinds == {"slice_position": "continuous", "tumour_voxels": "continuous"}
    assert (manifest.background, manifest.grouped) == ("healthy", True)


def test_slices_at_the_ends_of_the_brain_are_left_out(root):
    manifest = list_brats(root, step=1, min_tumour=1)
    assert [id_[-3:] for id_ in manifest.about["id"]] == 3 * [f"{z:03d}" for z in range(2, 14)]
    assert of(list_brats(root, step=2))["0#002"] == "healthy"
    assert "1#006" not in of(list_brats(root, step=2))
    assert of(list_brats(root, step=2, min_tumour=49))["1#006"] == "tumour"


def by_hand(voxels, z):
    """Slice z, 8 bit."""
    low, high = np.percentile(voxels[voxels > 0], [0.5, 99.5])
    scaled = 255 * np.clip((voxels[:, :, z] - low) / (high - low), 0, 1)
    return np.rint(np.where(voxels[:, :, z] > 0, scaled, 0)).T


def test_an_image_is_the_slice_of_the_volume(root):
    source = read_brats(root, modality="t1", image_size=24)
    np.testing.assert_array_equal(source.x[4, 0], by_hand(brain(11), 12))
    assert (source.x[4].min(), source.x[4].max()) == (0, 255)


@pytest.mark.parametrize("name", ["x_flair.nii", "x_flair.nii.gz"])
def test_heads_lie_alike_however_they_are_stored(tmp_path, name):
    voxels = brain(0)
    save(tmp_path / name, voxels[::-1, ::-1], np.eye(4))  # rightwards, to the front, upwards
    image, _ = list_brats(tmp_path, labelled=False).files[1].open()
    np.testing.assert_array_equal(np.asarray(image), by_hand(voxels, 8))


def test_what_is_0_is_black_even_among_negative_intensities(tmp_path):
    voxels = np.where(brain(0) > 0, brain(0) / 400 - 1.0, 0)
    save(tmp_path / "x_flair.nii", voxels)
    pixels = np.asarray(list_brats(tmp_path, labelled=False).files[0].open()[0])
    assert not pixels[:3].any()
    assert pixels[3:21, 2:22].mean() > 100


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_budget_of_memory_changes_no_pixel(root, suffix):
    if suffix == ".nii":
        for file in list(root.rglob("*.nii.gz")):
            file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            file.unlink()
    whole, streamed = (read_brats(root, image_size=16, memory=memory) for memory in (1, 3 * 256 / 1e9))
    assert (type(whole), type(streamed), len(streamed.read.kept)) == (ArraySource, StreamSource, 3)
    rows = np.array([7, 0, 4, 2, 5])
    np.testing.assert_array_equal(streamed.take(rows).x, whole.x[rows])
    assert len({image.tobytes() for image in whole.x}) == len(whole)


def test_a_volume_that_changes_is_read_again(root):
    streamed = read_brats(root, image_size=24, memory=0)
    last = np.array([7])
    before = streamed.take(last).x
    file = root / "BraTS20_Training_002" / "BraTS20_Training_002_flair.nii.gz"
    save(file, np.flip(brain(2), axis=0))
    np.testing.assert_array_equal(streamed.take(last).x, before[..., ::-1])
    file.unlink()
    with pytest.raises(DataError, match=r"flair\.nii\.gz slice 12: could be read before, but no longer"):
        streamed.take(last)


def test_every_slice_is_measured(root):
    quality_metrics, unreadable = measure_images(list_brats(root))
    assert (set(quality_metrics["mode"]), set(quality_metrics["width"]), unreadable) == ({"L"}, {24}, {})
    assert quality_metrics["digest"].is_unique


def test_a_split_keeps_patients_whole(tmp_path):
    for i in range(6):
        save(tmp_path / f"p{i}_flair.nii", brain(i))
        save(tmp_path / f"p{i}_seg.nii", tumour(z4=60, z8=60))
    about = list_brats(tmp_path, step=2).about
    train, test, _ = choose_split(about, test_size=0.3)
    assert len(set(about["group"][test])) == 2
    assert not set(about["group"][train]) & set(about["group"][test])


def test_2023_names_patients_apart_from_their_scans(tmp_path):
    for scan in ("BraTS-GLI-00000-000", "BraTS-GLI-00000-001", "BraTS-GLI-00001-000"):
        save(tmp_path / scan / f"{scan}-t2f.nii.gz", brain(0))
        save(tmp_path / scan / f"{scan}-seg.nii.gz", tumour(z4=70))
    manifest = list_brats(tmp_path)
    assert manifest.about["id"][3] == "BraTS-GLI-00000-001#004"
    assert manifest.about["group"].tolist() == 6 * ["BraTS-GLI-00000"] + 3 * ["BraTS-GLI-00001"]
    assert list_brats(tmp_path, modality="t2f").about.equals(manifest.about)


def test_folders_tell_the_grade_of_a_tumour(root):
    for grade, patient in (("HGG", "BraTS20_Training_000"), ("LGG", "BraTS20_Training_001")):
        (root / grade).mkdir()
        (root / patient).rename(root / grade / patient)
    about = list_brats(root).about
    # In the order of paths: patient 2 lies in neither folder.
    assert about["grade"].fillna("-").tolist() == [*"---", "HGG", "HGG", "-", "-", "LGG"]
    assert "grade" not in list_brats(root / "HGG").attributes


def test_links_are_followed_and_hidden_files_passed_over(root, tmp_path_factory):
    linked = tmp_path_factory.mktemp("linked")
    (linked / "p").symlink_to(root / "BraTS20_Training_000")
    (root / "BraTS20_Training_000" / "._BraTS20_Training_009_flair.nii.gz").write_bytes(b"")
    assert list(of(list_brats(linked))) == ["0#004", "0#008", "0#012"]


def test_data_are_known_by_their_names(root):
    manifest = list_data(root, attributes={"tumour_voxels": "categorical"}, limit=2)
    assert (manifest.format.name, manifest.about["label"].value_counts().to_dict()) == (
        "brats",
        {"tumour": 2, "healthy": 2},
    )
    assert manifest.kinds["tumour_voxels"] == "categorical"
    files = list_data(root, modality="t1").files
    assert files[0].volume.name == "BraTS20_Training_000_t1.nii.gz"
    with pytest.raises(DataError, match="is BraTS, for which pattern= has no meaning"):
        list_data(root, pattern="x")
    with pytest.raises(DataError, match="BraTS has no 'age'; it has slice_position, tumour_voxels"):
        list_data(root, attributes={"age": None})


def test_other_folders_are_not_brats(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "x_flair.png")
    save(tmp_path / "sub-01_T1w.nii.gz", brain(0))
    assert not BraTS().detect(tmp_path, DataSpec())
    with pytest.raises(DataError, match="is a folder of images, for which modality= has no meaning"):
        list_data(tmp_path, modality="t1", labelled=False)


def test_without_labels_no_segmentation_is_needed(root):
    for file in root.rglob("*_seg.nii.gz"):
        file.unlink()
    manifest = list_data(root, labelled=False)
    assert (manifest.format.name, len(manifest), set(manifest.about["label"])) == ("brats", 9, {""})
    assert list(manifest.attributes) == ["slice_position"]
    assert read_manifest(manifest)[0].sample_shape == (1, 64, 64)


def cut(file):
    file.write_bytes(file.read_bytes()[:-500])


def unpacked_and_cut(file):
    file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes())[:-500])
    file.unlink()


SPOILT = {
    "no segmentation": (
        "seg",
        lambda file: file.rename(file.parent / "W39_1998.09.19_Segm.nii.gz"),
        r"wanted a segmentation BraTS20_Training_001_seg\.nii\(\.gz\) beside \w+_flair\.nii\.gz, "
        "found none; copy or rename it, or take that patient away",
    ),
    "shapes": (
        "seg",
        lambda file: save(file, tumour()[:, :, :-1]),
        r"001_flair\.nii\.gz: wanted the shape of its segmentation .*seg\.nii\.gz, found 24 x 24 x 16 and "
        "24 x 24 x 15 voxels",
    ),
    "cut": ("flair", cut, r"001_flair\.nii\.gz: cannot be read as a volume \(EOFError: "),
    "cut segmentation": ("seg", cut, r"001_seg\.nii\.gz: cannot be read as a volume \("),
    "cut and unpacked": ("flair", unpacked_and_cut, r"001_flair\.nii: wanted no more than its file can hold"),
    "empty": ("flair", lambda file: file.write_bytes(b""), r"001_flair\.nii\.gz: cannot be read as a volume"),
    "no volume": (
        "flair",
        lambda file: file.unlink(),
        r"wanted a volume flair or t2f of BraTS20_Training_001, found .*_seg\.nii\.gz, .*_t1\.nii\.gz; copy",
    ),
    "axes": (
        "flair",
        lambda file: save(file, np.stack([brain(0)] * 2, axis=-1)),
        r"001_flair\.nii\.gz: wanted one volume of three axes, got shape 24 x 24 x 16 x 2; take one out",
    ),
    "no brain": (
        "flair",
        lambda file: save(file, 0 * brain(0)),
        r"001_flair\.nii\.gz: wanted a brain with zeros around it, found one value",
    ),
    "not finite": (
        "flair",
        lambda file: save(file, np.where(brain(0) > 0, np.nan, 1)),
        r"001_flair\.nii\.gz: holds voxels that are no finite numbers",
    ),
    "twice": (
        "flair",
        lambda file: save(file.parent.parent / "more" / file.name, brain(0)),
        r"_001_flair\.nii\.gz lies in both BraTS20_Training_001 and more; take one away",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_spoilt_data_are_refused_in_one_line(root, how):
    kind, spoil, message = SPOILT[how]
    spoil(root / "BraTS20_Training_001" / f"BraTS20_Training_001_{kind}.nii.gz")
    with pytest.raises(DataError, match=message) as caught:
        list_brats(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"modality": "t3"}, r"modality: wanted one that .* has \(flair, t1\), got 't3'"),
        ({"modality": "t1ce"}, r"modality: wanted one that .* has \(flair, t1\), got 't1ce'"),
        ({"step": 0}, "step: wanted a whole number of 1 or more, got 0"),
        ({"min_tumour": 0}, "min_tumour: wanted a whole number of 1 or more, got 0"),
    ],
)
def test_keywords_refused(root, keywords, message):
    with pytest.raises(DataError, match=message):
        list_brats(root, **keywords)


@pytest.mark.parametrize("name", [".", "none"])
def test_folders_without_patients_are_refused(tmp_path, name):
    with pytest.raises(
        DataError, match=r"wanted one folder per patient, with volumes such as BraTS20.*found none"
    ):
        list_brats(tmp_path / name)


def test_check_looks_at_slices(root):
    result = CliRunner().invoke(app, ["check", str(root), "--json", "--batch-size", "4"])
    messages = " ".join(found["message"] for found in json.loads(result.stdout)["findings"])
    assert "tumour_voxels is known of tumour only" in messages
    printed = CliRunner().invoke(app, ["check", str(root), "--batch-size", "4"]).stdout
    assert "read as BraTS: every fourth axial slice" in printed
    assert re.search(r"healthy +5 +3 *\n *tumour +3 +2", printed)
