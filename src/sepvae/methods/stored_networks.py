"""Expected shapes of the weights of networks in a model file; networks of this library are not allocated."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from sepvae.batch import AnyArray
from sepvae.errors import ModelFileError
from sepvae.model_files.schema import Shapes, check_arrays
from sepvae.networks.model import Critic, ReadOut, SalientClassifier
from sepvae.training.runtime import SeededInit


def check_heads(arrays: Mapping[str, AnyArray], dims: Mapping[str, int], critic_layers: int) -> None:
    """Raise ModelFileError unless the weights of the small networks fit common and salient dimensions."""
    for space, dim in dims.items():
        name = f"{space}_encoder.mean.weight"
        if name not in arrays or arrays[name].ndim != 2 or len(arrays[name]) != dim:
            raise ModelFileError(f"{name}: wanted {space}_dim, {dim}, rows")
    with torch.device("meta"):
        heads = nn.ModuleDict({"critic": Critic(dims["common"], dims["salient"], critic_layers)})
        heads["salient_classifier"] = SalientClassifier(dims["salient"], 2)
        if any(name.startswith("read_out.") for name in arrays):
            heads["read_out"] = ReadOut(dims["salient"], 2)
    of_heads = {name: array for name, array in arrays.items() if name.startswith(tuple(heads))}
    check_arrays(of_heads, _shapes(heads))


def network_shapes(build: Callable[[], nn.Module], *, allocate: bool) -> Shapes:
    """Return the shapes of a network's weights; the user's modules may not run on torch's meta device."""
    with SeededInit(0), torch.device("cpu" if allocate else "meta"):
        return _shapes(build())


def _shapes(module: nn.Module) -> Shapes:
    """Return the shape and dtype kind of each tensor in the state of a module."""
    state = module.state_dict().items()
    kinds = {
        tensor.dtype: torch.empty(0, dtype=tensor.dtype, device="cpu").numpy().dtype.kind
        for _, tensor in state
    }
    return {name: (tuple(tensor.shape), kinds[tensor.dtype]) for name, tensor in state}
