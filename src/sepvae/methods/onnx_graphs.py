"""`write_onnx`: encoders and decoder as ONNX graphs in the units of X, compared with the estimator first."""

import json
import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import sepvae
from sepvae.batch import AnyArray
from sepvae.codes import Codes
from sepvae.data.arrays import ArraySource
from sepvae.errors import DataError, reason_of
from sepvae.files import check_new, whole_folder, write_whole
from sepvae.losses.vae import group_logits
from sepvae.networks.model import with_covariates
from sepvae.process_wide import ignoring

if TYPE_CHECKING:
    from sepvae.methods.base import ContrastiveEstimator
    from sepvae.methods.linear import LinearEstimator

ENCODER, DECODER, ABOUT = "encoder.onnx", "decoder.onnx", "onnx.json"
OUTPUTS = ("common_mean", "common_logvar", "salient_mean", "salient_logvar")
TOLERANCE = 1e-4  # largest difference from the estimator, as a share of the largest value of an output
N_COMPARED = 8  # random samples
INPUT = {
    1: "rows in the units of the fit, columns as in features; NaN is a missing value",
    3: "images of this size in [0, 1]: 8 bits divided by 255",
    4: "volumes on this grid, each of mean 0 and standard deviation 1 within the mask, 0 outside of it",
}


def write_onnx(estimator: "ContrastiveEstimator", folder: Path) -> Path:
    """Write the graphs of a fitted estimator to a new folder, if they compute what it does."""
    check_new(folder, "folder")
    if estimator._adapter.harmonizer_ is not None or estimator._adapter.residualizer_ is not None:
        raise DataError("to_onnx: a graph has no covariates, which harmonise and residualise need")
    estimator = copy(estimator)
    if "accelerator" in estimator.get_params(deep=False):
        estimator.set_params(accelerator="cpu")
    x = _random_samples(estimator)
    codes = estimator.encode(x)
    named = {"x": np.asarray(x)}
    graphs = {ENCODER: _export(EncoderGraph(estimator), named, OUTPUTS)}
    differences = _compare(graphs[ENCODER], named, vars(codes))
    if estimator.capabilities.decoder:
        given = {"common": codes.common_mean, "salient": codes.salient_mean}
        graphs[DECODER] = _export(DecoderGraph(estimator), given, ["x"])
        decoded, scaler = estimator.decode(*given.values()), estimator._adapter.scaler_
        units = 1 if scaler is None else np.where(scaler.kept_, scaler.scale_, 1)
        differences |= _compare(graphs[DECODER], given, {"x": decoded}, units)
    about = _about(estimator, named["x"]) | {"tolerance": TOLERANCE, "largest_differences": differences}
    with whole_folder(folder) as whole:
        for name, graph in graphs.items():
            write_whole(whole / name, graph)
        write_whole(whole / ABOUT, json.dumps(about, indent=2) + "\n")
    return folder


