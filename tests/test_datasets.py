"""Downloads from a server on this machine: cache, checksums, cut connections; and what files become."""

import hashlib
import io
import os
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from sepvae import datasets
from sepvae.errors import DataError

pooch = pytest.importorskip("pooch")
RNG = np.random.default_rng(0)
HEADER = "@relation mice\n@attribute MouseID {'309_1','309_2','3484_n_1'}\n"
HEADER += "@attribute A_N numeric\n@attribute B_N numeric\n"
HEADER += "@attribute Genotype {'Control','Ts65Dn'}\n@attribute Treatment {'Memantine','Saline'}\n"
HEADER += "@attribute Behavior {'C/S','S/C'}\n@attribute class {'c-CS-m','t-SC-s'}\n@data\n"
MICE = (
    HEADER
    + "'309_1',0.5,?,'Control','Memantine','C/S','c-CS-m'\n'309_2',1,2,'Control','Memantine','C/S','c-CS-m'\n"
)
MICE += "'3484_n_1',3,4,'Ts65Dn','Saline','S/C','t-SC-s'\n"


def medmnist(size: int, classes: int) -> bytes:
    """A file as of MedMNIST: 8, 4 and 4 images."""
    buffer, arrays = io.BytesIO(), {}
    for part, n in (("train", 8), ("val", 4), ("test", 4)):
        arrays[f"{part}_images"] = RNG.integers(0, 256, (n, size, size), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % classes)[:, None]
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Server(BaseHTTPRequestHandler):
    """Serves one file; `cut` sends half of it."""

    def __init__(self, *arguments: Any, state: dict[str, Any]) -> None:
        self.state = state
        super().__init__(*arguments)

    def do_GET(self) -> None:
        content = self.state["content"]
        self.state["requests"] += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.state.get("cut") else content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[dict[str, Any]]:
    state: dict[str, Any] = {"content": b"", "requests": 0}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, state=state)) as running:
        state["url"] = f"http://127.0.0.1:{running.server_port}"
        Thread(target=running.serve_forever, daemon=True).start()
        yield state
        running.shutdown()


def published(server: dict[str, Any], name: str, content: bytes) -> datasets.Published:
    """A record of content that the server has."""
    server["content"] = content
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return datasets.Published(f"{server['url']}/{name}", f"md5:{digest}", "CC BY 4.0", "Someone (2020)")


@pytest.fixture
def xrays(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = medmnist(28, 2)
    monkeypatch.setitem(datasets.PNEUMONIA, 28, published(server, "pneumoniamnist.npz", content))
    return content


def test_images_and_terms(
    xrays: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooch.get_logger(), "handlers", [caplog.handler])
    data, arrays = datasets.fetch_pneumonia_mnist(data_dir=tmp_path), np.load(io.BytesIO(xrays))
    assert (len(data.train), len(data.test), data.train.sample_shape) == (12, 4, (1, 28, 28))
    wanted = np.concatenate([arrays["train_images"], arrays["val_images"]])[:, None]
    np.testing.assert_array_equal(data.train.take(np.arange(12)).x, wanted)
    assert data.test.labels.tolist() == ["normal", "pneumonia"] * 2
    assert (data.license, data.path) == ("CC BY 4.0", tmp_path / "pneumoniamnist.npz")
    assert "pneumoniamnist.npz: license CC BY 4.0; cite Someone (2020)" in caplog.messages


def test_labels_of_retinas(server: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.OCT, 64, published(server, "octmnist_64.npz", medmnist(64, 4)))
    monkeypatch.setenv("SEPVAE_DATA_HOME", str(tmp_path))
    data = datasets.fetch_oct_mnist(size=64)
    short = ["choroidal", "diabetic", "drusen", "normal"]
    assert [label.split()[0] for label in data.test.labels] == short
    assert data.path.parent == tmp_path


def test_mice(server: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MICE", published(server, "MiceProtein.arff", MICE.encode()))
    mice = datasets.fetch_mice_protein(data_dir=tmp_path).source
    np.testing.assert_array_equal(mice.take(np.arange(3)).x, [[0.5, np.nan], [1, 2], [3, 4]])
    assert mice.groups.tolist() == ["309", "309", "3484_n"]
    assert mice.labels.tolist() == ["c-CS-m", "c-CS-m", "t-SC-s"]
    assert mice.attributes["genotype"].tolist() == ["Control", "Control", "Ts65Dn"]
    assert mice.feature_names == ["A_N", "B_N"]


@pytest.mark.usefixtures("xrays")
def test_a_second_call_takes_the_file_that_is_there(server: dict[str, Any], tmp_path: Path) -> None:
    datasets.fetch_pneumonia_mnist(data_dir=tmp_path)
    server["content"] = b"gone"
    datasets.fetch_pneumonia_mnist(data_dir=tmp_path)
    assert server["requests"] == 1


@pytest.mark.usefixtures("xrays")
def test_another_file_of_the_name_is_kept(server: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "pneumoniamnist.npz"
    own.write_bytes(b"of the user")
    with pytest.raises(DataError, match=r"pneumoniamnist\.npz: is not the file .*; move it away"):
        datasets.fetch_pneumonia_mnist(data_dir=tmp_path)
    assert own.read_bytes() == b"of the user"
    assert server["requests"] == 0
    own.unlink()
    assert len(datasets.fetch_pneumonia_mnist(data_dir=tmp_path).test) == 4


@pytest.mark.parametrize("cut", [True, False])
def test_nothing_is_left_of_another_file(
    xrays: bytes, server: dict[str, Any], tmp_path: Path, cut: bool
) -> None:
    server.update({"cut": True} if cut else {"content": xrays[:-1] + b"?"})
    message = "cannot be downloaded" if cut else r"is not the file that was published \(md5:"
    with pytest.raises(DataError, match=message):
        datasets.fetch_pneumonia_mnist(data_dir=tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = datasets.MICE._replace(url="http://127.0.0.1:9/MiceProtein.arff")
    monkeypatch.setattr(datasets, "MICE", nowhere)
    with pytest.raises(DataError, match=r"cannot be downloaded .*or put the file at .*MiceProtein\.arff"):
        datasets.fetch_mice_protein(data_dir=tmp_path)


def test_pickles_in_arrays_are_not_loaded(
    server: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, train_images=np.array([{}], dtype=object))
    monkeypatch.setitem(datasets.PNEUMONIA, 28, published(server, "x.npz", buffer.getvalue()))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        datasets.fetch_pneumonia_mnist(data_dir=tmp_path)


def test_what_is_asked_for_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="size: wanted one of 28, 64, got 32"):
        datasets.fetch_pneumonia_mnist(size=32)  # type: ignore[arg-type]
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(DataError, match=r"pip install 'sepvae\[fetch\]'"):
        datasets.fetch_mice_protein()


def test_records_name_https_and_a_checksum() -> None:
    for file in (*datasets.PNEUMONIA.values(), *datasets.OCT.values(), datasets.MICE):
        assert file.url.startswith("https://")
        assert len(file.checksum) == len("md5:") + 32
        assert file.license
