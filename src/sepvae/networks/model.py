"""Two encoders, one decoder, salient classifier, read-out and critic in one module."""

import torch
from torch import Tensor, nn

from sepvae.codes import Codes


class ContrastiveAutoencoder(nn.Module):
    """
    All networks: encoders of c and s, decoder, salient classifier f_xi and critic D_lambda (Fig. 1).

    `read_out`, from salient means to logits, is None in older models. `valid_mask` is None or a mask of the
    shape of a sample; decoded samples are 0 outside of it.
    """

    valid_mask: Tensor | None

    def __init__(
        self,
        common_encoder: nn.Module,
        salient_encoder: nn.Module,
        decoder: nn.Module,
        salient_classifier: nn.Module,
        critic: nn.Module,
        read_out: nn.Module | None = None,
        valid_mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.common_encoder = common_encoder
        self.salient_encoder = salient_encoder
        self.decoder = decoder
        self.salient_classifier = salient_classifier
        self.critic = critic
        self.read_out = read_out
        # Model files store the mask with the grid.
        self.register_buffer("valid_mask", valid_mask, persistent=False)
        self._n_valid = 0 if valid_mask is None else int(valid_mask.sum())

    def encode(self, x: Tensor) -> Codes[Tensor]:
        """Return the posterior of both codes; labels are not needed."""
        return Codes(*self.common_encoder(x), *self.salient_encoder(x))

    def decode(self, common: Tensor, salient: Tensor) -> Tensor:
        """Return the mean of p(x | c, s); s = 0 decodes a sample without salient part."""
        samples: Tensor = self.decoder(torch.cat([common, salient], dim=1))
        return samples if self.valid_mask is None else samples * self.valid_mask

    def n_observed(self, x: Tensor) -> int:
        """Return d, the dimension of p(x | c, s): the number of pixels, features or valid voxels."""
        return x[0].numel() if self.valid_mask is None else self._n_valid
