"""Readers give samples, or one line of ours, whatever a file holds; benchmarks/fuzz.py tries thousands."""

import gzip
import json
import os
import struct
import tracemalloc
import zlib

import google_crc32c
import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Blosc, Zstd
from PIL import Image

from sepvae.data.cells import read_cells
from sepvae.data.loading import list_data, read_manifest
from sepvae.data.nifti import NiftiFiles
from sepvae.data.packed import pack
from sepvae.errors import DataError, SepVAEError
from sepvae.recipes import load_recipe
from sepvae.recipes.recipe import recipe_text

IMAGES = ("png", "jpg", "gif", "bmp", "tif", "webp")
SURFACES = ("gii", "mgh", "thickness")
FORMATS = (*IMAGES, *SURFACES, "nii", "nii.gz", "zarr", "csv", "npy", "npz", "yaml")
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
    for kind in SURFACES:
        (home / kind).mkdir()
        table.to_csv(home / kind / "t.csv", index=False)
        for name in ("sub-1/lh", "sub-1/rh", "sub-2/lh", "sub-2/rh"):
            save_hemisphere(home / kind / f"{name}.{kind}")
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


def save_hemisphere(file):
    """Random thickness on fsaverage5, in the format that the suffix says."""
    values = rng.uniform(1, 4, 10242).astype(np.float32)
    file.parent.mkdir(exist_ok=True)
    if file.suffix == ".thickness":
        nibabel.freesurfer.write_morph_data(file, values)
    elif file.suffix == ".mgh":
        file.write_bytes(nibabel.freesurfer.MGHImage(values[:, None, None], np.eye(4)).to_bytes())
    else:
        array = nibabel.gifti.GiftiDataArray(values, datatype="NIFTI_TYPE_FLOAT32")
        file.write_bytes(nibabel.gifti.GiftiImage(darrays=[array]).to_bytes())


