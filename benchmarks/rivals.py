"""References for the speed of SepVAE: Algorithm 1 to the letter, another library, and the machine's bound."""

import logging
import os
import tempfile
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from turns import LEAST_SECONDS, Encode, Row, Turns, as_float, make_data

from sepvae.losses.vae import (
    GroupPrior,
    critic_loss,
    gaussian_kl,
    group_cross_entropy,
    mutual_information,
    squared_error,
    standard_kl,
)
from sepvae.methods import SepVAE
from sepvae.networks.autoencoder import ContrastiveAutoencoder, build_autoencoder

SIDE = 2048  # of the matrices whose product is the bound

# Algorithm 1, word by word


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Samples and groups, one at a time."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_float(self.x[index]), int(self.y[index])


def literal(row: Row, turns: Turns) -> Encode:
    """Algorithm 1 as the authors' release has it: two full passes a step, plain loaders and optimizers."""
    model, weights = _network(row)
    data = OneByOne(*make_data(row))
    loader = DataLoader(data, row.batch, shuffle=True, drop_last=True, num_workers=0)
    own = {id(parameter) for parameter in model.critic.parameters()}
    critic_optimizer = torch.optim.Adam(model.critic.parameters(), weights["learning_rate"])
    rest = [parameter for parameter in model.parameters() if id(parameter) not in own]
    model_optimizer = torch.optim.Adam(rest, weights["learning_rate"])
    for _ in range(turns.epochs):
        turns.begin()
        for x, y in loader:
            critic_loss, _ = _forward(model, x, y, weights)
            critic_optimizer.zero_grad()
            critic_loss.backward()  # through the encoders too, which do not step
            critic_optimizer.step()

            _, loss = _forward(model, x, y, weights)
            model_optimizer.zero_grad()
            loss.backward()
            model_optimizer.step()
            turns.stepped()
        turns.end(row.samples)

    def encode() -> Tensor:
        model.eval()
        with torch.no_grad():
            return torch.cat([model.encode(x).common_mean for x, _ in DataLoader(data, row.batch)])

    return encode


def _network(row: Row) -> tuple[ContrastiveAutoencoder, dict[str, Any]]:
    """SepVAE's network with torch's usual memory format, and the paper's weights."""
    if row.method != "SepVAE":
        raise NotImplementedError(f"Algorithm 1 is SepVAE's, not that of {row.method}")
    weights = SepVAE.presets["paper"]
    torch.manual_seed(0)
    model = build_autoencoder(row.network, row.shape, weights["common_dim"], weights["salient_dim"], 2)
    return model.to(memory_format=torch.contiguous_format), weights


