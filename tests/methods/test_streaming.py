"""Where images come from changes nothing: read by workers, in part or whole from memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from sepvae import SepVAE
from sepvae.data import read_image_folder
from sepvae.data.arrays import StreamSource

from ..helpers import quick


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label in ("ill", "well"):
        (root / label).mkdir()
        for i in range(12):
            x = rng.integers(0, 256, size=(20, 17), dtype=np.uint8)
            Image.fromarray(x).save(root / label / f"{i:02}.png")
    return root


def fitted(source, num_workers="auto"):
    return SepVAE(**quick(max_epochs=2, batch_size=8, random_state=0, num_workers=num_workers)).fit(source)


@pytest.fixture(scope="module")
def at_hand(folder):
    source = read_image_folder(folder, image_size=16)
    return source, fitted(source)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("share", "num_workers"), [(0, 2), (0.5, "auto")])
def test_a_fit_on_a_stream_is_the_fit_on_its_images(folder, at_hand, share, num_workers):
    wanted_source, wanted = at_hand
    source = read_image_folder(folder, image_size=16, memory=share * wanted_source.x.nbytes / 1e9)
    assert isinstance(source, StreamSource)
    model = fitted(source, num_workers)
    for name, weight in wanted.module_.state_dict().items():
        assert torch.equal(model.module_.state_dict()[name], weight), name
    assert model.history_.equals(wanted.history_)
    np.testing.assert_array_equal(
        model.encode(source).salient_mean, wanted.encode(wanted_source).salient_mean
    )
    for salient in ("own", "none"):
        errors = model.reconstruction_error(source, salient=salient)
        np.testing.assert_array_equal(errors, wanted.reconstruction_error(wanted_source, salient=salient))


def test_errors_are_those_of_the_reconstructions(at_hand, monkeypatch):
    source, model = at_hand
    errors = ((source.x / 255 - model.reconstruct(source)) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.reconstruction_error(source), errors, rtol=1e-6)
    monkeypatch.setattr("sepvae.methods.coding.IMAGES", 7)
    np.testing.assert_allclose(model.reconstruction_error(source), errors, rtol=1e-5)
