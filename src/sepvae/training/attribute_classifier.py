"""Classifiers of an attribute: small networks, trained on real samples and applied to decoded ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from sepvae.batch import AnyArray, Source, chunks
from sepvae.errors import DataError
from sepvae.networks.backbones import Conv, ConvNet, conv_encoder, halving, mlp_encoder
from sepvae.training.distributed import one_device
from sepvae.training.loader import GroupBatches, Loader, training_batches
from sepvae.training.module import as_input
from sepvae.training.runtime import SeededInit, retain_freed_memory

# Chosen on the training part of digits-on-photos, split in two: shifts raise the balanced accuracy over its
# eleven classes from 0.89 to 0.95, twice Adam's default rate to 0.96; 1000 steps are no better than 600.
BATCH, VOLUMES = 64, 16  # samples of a batch, volumes of a batch
POOLED = 24  # most voxels a side that a classifier of volumes sees: larger ones are averaged in cubes
LEARNING_RATE = 2e-3
SHIFT = 16  # images are shifted by up to 1/16 of their side in each direction
N_STEPS, VOLUME_STEPS = 600, 300  # simulated brains of two groups: accuracy 0.95 after 100, 1.0 after 200
MAX_PASSES = 100
INFERENCE_BATCH = 512


@dataclass(frozen=True)
class AttributeClassifier:
    """Classifier trained on real samples; `network` returns logits of shape (batch, classes)."""

    network: nn.Module
    device: torch.device

    def predict(self, x: AnyArray) -> npt.NDArray[np.int64]:
        """Return the most probable class of each sample; images are uint8 or in [0, 1], tables scaled."""
        chosen = [np.zeros(0, dtype=np.int64)]
        with torch.inference_mode(), retain_freed_memory():
            for part in chunks(len(x), INFERENCE_BATCH):
                logits = self.network(as_input(torch.from_numpy(x[part]).to(self.device), torch.float32))
                chosen.append(logits.argmax(dim=1).cpu().numpy())
        return np.concatenate(chosen)


def train_attribute_classifier(
    source: Source,
    classes: npt.NDArray[np.integer],
    *,
    random_state: int = 0,
    n_steps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    num_workers: int | Literal["auto"] = "auto",
    accelerator: str = "auto",
) -> AttributeClassifier:
    """
    Train a small classifier, with the backbone of a default encoder, on real samples.

    Every batch holds all classes in equal numbers, so that rare classes count equally. The fixed number of
    steps bounds the time and needs no validation samples; few samples are passed at most 100 times.
    `classes` holds 0, 1, .. for each sample, or -1 to leave it out; `source` holds images or scaled tables.

    >>> from sepvae.data import ArraySource
    >>> x, y = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> classifier = train_attribute_classifier(ArraySource(x, y), y, n_steps=20)
    >>> classifier.predict(np.array([[-1.5], [1.5]])).tolist()
    [0, 1]
    """
    used = np.flatnonzero(classes >= 0)
    sizes = np.bincount(classes[used])
    if len(sizes) < 2 or not sizes.all():
        raise DataError(
            f"classes: wanted two or more, each with samples to learn from, got {sizes.tolist()} samples"
        )
    device, size = one_device(accelerator), batch_size(len(sizes), source.sample_shape)
    n_steps = most_steps(source.sample_shape) if n_steps is None else n_steps
    n_steps = min(n_steps, max(MAX_PASSES * len(used) // size, 1))
    drawing = SeededInit(random_state)
    with retain_freed_memory():
        loader = training_batches(
            source,
            np.asarray(classes, dtype=np.int64),
            used,
            batch_size=size,
            balanced=True,
            random_state=random_state,
            num_workers=num_workers,
        )
        with drawing:
            network = _classifier(source.sample_shape, len(sizes)).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
        for step, (x, y) in enumerate(islice(_endless(loader, drawing.generator), n_steps)):
            x = shift_images(as_input(x.to(device), torch.float32), drawing.generator)
            loss = cross_entropy(network(x), y.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(step + 1, n_steps)
    return AttributeClassifier(network.eval(), device)


def most_steps(shape: tuple[int, ...]) -> int:
    """Return the number of steps after which a classifier is trained in full."""
    return VOLUME_STEPS if len(shape) == 4 else N_STEPS


def batch_size(n_classes: int, shape: tuple[int, ...]) -> int:
    """Return the number of samples in a batch: 64, of volumes 16, or 4 per class if that is more."""
    return max(VOLUMES if len(shape) == 4 else BATCH, 4 * n_classes)


def _endless(loader: Loader, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of pass after pass, each in another order."""
    for epoch in count():
        cast(GroupBatches, loader.sampler).set_epoch(epoch)
        # The loader once drew this number; drawing it here keeps the results of a seed unchanged.
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        yield from loader


def _classifier(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build the backbone of a default encoder and a linear layer to one logit per class."""
    if len(shape) == 3 and min(shape[1:]) >= 16:
        encoder = conv_encoder(halving(shape[1:]), shape, n_classes)
        network = nn.Sequential(encoder.backbone, encoder.mean)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network
    if len(shape) == 4:
        return _volume_classifier(shape, n_classes)
    encoder = mlp_encoder((int(np.prod(shape)),), n_classes)
    return nn.Sequential(nn.Flatten(), encoder.backbone, encoder.mean)


def _volume_classifier(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build three small convolutions over averages of cubes, and a linear layer to one logit per class."""
    cube = max(-(-side // POOLED) for side in shape[1:])
    pooled = tuple(-(-side // cube) for side in shape[1:])
    convs = [Conv(channels, (3, 3, 3), (2, 2, 2), (1, 1, 1)) for channels in (16, 32, 64)]
    encoder = conv_encoder(ConvNet(convs, hidden=64, norm="group"), (shape[0], *pooled), n_classes)
    return nn.Sequential(nn.AvgPool3d(cube, ceil_mode=True), encoder.backbone, encoder.mean)


def shift_images(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image at random, with its border pixels repeated; return tables unchanged."""
    if x.ndim != 4:
        return x
    n, _, height, width = x.shape
    reach_h, reach_w = height // SHIFT, width // SHIFT
    padded = pad(x, (reach_w, reach_w, reach_h, reach_h), mode="replicate")
    top, left = (torch.randint(2 * reach + 1, (n, 1), generator=generator) for reach in (reach_h, reach_w))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    everyone = torch.arange(n)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[everyone, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)  # channels last in memory, as in the input
