"""Random views of samples for contrastive learning: images, volumes and rows of tables, on their device."""

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, avg_pool3d, grid_sample

from sepvae.training.sampling import Noise

# By the number of axes of a batch: tables, images, volumes.
AUGMENTATIONS = {
    2: ("noise", "mask"),
    4: ("crop", "flip", "jitter", "blur"),
    5: ("crop", "flip", "shift", "noise", "blur", "cutout"),
}
TABLE_NOISE, MASKED = 1.0, 0.5  # standard deviation of the noise; share of features set to their mean
AREA, RATIO = 0.4, 4 / 3  # of a crop: least area; largest ratio of height to width, and inversely
JITTER = 0.4  # brightness and contrast change by up to this share
BLURRED = 0.5  # share of samples
SIDE = 0.8  # least side of a crop of a volume
SHIFT = 0.1  # volumes are shifted by up to this share of half a side
VOLUME_NOISE = 0.2  # largest standard deviation of the noise
CUT = 0.1, 0.3  # half the side of the box that is cut out of a volume, in shares of half a side


class Draws:
    """Random numbers for the rows of this process, drawn for the whole batch so that processes agree."""

    def __init__(self, x: Tensor, noise: Noise, view: int) -> None:
        # Not the seed itself, which drew the noise; the views of a step differ.
        self.generator = torch.Generator(x.device).manual_seed(noise.seed + view)
        self.rows, self.own = len(x) * noise.world_size, noise.own
        self.device, self.dtype = x.device, x.dtype

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return uniform numbers, of shape (batch, ..)."""
        size = self.rows, *shape
        drawn = torch.rand(size, generator=self.generator, device=self.device, dtype=self.dtype)
        return low + (high - low) * drawn[self.own]

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers, of shape (batch, ..)."""
        size = self.rows, *shape
        return torch.randn(size, generator=self.generator, device=self.device, dtype=self.dtype)[self.own]

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Return 1 with this probability and else 0, of shape (batch, ..)."""
        return (self.uniform(0, 1, *shape) < probability).to(self.dtype)


@torch.compiler.disable  # type: ignore[untyped-decorator]
@torch.no_grad()
def two_views(x: Tensor, noise: Noise, skip: Collection[str] = ()) -> tuple[Tensor, Tensor]:
    """Return two random views of each sample, by all augmentations of its kind but those in `skip`."""
    names = [name for name in AUGMENTATIONS[x.ndim] if name not in skip]
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    first, second = (_view(wide, names, Draws(wide, noise, view)).to(x.dtype) for view in (1, 2))
    return first, second


def _view(x: Tensor, names: Collection[str], draws: Draws) -> Tensor:
    if x.ndim == 2:
        return _table(x, names, draws)
    if {"crop", "flip", "shift"} & set(names):
        x = _resampled(x, names, draws)
    if "jitter" in names:
        x = _jittered(x, draws)
    if "blur" in names:
        pool = avg_pool2d if x.ndim == 4 else avg_pool3d
        share = _by_sample(draws.uniform(0, 1) * draws.chance(BLURRED), x)
        x = x + share * (pool(x, 3, 1, 1, count_include_pad=False) - x)
    if "noise" in names:
        x = x + _by_sample(draws.uniform(0, VOLUME_NOISE), x) * draws.normal(*x.shape[1:])
    return x * (1 - _box(x, draws)) if "cutout" in names else x


def _table(x: Tensor, names: Collection[str], draws: Draws) -> Tensor:
    """Return rows with noise, and with some features set to their mean, 0."""
    if "noise" in names:
        x = x + TABLE_NOISE * draws.normal(x.shape[1])
    return x * (1 - draws.chance(MASKED, x.shape[1])) if "mask" in names else x


def _resampled(x: Tensor, names: Collection[str], draws: Draws) -> Tensor:
    """Return samples cropped and enlarged again, mirrored and shifted, in one interpolation."""
    axes = x.ndim - 2
    sides, centres = torch.ones((2, len(x), axes), dtype=x.dtype, device=x.device)
    centres = centres - 1
    if "crop" in names:
        sides = _sides_of_images(draws) if axes == 2 else draws.uniform(SIDE, 1, 1).expand(-1, axes)
        centres = (1 - sides) * draws.uniform(-1, 1, axes)
    if "shift" in names:
        centres = centres + draws.uniform(-SHIFT, SHIFT, axes)
    signs = torch.ones_like(sides)
    if "flip" in names:  # left to right: the last axis of images, the first of volumes in RAS
        signs[:, 1 if axes == 2 else 0] -= 2 * draws.chance(0.5)
    # Torch names the axes of a grid from the last to the first.
    matrix = torch.cat([torch.diag_embed((sides * signs).flip(1)), centres.flip(1)[:, :, None]], dim=2)
    grid = affine_grid(matrix, list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def _sides_of_images(draws: Draws) -> Tensor:
    """Return height and width (batch, 2) of crops of random area and shape, in shares of the image."""
    ratio, root = RATIO ** draws.uniform(-0.5, 0.5), draws.uniform(AREA, 1).sqrt()
    return torch.stack([root * ratio, root / ratio], dim=1).clamp(max=1)


def _jittered(x: Tensor, draws: Draws) -> Tensor:
    """Return images with another contrast around their mean, and another brightness."""
    contrast, brightness = (_by_sample(draws.uniform(1 - JITTER, 1 + JITTER), x) for _ in range(2))
    mean = x.mean(dim=tuple(range(1, x.ndim)), keepdim=True)
    return (contrast * (x - mean) + brightness * mean).clamp(0, 1)


def _box(x: Tensor, draws: Draws) -> Tensor:
    """Return 1 in a random box of each volume, and 0 elsewhere, of shape (batch, 1, d, h, w)."""
    inside = torch.ones_like(x[:, :1])
    for axis, n in enumerate(x.shape[2:], start=2):
        position = torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device)
        within = (position - draws.uniform(-1, 1, 1)).abs() < draws.uniform(*CUT, 1)
        inside = inside * within.view(-1, 1, *[n if other == axis else 1 for other in range(2, x.ndim)])
    return inside


def _by_sample(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 1))