class EncoderGraph(nn.Module):
    """From samples in the units of X to the posterior of both codes."""

    def __init__(self, estimator: "ContrastiveEstimator") -> None:
        super().__init__()
        self.units, self.core = UnitsOfX(estimator), _core(estimator)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return means and log-variances, in the order of `Codes`."""
        seen = self.units(x).to(next(self.core.parameters()).dtype)
        return tuple(vars(self.core.encode(seen)).values())


class DecoderGraph(nn.Module):
    """From codes to samples in the units of X, of an average person if the decoder has covariates."""

    u: Tensor | None

    def __init__(self, estimator: "ContrastiveEstimator") -> None:
        super().__init__()
        self.units, self.core, self.labels = UnitsOfX(estimator), _core(estimator), estimator._labels
        u = estimator._adapter.decoder_covariates(None, 1)
        self.register_buffer("u", None if u is None else torch.from_numpy(u))

    def forward(self, common: Tensor, salient: Tensor) -> Tensor:
        """Return decoded samples, as `decode` of the estimator does."""
        u = None if self.u is None else self.u + 0 * common[:, :1]  # for each sample
        gated: Any = self.labels.gate_salient(salient, self._probabilities)  # type: ignore[arg-type]
        decoded: Tensor = self.units.inverse(self.core.decode(with_covariates(common, u), gated))
        return decoded

    def _probabilities(self, salient: Tensor) -> Tensor:
        classifier = self.core.salient_classifier if self.core.read_out is None else self.core.read_out
        return group_logits(classifier(salient)).softmax(dim=1)


class UnitsOfX(nn.Module):
    """Scaling of tables and principal component scores: from X to what networks see, and back."""

    kept: Tensor
    place_kept: Tensor
    mean: Tensor
    scale: Tensor
    valid: Tensor
    place_valid: Tensor
    score_mean: Tensor
    axes: Tensor
    score_scale: Tensor

    def __init__(self, estimator: "ContrastiveEstimator") -> None:
        super().__init__()
        scaler, scores = estimator._adapter.scaler_, getattr(estimator, "principal_scores_", None)
        self.steps = [name for name, of in (("scaler", scaler), ("scores", scores)) if of is not None]
        self.shape = estimator._adapter.seen_shape
        if scaler is not None:
            self._keep("kept", scaler.kept_)
            self._hold(mean=scaler.mean_, scale=scaler.scale_[scaler.kept_])
        if scores is not None:
            valid = np.ones(self.shape, bool) if scores.valid is None else scores.valid
            self._keep("valid", np.ravel(valid))
            self._hold(score_mean=scores.mean, axes=scores.axes, score_scale=scores.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return samples as networks see them, like `TableScaler` and `PrincipalScores`."""
        if "scaler" in self.steps:
            z = (x.index_select(1, self.kept) - self.mean[self.kept]) / self.scale
            x = torch.where(z.isnan(), 0, z).float()
        if "scores" in self.steps:
            values = x.flatten(1).index_select(1, self.valid)
            x = (values - self.score_mean) @ self.axes.T / self.score_scale
        return x

    def inverse(self, z: Tensor) -> Tensor:
        """Return decoded samples in the units of X."""
        if "scores" in self.steps:
            values = (z * self.score_scale) @ self.axes + self.score_mean
            z = _placed(values, self.place_valid).reshape(-1, *self.shape)
            z = z.clamp(0, 1) if len(self.shape) == 3 else z
        return _placed(z * self.scale, self.place_kept) + self.mean if "scaler" in self.steps else z

    def _hold(self, **arrays: AnyArray) -> None:
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.array(array)))

    def _keep(self, name: str, mask: AnyArray) -> None:
        """Hold the positions of kept values, and for each value its position among them, or the last."""
        kept = np.flatnonzero(mask)
        place = np.full(len(mask), len(kept))
        place[kept] = np.arange(len(kept))
        self._hold(**{name: kept, f"place_{name}": place})


class LinearCore(nn.Module):
    """Encoder and decoder of a linear method, as `ContrastiveAutoencoder` has them."""

    common: Any
    salient: Any

    def __init__(self, estimator: "LinearEstimator") -> None:
        super().__init__()
        center = estimator.center_
        codes = estimator._encode(ArraySource(center[None], np.zeros(1)))  # the log-variances are constant
        self.center = _fixed(center)
        self.logvars = nn.ParameterList(map(_fixed, (codes.common_logvar, codes.salient_logvar)))
        for name in ("common", "salient"):
            axes, scale = getattr(estimator, f"{name}_axes_"), getattr(estimator, f"{name}_scale_")
            divisor = (scale + estimator._noise_var(name) / scale).astype(axes.dtype)
            setattr(self, name, nn.ParameterList(map(_fixed, (axes, scale, divisor))))

    def encode(self, x: Tensor) -> Codes[Tensor]:
        """Return the posterior of both codes."""
        flat = x.flatten(1) - self.center.flatten()
        common, salient = (flat @ axes.T / divisor for axes, _, divisor in (self.common, self.salient))
        of_common, of_salient = self.logvars
        return Codes(common, 0 * common + of_common, salient, 0 * salient + of_salient)  # for each sample

    def decode(self, common: Tensor, salient: Tensor) -> Tensor:
        """Return the mean of p(x | c, s)."""
        of_spaces = zip((common, salient), (self.common, self.salient), strict=True)
        x = sum((code * scale) @ axes for code, (axes, scale, _) in of_spaces)
        decoded: Tensor = (x + self.center.flatten()).reshape(-1, *self.center.shape)
        return decoded.clamp(0, 1) if self.center.ndim == 3 else decoded


