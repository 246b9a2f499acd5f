"""Readers give samples, or one line of ours, whatever a file holds; benchmarks/fuzz.py tries thousands."""

import gzip
import json
import struct
import tracemalloc
import zlib

import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sepvae.data.cells import read_cells
from sepvae.data.nifti import NiftiFiles
from sepvae.data.opening import list_data
from sepvae.data.packing import pack
from sepvae.data.reading import read_listing
from sepvae.errors import DataError, SepVAEError
from sepvae.recipes import load_recipe, recipe_text

IMAGES = ("png", "jpg", "gif", "bmp", "tif", "webp")
FORMATS = (*IMAGES, "nii", "nii.gz", "zarr", "csv", "npy", "npz", "yaml")
TRIES = settings(max_examples=25, deadline=None, database=None, derandomize=True)
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A sound file of each format, and what is read with it."""
    home = tmp_path_factory.mktemp("sound")
    for kind in IMAGES:
        for label in ("ad", "hc"):
            file = home / kind / label / f"image.{kind}"
            file.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, size=(20, 24), dtype=np.uint8)).save(file)
    table = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "dx": ["hc", "ad"], "age": [61, 70]})
    for kind in ("nii", "nii.gz"):
        (home / kind).mkdir()
        table.assign(path=[f"{id_}.{kind}" for id_ in table["participant_id"]]).to_csv(
            home / kind / "t.csv", index=False
        )
        for id_ in table["participant_id"]:
            image = nibabel.Nifti1Image(
                rng.normal(size=(4, 5, 6)).astype(np.float32), np.diag([2.0, 2, 2, 1])
            )
            nibabel.save(image, home / kind / f"{id_}.{kind}")
    files = [home / "nii" / f"{id_}.nii" for id_ in table["participant_id"]]
    cells = read_cells(home / "nii" / "t.csv")
    pack(NiftiFiles(files), cells, home / "store.zarr", files=[file.name for file in files])
    measures = pd.DataFrame(rng.normal(size=(4, 2)).round(3), columns=["m1", "m2"])
    measures.assign(id=list("abcd"), dx=["hc", "ad"] * 2).to_csv(home / "measures.csv", index=False)
    np.save(home / "x.npy", measures.to_numpy())
    np.savez(home / "y.npz", x=measures.to_numpy())
    for name in ("x.csv", "y.csv"):
        pd.DataFrame({"dx": ["hc", "ad"] * 2}).to_csv(home / name, index=False)
    (home / "recipe.yaml").write_text(recipe_text("pneumonia"))
    return home


def mutable(home, kind):
    """The file that is changed."""
    if kind in IMAGES:
        return home / kind / "ad" / f"image.{kind}"
    of_volumes = {"nii": home / "nii" / "sub-1.nii", "nii.gz": home / "nii.gz" / "sub-1.nii.gz"}
    others = {"zarr": home / "store.zarr" / "zarr.json", "csv": home / "measures.csv", "npy": home / "x.npy"}
    return (of_volumes | others | {"npz": home / "y.npz", "yaml": home / "recipe.yaml"})[kind]


def read(home, kind):
    """Read as the commands do."""
    if kind == "yaml":
        return load_recipe(home / "recipe.yaml")
    volumes = {"images": "path", "label": "dx"}
    data, options = {
        **{image: (home / image, {}) for image in IMAGES},
        **{volume: (home / volume / "t.csv", volumes) for volume in ("nii", "nii.gz")},
        "zarr": (home / "store.zarr", {"label": "dx"}),
        "csv": (home / "measures.csv", {"label": "dx", "id": "id", "features": ["m*"]}),
        "npy": (home / "x.npy", {"label": "dx"}),
        "npz": (home / "y.npz", {"label": "dx"}),
    }[kind]
    source, _ = read_listing(
        list_data(data, **options, two_labels=False)[0], image_size=16 if kind in IMAGES else None
    )
    return source.take(np.arange(len(source))).x


def says_one_line(home, kind, content):
    """Whether a file with this content is read, or refused in one line; it is put back."""
    file = mutable(home, kind)
    sound = file.read_bytes()
    file.write_bytes(content)
    try:
        read(home, kind)
    except SepVAEError as error:
        return "\n" not in str(error)
    finally:
        file.write_bytes(sound)
    return True


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_sound_is_read(home, kind):
    assert read(home, kind) is not None


@pytest.mark.parametrize("kind", FORMATS)
@TRIES
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(home, kind, data):
    content = bytearray(mutable(home, kind).read_bytes())
    for place in data.draw(st.lists(st.integers(0, min(len(content), 600) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.sampled_from([0, 1, 10, 34, 38, 42, 44, 58, 127, 128, 255]))
    assert says_one_line(home, kind, bytes(content))


@pytest.mark.parametrize("kind", FORMATS)
@TRIES
@given(data=st.data())
def test_what_is_cut_or_goes_on_is_read_or_refused(home, kind, data):
    content = mutable(home, kind).read_bytes()
    end = data.draw(st.integers(0, len(content)))
    assert says_one_line(home, kind, content[:end] + data.draw(st.binary(max_size=40)))


def header(**fields):
    """A NIfTI header of 348 bytes with these fields, and 4 more."""
    made = nibabel.Nifti1Header()
    made.set_data_shape((4, 5, 6))
    made.set_data_dtype(np.float32)
    made.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    made["vox_offset"], made["magic"] = 352, b"n+1"
    for name, value in fields.items():
        made[name] = value
    return made.binaryblock + bytes(4)


def png(width, height):
    """A few bytes that declare an image."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    about = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", about)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def gif(width, height):
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x08\x01\x00\x00;"
    )