def _forward(
    model: ContrastiveAutoencoder, x: Tensor, y: Tensor, weights: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Encode, sample, decode; the critic's loss and the model's, Eq. 2."""
    codes = model.encode(x)
    frozen = torch.full_like(codes.salient_logvar, float(np.log(weights["background_posterior_var"])))
    salient_logvar = torch.where(y[:, None] == 0, frozen, codes.salient_logvar)
    c = codes.common_mean + (0.5 * codes.common_logvar).exp() * torch.randn_like(codes.common_mean)
    s = codes.salient_mean + (0.5 * salient_logvar).exp() * torch.randn_like(codes.salient_mean)
    prior = GroupPrior(weights["background_prior_var"])
    salient_kl = gaussian_kl(codes.salient_mean, salient_logvar, prior.mean(y), prior.variance(y))
    joint = model.critic(c, s)
    loss = (
        squared_error(x, model.decode(c, prior.salient_gate(y) * s))
        + weights["beta_common"] * standard_kl(codes.common_mean, codes.common_logvar)
        + weights["beta_salient"] * salient_kl
        + weights["gamma"] * group_cross_entropy(model.salient_classifier(s), y)
        + weights["kappa"] * mutual_information(joint)
    )
    return critic_loss(joint, model.critic(c, s.roll(1, 0))).mean(), loss.mean()


# another library


def pythae(row: Row, turns: Turns) -> Encode:
    """Pythae's FactorVAE; its `embed` gives half of the codes only, so it encodes batch by batch."""
    os.environ["TQDM_DISABLE"] = "1"
    logging.disable(logging.INFO)
    from pythae.data.datasets import BaseDataset
    from pythae.models import FactorVAE, FactorVAEConfig
    from pythae.trainers import AdversarialTrainer, AdversarialTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Epochs(TrainingCallback):
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            turns.begin()

        def on_train_step_end(self, *_: Any, **__: Any) -> None:
            turns.stepped()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            turns.end(row.samples)

    x, y = make_data(row)
    encoder, decoder, discriminator, latent_dim, rate = _pythae_parts(row)
    config = FactorVAEConfig(input_dim=row.shape, latent_dim=latent_dim, reconstruction_loss="mse")
    model = FactorVAE(config, encoder, decoder)
    model.set_discriminator(discriminator)
    data = BaseDataset(as_float(x), torch.from_numpy(y))
    with tempfile.TemporaryDirectory() as folder:
        options = AdversarialTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=row.batch,
            num_epochs=turns.epochs,
            autoencoder_learning_rate=rate,
            discriminator_learning_rate=rate,
            no_cuda=True,
        )
        AdversarialTrainer(model, data, training_config=options, callbacks=[Epochs()]).train()

    def encode() -> Tensor:
        model.eval()
        with torch.no_grad():
            return torch.cat([model.encoder(part).embedding for part in data.data.split(row.batch)])

    return encode


def _pythae_parts(row: Row) -> tuple[nn.Module, nn.Module, nn.Module, int, float]:
    """One encoder of all latent dimensions, the decoder, a critic of SepVAE's size, in its classes."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder

    from sepvae.networks.model import GaussianEncoder

    class Encoder(BaseEncoder):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> ModelOutput:
            mean, logvar = self.inner(x)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.inner(z))

    class Discriminator(BaseDiscriminator):
        def __init__(self, width: int) -> None:
            super().__init__()
            hidden = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
            self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

        def forward(self, z: Tensor) -> Tensor:
            return self.layers(z)

    model, weights = _network(row)
    latent_dim = weights["common_dim"] + weights["salient_dim"]
    one: GaussianEncoder = model.common_encoder
    head = GaussianEncoder(one.backbone, one.mean.in_features, latent_dim)
    return (
        Encoder(head),
        Decoder(model.decoder),
        Discriminator(latent_dim),
        latent_dim,
        weights["learning_rate"],
    )


# what the machine allows


def bound(row: Row, turns: Turns) -> None:
    """Images/s if all ran as fast as a product of two matrices, with one pass through the encoders."""
    model, weights = _network(row)
    x, y = make_data(row)
    few, groups = as_float(x[:8]), torch.from_numpy(y[:8])
    for flops in (_step_flops(model, few, groups, weights), _encoding_flops(model, few)):
        for _ in range(turns.epochs):
            turns.begin()
            turns.end(_flops_done(turns) / flops)


def _step_flops(model: ContrastiveAutoencoder, x: Tensor, y: Tensor, weights: dict[str, Any]) -> float:
    """Operations of a training step for an image: one pass through the networks, and backward."""
    with FlopCounterMode(display=False) as counter:
        _, loss = _forward(model, x, y, weights)
        loss.backward()
    return counter.get_total_flops() / len(x)


def _encoding_flops(model: ContrastiveAutoencoder, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode(x)
    return counter.get_total_flops() / len(x)


def _flops_done(turns: Turns) -> float:
    """Multiply matrices for as long as a turn takes at least."""
    matrix, products = torch.ones(SIDE, SIDE), 0
    while products == 0 or time.perf_counter() - turns.begun < LEAST_SECONDS:
        matrix @ matrix
        products += 1
    return float(products * 2 * SIDE**3)
