import numpy as np
import pytest

from sepvae.data.formats.array import map_array, read_array
from sepvae.errors import DataError

X = np.random.default_rng(0).integers(0, 256, size=(5, 1, 4, 3), dtype=np.uint8)


def save_version_2(path, x):
    with path.open("wb") as file:
        np.lib.format.write_array(file, x, version=(2, 0))


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.npy", np.save),
        ("x.NPY", save_version_2),
        ("x.npz", np.savez),
        ("x.npz", lambda path, x: np.savez(path, other=x[:1], x=x)),
    ],
)
@pytest.mark.parametrize(
    "x", [X, np.asfortranarray(X), (X / 255).astype(">f4"), (X / 255).astype("g"), X[:, 0]]
)
def test_rows_are_those_of_the_array(tmp_path, name, save, x):
    save(tmp_path / name, x)
    array = map_array(tmp_path / name)
    rows = array(np.array([3, 0, 3]))
    assert array.shape == x.shape
    np.testing.assert_array_equal(rows, x[[3, 0, 3]])
    assert rows.dtype.isnative
    assert rows.dtype.itemsize <= 8
    np.testing.assert_array_equal(array.select(np.array([4, 2]))(np.array([1])), x[[2]])


def test_grey_images_get_a_channel(tmp_path):
    np.save(tmp_path / "x.npy", X[:, 0])
    (tmp_path / "x.csv").write_text("dx\n" + "ill\nwell\n" * 2 + "ill\n")
    source = read_array(tmp_path / "x.npy", table=tmp_path / "x.csv", label="dx")
    np.testing.assert_array_equal(source.take(np.array([1])).x, X[[1]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([None, 1]), "holds Python objects, which are not read"),
        (np.array(["a", "b"]), "wanted an array of numbers, found <U1"),
        (np.zeros(2, dtype=[("a", "f4")]), "wanted an array of numbers, found .*f4"),
        (np.ones((2, 2), dtype=complex), "wanted an array of numbers, found complex128"),
        (np.array(3), "wanted one row per sample, found a single number"),
        (X[:0], r"wanted one row per sample, found an array of shape \(0, 1, 4, 3\)"),
    ],
    ids=str,
)
def test_content_refused(tmp_path, x, message):
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DataError, match=rf"x\.npy: {message}"):
        map_array(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (np.savez_compressed, "is compressed, so it cannot be mapped; save it by numpy.save or numpy.savez"),
        (lambda path, x: np.savez(path, a=x, b=x), "wanted one array, or one named x, found a, b"),
        (lambda path, _: np.savez(path), "wanted one array, or one named x, found none"),
        (lambda path, _: path.write_text("no zip file"), "cannot be read as an array .*zip"),
    ],
)
def test_archives_refused(tmp_path, save, message):
    save(tmp_path / "x.npz", X)
    with pytest.raises(DataError, match=message):
        map_array(tmp_path / "x.npz")


@pytest.mark.parametrize("length", [0, 4, 9, 30, 128, -1])
def test_half_a_file_is_refused(tmp_path, length):
    np.save(tmp_path / "x.npy", X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:length])
    with pytest.raises(
        DataError, match=r"x\.npy: (cannot be read as an array \(EOF|is shorter than its 5 rows)"
    ):
        map_array(tmp_path / "x.npy")


@pytest.mark.parametrize("shape", ["(5, 1, 4, 3", "(5, 1, 4, x)", "(5,-1,-4,3)", "(9999999999,)"])
def test_a_header_that_lies_is_refused(tmp_path, shape):
    np.save(tmp_path / "x.npy", X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(5, 1, 4, 3)", shape.ljust(12).encode()))
    with pytest.raises(DataError, match=r"x\.npy: .*save it again$") as caught:
        map_array(tmp_path / "x.npy")
    assert "\n" not in str(caught.value)


def test_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.npy: wanted an array in .*, found nothing"):
        map_array(tmp_path / "nowhere.npy")
