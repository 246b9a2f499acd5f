"""Networks by name, or the user's own, built for samples of one shape."""

from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sepvae.errors import DataError
from sepvae.networks import backbones
from sepvae.networks.model import (
    ContrastiveAutoencoder,
    Critic,
    GaussianEncoder,
    JointCritic,
    ReadOut,
    SalientClassifier,
    SampleCritic,
)

# A name in NETWORKS or "auto", or the user's own encoder backbone and decoder, None if there is to be none.
Network = str | tuple[nn.Module, nn.Module | None]
Decoder = Literal["joint", "additive", "linear", "none"]
# Linear layers of a critic of codes; or a critic of samples with their codes, or of samples alone.
CriticKind = int | Literal["joint", "samples"]
TABLES, IMAGES, VOLUMES = 1, 3, 4  # axes of one sample
NETWORKS = {
    TABLES: ("residual-mlp", "mlp", "linear"),
    IMAGES: ("cnn2d", "e1", "e2", "release", "linear"),
    VOLUMES: ("linear", "cnn3d", "cnn3d-group"),
}
WIDE = 5000  # features, such as vertices, from which on "auto" is linear for tables, too
KINDS = {TABLES: "tables", IMAGES: "images", VOLUMES: "volumes"}


def build_autoencoder(
    network: Network,
    sample_shape: tuple[int, ...],
    common_dim: int,
    salient_dim: int,
    n_groups: int,
    *,
    n_covariates: int = 0,
    decoder: Decoder = "joint",
    critic_kind: CriticKind = 3,
    exact_codes: bool = False,
    valid_mask: npt.NDArray[np.bool_] | None = None,
    stored: Collection[str] | None = None,
) -> ContrastiveAutoencoder:
    """
    Build all networks for samples of one shape, with weights drawn from torch's global generator.

    The decoder takes [c, s] ("joint"), or is the sum of one for c and one for s: of this network
    ("additive"), or linear. With "none" or `exact_codes`, codes have no noise. Covariates come after c.

    `stored` holds the weight names of a saved model. Older models had no read-out, a second linear layer in
    the decoder of network "release", and if the network was "auto", `mlp` for tables and `cnn3d` for volumes.
    """
    dims, given = (common_dim, salient_dim), (common_dim + n_covariates, salient_dim)
    names = {name.replace("decoder.common.", "decoder.") for name in stored or ()}
    if isinstance(network, str):
        encoder, build = _named(network, sample_shape, names)
        common, salient = encoder(sample_shape, common_dim), encoder(sample_shape, salient_dim)
        decode = _decoder(decoder, build, sample_shape, given)
        if decode is not None and network_name(network, sample_shape, names) == "linear":
            of_common = decode.common if isinstance(decode, backbones.AdditiveDecoder) else decode
            backbones.start_at_scores(cast(GaussianEncoder, common), cast(nn.Linear, of_common))
    else:
        backbone, own_decoder = _own_modules(network, decoder)
        # First: the check of its output is fast.
        decode = None if own_decoder is None else _own_decoder(own_decoder, sample_shape, sum(given))
        common, salient = (_own_encoder(backbone, sample_shape, dim) for dim in dims)
    if exact_codes or decoder == "none":
        for own in (common, salient):
            backbones.without_noise(cast(GaussianEncoder, own))
    classifier = SalientClassifier(salient_dim, n_groups)
    critic = _critic(network, sample_shape, dims if isinstance(critic_kind, int) else given, critic_kind)
    # Last, so that a seed gives the other networks the same weights as in versions without a read-out.
    has_read_out = stored is None or any(name.startswith("read_out.") for name in stored)
    read_out = ReadOut(salient_dim, n_groups) if has_read_out else None
    where = None if valid_mask is None else torch.from_numpy(np.array(valid_mask)[None])
    model = ContrastiveAutoencoder(common, salient, decode, classifier, critic, read_out, where)
    channels_last = {IMAGES: torch.channels_last, VOLUMES: torch.channels_last_3d}
    if len(sample_shape) in channels_last:
        model.to(memory_format=channels_last[len(sample_shape)])  # type: ignore[call-overload]
    return model


def _critic(
    network: Network, sample_shape: tuple[int, ...], dims: tuple[int, int], kind: CriticKind
) -> Critic | JointCritic | SampleCritic:
    """Return the critic of codes, or one of samples, with layers as those of an encoder."""
    if isinstance(kind, int):
        return Critic(*dims, kind)
    if isinstance(network, str):
        network = "cnn3d-group" if network == "cnn3d" else network  # batch norm would mix data and decoded
        encoder = cast(GaussianEncoder, _named(network, sample_shape, ())[0](sample_shape, sum(dims)))
    else:
        encoder = _own_encoder(network[0], sample_shape, sum(dims))
    return JointCritic(encoder, *dims) if kind == "joint" else SampleCritic(encoder)


Builder = Callable[[tuple[int, ...], int], nn.Module]