def _core(estimator: Any) -> Any:
    """Return encoders and decoder as one module, a copy; raise DataError for methods that have none."""
    if hasattr(estimator, "common_axes_"):
        return LinearCore(estimator).eval()
    if not hasattr(estimator, "module_"):
        raise DataError(f"to_onnx: {type(estimator).__name__} has neither networks nor linear axes")
    return deepcopy(estimator.module_).eval()


def _export(graph: nn.Module, inputs: Mapping[str, AnyArray], outputs: Sequence[str]) -> bytes:
    """Return an ONNX file whose batch axis has any length; raise DataError if torch cannot export it."""
    logger, batch = logging.getLogger("torch.onnx"), torch.export.Dim("batch")
    level = logger.level
    logger.setLevel(logging.ERROR)  # torchvision is not installed, and not needed
    try:
        with ignoring(".*isinstance.treespec, LeafSpec.*", ".*axis name: batch will not be used.*"):
            program = torch.onnx.export(
                graph.eval(),
                tuple(torch.from_numpy(np.array(array[:2])) for array in inputs.values()),
                input_names=[*inputs],
                output_names=[*outputs],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                dynamo=True,
                verbose=False,
            )
        file: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
    except Exception as error:  # torch and protobuf have no common one
        raise DataError(f"to_onnx: the network cannot be exported ({reason_of(error)})") from error
    finally:
        logger.setLevel(level)
    return file


def _compare(
    graph: bytes, inputs: Mapping[str, AnyArray], wanted: Mapping[str, AnyArray], units: AnyArray | int = 1
) -> dict[str, float]:
    """Return the largest difference of each output, relative to its largest value; raise if it is large."""
    from onnxruntime import InferenceSession

    try:
        found = InferenceSession(graph, providers=["CPUExecutionProvider"]).run([*wanted], dict(inputs))
    except Exception as error:  # its exceptions have no public base
        raise DataError(f"to_onnx: onnxruntime cannot run the graph ({reason_of(error)})") from error
    differences = {}
    for (name, values), output in zip(wanted.items(), found, strict=True):
        largest = max(np.nanmax(abs(values / units)), 1e-12)
        same = output.shape == values.shape and np.array_equal(np.isnan(output), np.isnan(values))
        differences[name] = float(np.nanmax(abs(output - values) / units) / largest) if same else np.inf
        if not differences[name] <= TOLERANCE:  # also if it is NaN
            raise DataError(
                f"to_onnx: {name} differs from that of the model by {differences[name]:.1e} of its largest "
                f"value, wanted at most {TOLERANCE:g}; nothing was written"
            )
    return differences


def _random_samples(estimator: "ContrastiveEstimator") -> Any:
    """Return samples like those of the fit: a table with a gap, images in [0, 1], or volumes."""
    rng, shape, adapter = np.random.default_rng(0), estimator._adapter.sample_shape_, estimator._adapter
    x = rng.normal(size=(N_COMPARED, *shape))
    if adapter.scaler_ is not None:
        x = x * np.where(adapter.scaler_.kept_, adapter.scaler_.scale_, 0) + adapter.scaler_.mean_
        x[0, 0] = np.nan
        names = getattr(adapter, "feature_names_in_", None)
        return x if names is None else pd.DataFrame(x, columns=names)
    if len(shape) == 3:
        return rng.random(size=x.shape, dtype=np.float32)
    return (x * adapter._valid_mask).astype(np.float32)


def _about(estimator: "ContrastiveEstimator", x: AnyArray) -> dict[str, Any]:
    """Return what a user of the graphs must know: the input, and what is not in them."""
    arrays, about = estimator._adapter.state()
    grid = None if about.get("grid") is None else about["grid"] | {"affine": arrays["grid.affine"].tolist()}
    return {
        "sepvae": sepvae.__version__,
        "method": type(estimator).__name__,
        "x": {"dtype": str(x.dtype), "shape": ["batch", *x.shape[1:]], "is": INPUT[x.ndim - 1]},
        "features": about["features"],
        "grid": grid,
        "background": str(estimator.background_),
        "without_salient_part": "decode the common means with salient zeros",
        "decoder_covariates": "those of an average person" if about.get("conditions") else None,
    }


def _fixed(array: AnyArray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(array)), requires_grad=False)


def _placed(values: Tensor, place: Tensor) -> Tensor:
    """Return values at their places, and 0 elsewhere."""
    return torch.cat([values, torch.zeros_like(values[:, :1])], dim=1).index_select(1, place)
