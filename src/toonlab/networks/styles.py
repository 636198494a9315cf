"""What one domain has for itself, and where in a trunk it goes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.layers import Residual, instance_norm

STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
NORMS = (nn.InstanceNorm2d, nn.GroupNorm, nn.BatchNorm2d)


class Style(nn.Module):
    """The tensors of a trunk that are other ones in one domain, by their names there.

    Args:
        taken: the replaced tensors' first values; floating ones are parameters but for norms' statistics.
    """

    def __init__(self, taken: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, value in taken.items():
            if leaf(name) in STATISTICS:
                self.register_buffer(_key(name), value)
            else:
                self.register_parameter(_key(name), nn.Parameter(value))

    def adapt(self, site: str, weight: Tensor, rank: int | None) -> None:
        """Add a 1x1 adapter, at zero, for the convolution at `site` whose `weight` is `(O, I, k, k)`."""
        outputs, inputs = weight.shape[:2]
        if rank is None:
            self.register_parameter(_key(f"{site}.adapter"), nn.Parameter(weight.new_zeros(outputs, inputs)))
            return
        down = weight.new_empty(rank, inputs)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))  # torch's own for convolutions; `up` is what is zero
        self.register_parameter(_key(f"{site}.down"), nn.Parameter(down))
        self.register_parameter(_key(f"{site}.up"), nn.Parameter(weight.new_zeros(outputs, rank)))

    def tensors(self) -> dict[str, Tensor]:
        """Return all it holds by its place in the trunk: replaced tensors, `SITE.adapter`, `.down`, `.up`."""
        return {_name(key): value for key, value in (*self.named_parameters(), *self.named_buffers())}

    def load_adapters(self, tensors: Mapping[str, Tensor], trunk: nn.Module) -> None:
        """Take adapters from elsewhere, named as `tensors` names them.

        Raises:
            ValueError: one is not of a 3x3 convolution of `trunk`, or not of its shape.
        """
        homes = convolutions(trunk)
        for name, value in tensors.items():
            site, _, last = name.rpartition(".")
            if site not in homes or last not in ("adapter", "down", "up"):
                raise ValueError(f"{name} has no place in this trunk")
            outputs, inputs = homes[site].weight.shape[:2]
            rank = 0
            if last != "adapter":
                if not {f"{site}.down", f"{site}.up"} <= tensors.keys():
                    raise ValueError(f"{name} is one of two matrices, and the other is missing")
                rank = tensors[f"{site}.down"].shape[0]
            wanted = {"adapter": (outputs, inputs), "down": (rank, inputs), "up": (outputs, rank)}[last]
            if tuple(value.shape) != wanted:
                raise ValueError(f"{name} is {size(value.shape)}; this trunk wants {size(wanted)}")
            self.register_parameter(_key(name), nn.Parameter(value.detach().clone()))

    def parts(self) -> dict[str, Tensor]:
        """Return replaced tensors by name, and `SITE.adapter`, `(O, I)`, for each adapted convolution."""
        tensors = self.tensors()
        for name in [name for name in tensors if leaf(name) == "up"]:
            site = name.rpartition(".")[0]
            tensors[f"{site}.adapter"] = tensors.pop(name) @ tensors.pop(f"{site}.down")
        return tensors


class Series(nn.Module):
    """A convolution with a series adapter behind it: `v = W * x`, then `v + A * IN(v)` (Rebuffi 2017, eq. 1).

    What the adapter holds here is a place for a style's tensors; as it is, it adds nothing.
    """

    adapter: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        channels = conv.out_channels
        self.register_parameter("adapter", nn.Parameter(conv.weight.new_zeros(channels, channels)))
        # A module, not a function: painting in tiles looks for norms, to hold their statistics.
        self.norm = instance_norm(channels).to(conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        v: Tensor = self.conv(x)
        return v + F.conv2d(self.norm(v), self.adapter[..., None, None])


def sites(trunk: nn.Module, where: str, own: Sequence[str]) -> list[str]:
    """Return the names of the 3x3 convolutions of `trunk` that get an adapter.

    Raises:
        ValueError: there is none, or one's weight is computed from others (spectral norm).
    """
    found = [name for name in convolutions(trunk) if not _within(name, own)]
    if where == "residual":
        blocks = [name for name, module in trunk.named_modules() if isinstance(module, Residual)]
        found = [name for name in found if _within(name, blocks)]
    elif where == "inner":
        found = found[1:]
    if not found:
        raise ValueError(f"where={where}: {type(trunk).__name__} has no 3x3 convolution there; try where=all")
    for name in found:
        if hasattr(trunk.get_submodule(name), "parametrizations"):
            raise ValueError(
                f"{type(trunk).__name__}: {name} is spectrally normalised; an adapter would undo that"
            )
    return found


def convolutions(trunk: nn.Module) -> dict[str, nn.Conv2d]:
    """Return all that could get an adapter, by name: 3x3 convolutions that are not of groups."""
    return {
        name: module
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.groups == 1
    }


def take(trunk: nn.Module, own: Sequence[str]) -> dict[str, Tensor]:
    """Take from a trunk what styles replace, and return it: norms, series adapters, and the modules of `own`.

    In its place stay buffers that no checkpoint holds: names that a style's tensors are put at.

    Raises:
        ValueError: `own` names no module of the trunk.
    """
    modules = dict(trunk.named_modules())
    if missing := [name for name in own if name not in modules]:
        raise ValueError(f"own={missing[0]}: {type(trunk).__name__} has no such module")
    taken = {}
    for path, module in modules.items():
        names = [name for name, _ in (*module.named_parameters(recurse=False), *_buffers(module))]
        if isinstance(module, Series):
            names = ["adapter"]
        elif not isinstance(module, NORMS) and not _within(path, own):
            continue
        for name in names:
            value = getattr(module, name).detach()
            taken[f"{path}.{name}"] = value.clone()
            delattr(module, name)
            module.register_buffer(name, value, persistent=False)
    return taken


def put(plain: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make `tensors` a network's own again: parameters, and buffers for norms' statistics."""
    for name, value in tensors.items():
        path, _, last = name.rpartition(".")
        module, own = plain.get_submodule(path), value.detach().clone()
        delattr(module, last)
        if last in STATISTICS:
            module.register_buffer(last, own)
        else:
            module.register_parameter(last, nn.Parameter(own))