def mutable(home, kind):
    """The file that is changed."""
    if kind in SURFACES:
        return home / kind / "sub-1" / f"rh.{kind}"
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
        **{
            surface: (home / surface / "t.csv", {"images": f"{{participant_id}}/?h.{surface}", "label": "dx"})
            for surface in SURFACES
        },
        "zarr": (home / "store.zarr", {"label": "dx"}),
        "csv": (home / "measures.csv", {"label": "dx", "id": "id", "features": ["m*"]}),
        "npy": (home / "x.npy", {"label": "dx"}),
        "npz": (home / "y.npz", {"label": "dx"}),
    }[kind]
    source, _ = read_manifest(
        list_data(data, **options, roles=False), image_size=16 if kind in IMAGES else None
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@TRIES
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(home, kind, data):
    content = bytearray(mutable(home, kind).read_bytes())
    for place in data.draw(st.lists(st.integers(0, min(len(content), 600) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.sampled_from([0, 1, 10, 34, 38, 42, 44, 58, 127, 128, 255]))
    assert says_one_line(home, kind, bytes(content))


@pytest.mark.slow
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


def npy(shape, descr="'<f8'"):
    """An array with this header, in words, and 1000 bytes."""
    words = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(499) + "\n"
    return b"\x93NUMPY\x01\x00\xf4\x01" + words.encode() + bytes(1000)


HUGE = [30_000] * 3
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
SIGNAL = b"\1\0\x80\x7f" + bytes(4)  # a NaN that the processor reports, and 0
DEEP = "[" * 100_000
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "a PNG of 60 000 x 60 000": ("png", png(60_000, 60_000)),
    "a PNG of 10 000 x 10 000": ("png", png(10_000, 10_000)),
    "a PNG of one row": ("png", png(2**25, 1)),
    "a program for Ghostscript": ("png", POSTSCRIPT),
    "a GIF of 60 000 x 60 000": ("gif", gif(60_000, 60_000)),
    "a volume of 30 000 voxels a side": ("nii", header(dim=[3, *HUGE, 1, 1, 1, 1])),
    "the same within gzip": ("nii.gz", gzip.compress(header(dim=[3, *HUGE, 1, 1, 1, 1]))),
    "a volume larger than its file": ("nii", header(dim=[3, 1000, 1000, 200, 1, 1, 1, 1])),
    "a volume of less than no voxels": ("nii", header(dim=[3, -4, 5, 6, 1, 1, 1, 1])),
    "a volume nowhere": ("nii", header(srow_x=np.nan) + bytes(480)),
    "a volume in one plane": ("nii", header(srow_z=0) + bytes(480)),
    "zeros without end after a volume": ("nii.gz", gzip.compress(header() + bytes(480) + bytes(2**27))),
    "NaN that signal": ("nii", header(scl_slope=np.nan) + SIGNAL * 60),
    "a scale that is too large": ("nii", header(scl_slope=3e38) + np.arange(120, dtype="<f4").tobytes()),
    "an array of 2^60 rows": ("npy", npy(f"({2**60}, 2)")),
    "an array of 70 axes": ("npy", npy("(4, " + "1, " * 69 + ")")),
    "an array whose shape is no shape": ("npy", npy("{[1]: 2}")),
    "an array whose type is no type": ("npy", npy("(4, 2)", "'\\d'")),
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
    "1 000 000 columns": (
        "csv",
        b",".join(b"m%d" % i for i in range(10**6)) + b"\n" + b"1," * 999_999 + b"1",
    ),
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


def chunked(shape, chunks):
    """A store that declares this shape, in these chunks."""
    return {
        "shape": shape,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
    }


GZIPPED = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip"}]
TEXTS = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**31 - 4}}
OTHER_STORES = {
    "a shape of 30 000 a side": ("voxels", {"shape": [2, *HUGE]}),
    "2^40 volumes": ("voxels", {"shape": [2**40, 4, 5, 6]}),
    "fewer volumes than none": ("voxels", {"shape": [-2, 4, 5, 6]}),
    "voxels larger than their chunk": ("voxels", chunked([2, 600, 600, 600], [1, 600, 600, 600])),
    "a chunk for each voxel": ("voxels", chunked([2, 600, 600, 600], [1, 1, 1, 1])),
    "a chunk for each byte": ("sha256", chunked([2**28], [1])),
    "a table of 2^50 bytes": ("table", chunked([2**50], [2**50])),
    "no codecs": ("voxels", {"codecs": []}),
    "another codec": ("voxels", {"codecs": GZIPPED}),
    "a codec that is a program": ("voxels", {"codecs": [{"name": "numcodecs.pickle"}]}),
    "text of 2 GB a voxel": ("voxels", {"data_type": TEXTS, "fill_value": ""}),
}


@pytest.mark.parametrize("what", OTHER_STORES)
def test_stores_that_are_not_as_pack_writes_them_are_refused(home, what):
    part, changes = OTHER_STORES[what]
    file = home / "store.zarr" / part / "zarr.json"
    sound = file.read_text()
    file.write_text(json.dumps(json.loads(sound) | changes))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"store.zarr.*copy or pack it again"):
            read(home, "zarr")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
        file.write_text(sound)


@pytest.mark.parametrize(
    ("part", "chunk", "codec"), [("table", "c/0", Zstd(1)), ("voxels", "c.0.0.0.0", Blosc("zstd", 1))]
)
def test_chunks_of_a_store_that_swell_are_refused(home, part, chunk, codec):
    file = home / "store.zarr" / part / chunk
    sound, bomb = file.read_bytes(), codec.encode(bytes(2**28))
    file.write_bytes(bomb + google_crc32c.value(bomb).to_bytes(4, "little"))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="a chunk is not of the"):
            read(home, "zarr")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
        file.write_bytes(sound)


@pytest.mark.parametrize("fields", [{"dim": [3, *HUGE, 1, 1, 1, 1]}, {"datatype": 128}, {"srow_x": np.nan}])
def test_spoilt_headers_of_brats_are_refused(tmp_path, fields):
    for kind in ("flair", "seg"):
        (tmp_path / f"BraTS20_Training_001_{kind}.nii").write_bytes(header(**fields) + bytes(480))
    with pytest.raises(DataError, match=r"001_flair\.nii: "):
        list_data(tmp_path)


@pytest.mark.parametrize("row", [b",1,-1\n", b"a," * 100_000])
def test_spoilt_lists_of_celeba_are_refused(tmp_path, row):
    (tmp_path / "list_attr_celeba.csv").write_bytes(b"image_id,Eyeglasses,Wearing_Hat\n" + row)
    with pytest.raises(DataError, match=r"list_attr_celeba\.csv: .*download it again"):
        list_data(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_link_to_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "pipe")
    assert list_data(tmp_path, labelled=False).about["id"].tolist() == ["1.png"]