def network_name(network: str, sample_shape: tuple[int, ...], stored: Collection[str] = ()) -> str:
    """Return the network that "auto" is for samples of this shape; raise DataError for an unsuitable name."""
    if (axes := len(sample_shape)) not in NETWORKS:
        raise DataError(
            "X: wanted a table (n, features), images (n, channels, h, w) or volumes (n, channels, d, h, w), "
            f"got shape (n, {', '.join(map(str, sample_shape))})"
        )
    suitable = NETWORKS[axes]
    name = suitable[0] if network == "auto" else network
    if network == "auto" and axes == TABLES and stored:
        name = "residual-mlp" if "decoder.linear.weight" in stored else "mlp"
    if network == "auto" and axes == VOLUMES and stored:
        name = "cnn3d"
    wide = axes == TABLES and sample_shape[0] >= WIDE
    if network == "auto" and ("principal.axes" in stored if stored else wide):
        name = "linear"
    if name not in suitable:
        known = ", ".join(suitable)
        raise DataError(f"network: wanted one for {KINDS[axes]} ({known}, auto), got {network!r}")
    return name


def _named(network: str, sample_shape: tuple[int, ...], stored: Collection[str]) -> tuple[Builder, Builder]:
    """Return the builders of encoder and decoder, from the shape of a sample and the dimension of a code."""
    name, size = network_name(network, sample_shape, stored), sample_shape[1:]
    if name == "linear":
        return backbones.linear_encoder, backbones.linear_decoder
    if len(sample_shape) == TABLES:
        return backbones.mlp_encoder, backbones.mlp_decoder if name == "mlp" else backbones.ResidualDecoder
    if len(sample_shape) == VOLUMES:
        net = backbones.cnn3d("group" if name == "cnn3d-group" else "batch", size)
    else:
        paper = {"e1": backbones.E1, "e2": backbones.E2, "release": backbones.RELEASE}
        net = paper[name] if name in paper else backbones.halving(size)
    if name == "release" and "decoder.2.weight" in stored:
        net = replace(net, decoder_hidden=True)
    return partial(backbones.conv_encoder, net), partial(backbones.conv_decoder, net)


def _decoder(
    decoder: Decoder, build: Builder, sample_shape: tuple[int, ...], dims: tuple[int, int]
) -> nn.Module | None:
    """Build the decoder of both codes with the builder of a named network."""
    if decoder == "none":
        return None
    if decoder == "joint":
        return build(sample_shape, sum(dims))
    build = backbones.linear_decoder if decoder == "linear" else build
    common, salient = (build(sample_shape, dim) for dim in dims)
    return backbones.AdditiveDecoder(common, salient, dims)


def _own_modules(network: object, decoder: Decoder) -> tuple[nn.Module, nn.Module | None]:
    """Return the user's encoder and decoder; a method without decoder ignores the second."""
    if isinstance(network, tuple) and len(network) == 2 and decoder in ("additive", "linear"):
        raise DataError("network: wanted a name, since c and s have decoders of their own; got two modules")
    if isinstance(network, tuple) and len(network) == 2 and isinstance(network[0], nn.Module):
        if decoder == "none":
            return network[0], None
        if isinstance(network[1], nn.Module):
            return network[0], network[1]
    raise DataError(f"network: wanted a name or a tuple of two modules, got {network!r}")


def _own_encoder(backbone: nn.Module, sample_shape: tuple[int, ...], latent_dim: int) -> GaussianEncoder:
    """Copy the user's encoder, and add a posterior head that fits its output."""
    features = _try(backbone, torch.zeros(2, *sample_shape), "encoder")
    if features.ndim != 2:
        shape = tuple(features.shape)
        raise DataError(f"network: wanted an encoder with output (batch, features), got {shape}")
    return GaussianEncoder(deepcopy(backbone), features.shape[1], latent_dim)


def _own_decoder(decoder: nn.Module, sample_shape: tuple[int, ...], latent_dim: int) -> nn.Module:
    samples = _try(decoder, torch.zeros(2, latent_dim), "decoder")
    if tuple(samples.shape[1:]) != tuple(sample_shape):
        raise DataError(
            f"network: wanted a decoder with output (batch, {', '.join(map(str, sample_shape))}), "
            f"got {tuple(samples.shape)}"
        )
    return deepcopy(decoder)


def _try(module: nn.Module, x: Tensor, role: str) -> Tensor:
    """Return the output of a copy of the user's module, so that the modes of its layers do not change."""
    try:
        with torch.no_grad():
            result = deepcopy(module).eval()(x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape, reason = tuple(x.shape), " ".join(str(error).split())  # torch's may have several lines
        raise DataError(f"network: the {role} does not take input of shape {shape}: {reason}") from error
    if not isinstance(result, Tensor):
        raise DataError(f"network: wanted the {role} to give a tensor, got a {type(result).__name__}")
    return result