def redrawn(trunk: nn.Module, own: Sequence[str]) -> dict[str, Tensor]:
    """Return random weights for the modules of `own`, by their names in `trunk`."""
    tensors = {}
    for path in own:
        module = trunk.get_submodule(path)
        for name, value in (*module.named_buffers(), *module.named_parameters()):
            fresh = torch.zeros_like(value)
            tensors[f"{path}.{name}"] = fresh if leaf(name) == "bias" else nn.init.normal_(fresh, 0.0, 0.02)
    return tensors


def digest(tensors: Mapping[str, Tensor], said: str = "") -> str:
    """Return a sha256 of names, types, shapes and values, and of what else is `said`."""
    sha = hashlib.sha256(said.encode())
    for name, value in sorted(tensors.items()):
        sha.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        plain = value.detach().cpu().flatten()
        if plain.is_floating_point():
            plain = plain + 0.0  # -0 is 0: an average of equal weights may turn one into the other
        sha.update(plain.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def leaf(name: str) -> str:
    """Return a tensor's name without its module's."""
    return name.rpartition(".")[2]


def size(shape: Iterable[int]) -> str:
    """Write a shape as 64x64x3x3."""
    return "x".join(map(str, shape)) or "a number"


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_buffers(recurse=False))


def _within(name: str, modules: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _key(name: str) -> str:
    return name.replace(".", "/")  # a parameter's own name must not hold dots


def _name(key: str) -> str:
    return key.replace("/", ".")
