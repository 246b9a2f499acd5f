"""Small folders of images."""

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Save images below a folder; names given without an image get a plain one."""

    def build(*names, **images):
        for name, image in {**dict.fromkeys(names, Image.new("L", (4, 4))), **images}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / name)
        return tmp_path

    return build


@pytest.fixture
def written(tmp_path):
    """Write a text, as it is, to a file; give its path."""

    def write(text, name="table.csv") -> Path:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write
