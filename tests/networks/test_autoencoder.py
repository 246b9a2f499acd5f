from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sepvae.errors import DataError
from sepvae.networks.autoencoder import build_autoencoder


@pytest.fixture
def own():
    """Encoder and decoder of a user, for images of 2 x 3 pixels and codes of 3 + 2 dimensions."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.BatchNorm1d(7))
    return encoder, nn.Sequential(nn.Linear(5, 6), nn.Unflatten(1, (1, 2, 3)))


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("mlp", (7,)),
        ("residual-mlp", (7,)),
        ("auto", (7,)),
        ("auto", (1, 16, 20)),
        ("release", (3, 64, 64)),
    ],
)
def test_encode_then_decode_gives_the_shape_of_the_samples(network, shape):
    model, x = build_autoencoder(network, shape, 3, 2, 2), torch.zeros(4, *shape)
    codes = model.encode(x)
    assert codes.salient_mean.shape == codes.salient_logvar.shape == (4, 2)
    assert codes.common_mean.shape == codes.common_logvar.shape == (4, 3)
    assert model.decode(codes.common_mean, codes.salient_mean).shape == x.shape


def test_decode_takes_common_before_salient():
    model = build_autoencoder("mlp", (7,), 3, 2, 2)
    z = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.decode(z[:, :3], z[:, 3:]), model.decoder(z))


def test_heads_know_their_dimensions_and_groups():
    model = build_autoencoder("mlp", (7,), 3, 2, 4)
    assert model.salient_classifier(torch.zeros(5, 2)).shape == (5, 3)
    assert model.critic(torch.zeros(5, 3), torch.zeros(5, 2)).shape == (5,)


def test_weights_come_from_the_global_generator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = build_autoencoder("mlp", (7,), 3, 2, 2)
        torch.manual_seed(0)
        again = build_autoencoder("mlp", (7,), 3, 2, 2)
    assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("cnn2d", (7,), r"wanted one for tables \(residual-mlp, mlp, linear, auto\), got 'cnn2d'"),
        ("mlp", (1, 16, 16), r"wanted one for images \(cnn2d, e1, e2, release, linear, auto\), got 'mlp'"),
        ("resnet", (1, 16, 16), "got 'resnet'"),
        ("auto", (1, 8, 8), "wanted images of 16 x 16 or more, got 8 x 8"),
        ("auto", (16, 16), r"wanted a table .* or volumes .*, got shape \(n, 16, 16\)"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network, shape, message):
    with pytest.raises(DataError, match=message):
        build_autoencoder(network, shape, 3, 2, 2)


def test_own_modules_are_copied_and_stay_as_they_were(own):
    before = deepcopy(own)
    model = build_autoencoder(own, (1, 2, 3), 3, 2, 2)
    model.encode(torch.ones(4, 1, 2, 3))  # batch norm takes note of it in the copy only
    for module, was in zip(own, before, strict=True):
        assert module.training
        assert_close(module.state_dict(), was.state_dict(), rtol=0, atol=0)


def test_layers_that_a_user_set_to_evaluation_stay_so(own):
    own[0][2].eval()
    backbone = build_autoencoder(own, (1, 2, 3), 3, 2, 2).common_encoder.backbone
    assert [backbone.training, backbone[2].training] == [True, False]


def test_own_encoder_serves_each_space_in_a_copy_of_its_own(own):
    model = build_autoencoder(own, (1, 2, 3), 3, 2, 2)
    parts = [*own, model.common_encoder, model.salient_encoder, model.decoder]
    tensors = [tensor.data_ptr() for part in parts for tensor in [*part.parameters(), *part.buffers()]]
    assert len(tensors) == len(set(tensors))


def test_own_modules_compute_what_they_did(own):
    model, x = build_autoencoder(own, (1, 2, 3), 3, 2, 2).eval(), torch.ones(4, 1, 2, 3)
    features = own[0].eval()(x)
    assert torch.equal(model.common_encoder.backbone(x), features)
    assert torch.equal(model.salient_encoder.backbone(x), features)
    assert torch.equal(model.decoder(torch.ones(4, 5)), own[1](torch.ones(4, 5)))


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        (nn.Linear(9, 4), None, r"the encoder does not take input of shape \(2, 1, 2, 3\): "),
        (nn.BatchNorm1d(1), None, r"the encoder does not take input of shape \(2, 1, 2, 3\): "),
        (nn.Identity(), None, r"wanted an encoder with output \(batch, features\), got \(2, 1, 2, 3\)"),
        (nn.GRU(3, 3), None, r"the encoder does not take input of shape \(2, 1, 2, 3\): "),
        (nn.Sequential(nn.Flatten(), nn.GRU(6, 3)), None, "wanted the encoder to give a tensor, got a tuple"),
        (None, nn.Linear(9, 6), r"the decoder does not take input of shape \(2, 5\): "),
        (None, nn.Linear(5, 6), r"wanted a decoder with output \(batch, 1, 2, 3\), got \(2, 6\)"),
    ],
)
def test_own_modules_of_wrong_shape_are_refused_in_one_line(own, encoder, decoder, message):
    with pytest.raises(DataError, match=message) as caught:
        build_autoencoder((encoder or own[0], decoder or own[1]), (1, 2, 3), 3, 2, 2)
    assert "\n" not in str(caught.value)