def declared(home, **changes):
    """What a store says of its voxels, changed."""
    about = json.loads((home / "store.zarr" / "voxels" / "zarr.json").read_text())
    about.update(changes)
    return json.dumps(about).encode()


HUGE = [30_000] * 3
DEEP = "[" * 100_000
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "a PNG of 60 000 x 60 000": ("png", png(60_000, 60_000)),
    "a PNG of 10 000 x 10 000": ("png", png(10_000, 10_000)),
    "a GIF of 60 000 x 60 000": ("gif", gif(60_000, 60_000)),
    "a volume of 30 000 voxels a side": ("nii", header(dim=[3, *HUGE, 1, 1, 1, 1])),
    "the same within gzip": ("nii.gz", gzip.compress(header(dim=[3, *HUGE, 1, 1, 1, 1]))),
    "a volume larger than its file": ("nii", header(dim=[3, 1000, 1000, 200, 1, 1, 1, 1])),
    "a volume of less than no voxels": ("nii", header(dim=[3, -4, 5, 6, 1, 1, 1, 1])),
    "a volume nowhere": ("nii", header(srow_x=np.nan) + bytes(480)),
    "a volume in one plane": ("nii", header(srow_z=0) + bytes(480)),
    "zeros without end after a volume": ("nii.gz", gzip.compress(header() + bytes(480) + bytes(2**27))),
    "an array of 2^60 rows": (
        "npy",
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }" % 2**60
        + b" " * 40,
    ),
    "an array with a header of 3 GB": ("npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xc0{}"),
    "an array of Python objects": (
        "npy",
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 2), }".ljust(117)
        + b"\n"
        + b"cos\nsystem\n(S'true'\ntR.",
    ),
    "a cell of 50 MB": ("csv", b"id,dx,m1,m2\na,hc,1," + b"9" * 50_000_000),
    "a cell that has no end": ("csv", b'id,dx,m1,m2\na,hc,1,"' + b"9\n" * 1_000_000),
    "100 000 columns": ("csv", b",".join(b"m%d" % i for i in range(100_000)) + b"\n1,2\n"),
    "a recipe of 10^9 values": ("yaml", LAUGHS.encode()),
    "a recipe that holds itself": ("yaml", b"title: &a [*a]\n"),
    "a recipe nested 100 000 deep": ("yaml", DEEP.encode()),
    "a recipe that is a program": ("yaml", b"title: !!python/object/apply:os.system ['true']\n"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_bombs_are_refused_in_one_line_and_little_memory(home, what):
    kind, content = BOMBS[what]
    file = mutable(home, kind)
    sound = file.read_bytes()
    file.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read(home, kind)
        assert "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < len(content) * 8 + 2**27
    finally:
        tracemalloc.stop()
        file.write_bytes(sound)


@pytest.mark.parametrize("changes", [{"shape": [2, *HUGE]}, {"shape": [2**40, 4, 5, 6]}, {"codecs": []}])
def test_stores_that_declare_too_much_are_refused(home, changes):
    file = home / "store.zarr" / "voxels" / "zarr.json"
    sound = file.read_bytes()
    file.write_bytes(declared(home, **changes))
    try:
        with pytest.raises(DataError, match=r"store.zarr.*copy or pack it again"):
            read(home, "zarr")
    finally:
        file.write_bytes(sound)
