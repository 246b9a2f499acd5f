"""SepCLR (Louiset et al., ICLR 2024): contrastive learning of common and salient codes, without a decoder."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, cat, stack
from torch.nn.functional import normalize

from sepvae.checks import check_choice, check_number
from sepvae.errors import DataError
from sepvae.losses.contrastive import alignment, negative_joint_entropy, salient_uniformity, uniformity
from sepvae.methods.base import Capabilities
from sepvae.methods.vae import NetworkEstimator
from sepvae.networks.autoencoder import Decoder
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.augmentation import AUGMENTATIONS, two_views
from sepvae.training.distributed import all_gather, all_gather_with_grad
from sepvae.training.objective import LatentSample, Objective, Terms


@dataclass(frozen=True)
class SepCLRObjective(Objective):
    """Alignment and uniformity of both spaces, background at s' = 0, and the joint entropy (k-JEM)."""

    uniformity_weight: float
    salient_weight: float
    background_weight: float
    joint_entropy_weight: float
    temperature: float
    skip_augmentations: Sequence[str]

    decoder: ClassVar[Decoder] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("temperature", self.temperature, above=0)
        if not isinstance(self.skip_augmentations, list | tuple):
            raise DataError(f"skip_augmentations: wanted a list of names, got {self.skip_augmentations!r}")
        for name in self.skip_augmentations:
            check_choice("skip_augmentations", name, sorted(set().union(*AUGMENTATIONS.values())))

    def terms(self, model: ContrastiveAutoencoder, sample: LatentSample) -> Terms:
        """Return the terms of two random views; critic and classifiers read the samples' own codes."""
        noise, target, t = sample.noise, sample.y != 0, self.temperature
        views = model.encode(cat(two_views(sample.x, noise, self.skip_augmentations)))
        c, s = normalize(views.common_mean, dim=1).chunk(2), views.salient_mean.chunk(2)
        everyone = all_gather(target, noise.world_size)
        c_all, s_all = ([all_gather_with_grad(code, noise.world_size) for code in of] for of in (c, s))
        pairs = [(c, s * everyone[:, None]) for c, s in zip(c_all, s_all, strict=True)]
        return {
            "common_alignment": (1.0, alignment(c[0], c[1], t)),
            "common_uniformity": (self.uniformity_weight, _mean(uniformity(c, t) for c in c_all)),
            "salient_alignment_target": (self.salient_weight, target * alignment(s[0], s[1], t)),
            "salient_uniformity": (
                self.salient_weight * self.uniformity_weight,
                _mean(salient_uniformity(s, everyone, t) for s in s_all),
            ),
            "salient_alignment_background": (
                self.background_weight,
                ~target * _mean(alignment(code, 0.0, t) for code in s),
            ),
            "joint_entropy": (
                self.joint_entropy_weight,
                _mean(negative_joint_entropy(*pair, t) for pair in pairs),
            ),
        }


def _mean(of_views: Iterable[Tensor]) -> Tensor:
    """Return the mean of a term over both views."""
    return stack(list(of_views)).mean(dim=0)


@dataclass(eq=False, repr=False)
class SepCLR(NetworkEstimator):
    """
    Contrastive learning of common and salient codes (SepCLR): two encoders, and nothing is decoded.

    Two random views of a sample must have the same codes, and different samples different ones: in the common
    space all samples, in the salient space targets. Salient codes of the background must be s' = 0, which
    repels those of targets. A large joint entropy of c and s keeps them apart. Critic and classifiers are
    trained on detached codes of the samples themselves and do not affect the encoders.

    There are no reconstructions, swaps, new samples or maps: these methods raise DataError. Codes have no
    noise; their log-variance is that of 1e-6.

    Parameters
    ----------
    uniformity_weight : float, default=2.0
        Weight of the uniformity of a space, beside a weight of 1 of its alignment.
    salient_weight : float, default=1.0
        Weight of alignment and uniformity in the salient space; that of the common space is 1.
    background_weight : float, default=10.0
        Weight of the distance of background codes from s' = 0.
    joint_entropy_weight : float, default=10.0
        Weight of the joint entropy of c and s, estimated by kernels (k-JEM).
    temperature : float, default=2.0
        Variance of the Gaussian kernel that compares two codes. Common codes are compared by direction only.
    skip_augmentations : sequence of str, default=()
        Augmentations that views do without: of "crop", "flip", "jitter" and "blur" for images; "crop",
        "flip", "shift", "noise", "blur" and "cutout" for volumes; "noise" and "mask" for tables and for
        network `linear`. Skip "flip" for a disease of one side, and whatever else would change what you look
        for.
    network : str or tuple of Module and None, default="auto"
        As in SepVAE, of which the encoder is used; your own is (encoder, None).
    batch_size : int or "auto", default=256
        Samples per batch, as in SepVAE; each code is compared with all others of its batch.

    References
    ----------
    .. [1] R. Louiset, E. Duchesnay, A. Grigis, P. Gori, "Separating common from salient patterns with
       Contrastive Representation Learning", International Conference on Learning Representations, 2024.
    .. [2] T. Wang, P. Isola, "Understanding Contrastive Representation Learning through Alignment and
       Uniformity on the Hypersphere", International Conference on Machine Learning, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 5)), np.repeat(["healthy", "ill"], 30)
    >>> model = SepCLR(common_dim=2, salient_dim=1, max_epochs=1, progress_bar=False).fit(X, y)
    >>> model.transform(X).shape
    (60, 3)
    """

    uniformity_weight: float = 2.0
    salient_weight: float = 1.0
    background_weight: float = 10.0
    joint_entropy_weight: float = 10.0
    temperature: float = 2.0
    skip_augmentations: Sequence[str] = ()
    _: KW_ONLY
    batch_size: int | Literal["auto"] = 256

    capabilities: ClassVar[Capabilities] = Capabilities(decoder=False, epochs=True)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        # The authors' code for digits on photographs; it has other weights for X-rays and fundus images.
        "original": {
            "common_dim": 32,
            "salient_dim": 32,
            "salient_weight": 1000.0,
            "background_weight": 1000.0,
            "temperature": 0.5,
            "learning_rate": 3e-4,
            "batch_size": 512,
            "max_epochs": 250,
        },
    }
    # Without the joint entropy nothing keeps c and s apart.
    ablations: ClassVar[dict[str, dict[str, Any]]] = {"no JEM": {"joint_entropy_weight": 0.0}}

    def objective(self) -> SepCLRObjective:
        """Return the loss of this method with its keywords."""
        return SepCLRObjective.of(self)
