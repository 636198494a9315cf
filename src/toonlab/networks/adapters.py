"""One trunk, many styles: residual adapters (Rebuffi et al. 2017 and 2018) for any convolutional network.

A style never runs beside its trunk: it says which of the trunk's tensors are other ones for its domain,
and the trunk runs with those. A parallel adapter `W * x + A * x` is one convolution whose middle tap is
`W + A`, so a domain costs no time, in training either; and folding is writing down what runs anyway.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from toonlab.errors import check_choice, did_you_mean
from toonlab.networks.layers import check_counts
from toonlab.networks.mixing import check_shares, mixed
from toonlab.networks.styles import Series, Style, digest, leaf, put, redrawn, sites, size, take

Kind = Literal["parallel", "series", "low_rank", "norm"]
Where = Literal["residual", "inner", "all"]


class Adapted(nn.Module):
    """A trunk that runs in one of several domains: `network(images, domain)`.

    Per domain: an adapter for each convolution, all norms (affine parameters and statistics), and whatever
    `own` names. Adapters start at zero and norms as the trunk's, so every domain starts as the trunk. Taken
    over from the trunk, those tensors are no parameters of it any more.

    Args:
        trunk: any network of convolutions; it is taken over.
        domains: names, letters, digits, `-` and `_`.
        kind: `parallel` adds a 1x1 convolution of the input (2018); `series` adds a normed 1x1 convolution of
            the output (2017), for trunks that were trained with it; `low_rank` is parallel through `rank`
            channels; `norm` has none and is conditional instance norm (Dumoulin et al. 2017).
        where: 3x3 convolutions that get one: those of `residual` blocks; `inner`, all but the first and
            `own`; `all` but `own`.
        rank: of `low_rank`.
        own: modules that each domain has for itself, a discriminator's last convolution for instance.

    Raises:
        ValueError: a name is not allowed or comes twice, or the trunk has nothing to adapt there.
    """

    def __init__(
        self,
        *,
        trunk: nn.Module,
        domains: Sequence[str],
        kind: Kind = "parallel",
        where: Where = "residual",
        rank: int = 32,
        own: Sequence[str] = (),
    ) -> None:
        super().__init__()
        check_choice("kind", kind, ["parallel", "series", "low_rank", "norm"])
        check_choice("where", where, ["residual", "inner", "all"])
        check_counts(rank=rank)
        self.trunk, self.kind, self.where, self.rank, self.own = trunk, kind, where, rank, tuple(own)
        self.multiple = getattr(trunk, "multiple", 1)
        self.plain_parameters = sum(p.numel() for p in trunk.parameters())
        self.sites = [] if kind == "norm" else sites(trunk, where, self.own)
        if kind == "series":
            for site in self.sites:
                parent, _, name = site.rpartition(".")
                setattr(
                    trunk.get_submodule(parent), name, Series(cast("nn.Conv2d", trunk.get_submodule(site)))
                )
        self._start = take(trunk, self.own)
        self.styles = nn.ModuleDict()
        for domain in domains:
            self.add(domain)
        self.register_load_state_dict_post_hook(_forgive_counters)  # type: ignore[no-untyped-call]

    @property
    def domains(self) -> list[str]:
        """The names of the styles it holds, in the order in which they came."""
        return [key.removeprefix("@") for key in self.styles]

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """Run the trunk as `domain` wants it."""
        result: Tensor = functional_call(self.trunk, self._tensors(self._parts(domain)), (images,))
        return result

    def style(self, domain: str) -> Style:
        """Return what one domain has for itself.

        Raises:
            ValueError: there is no such domain.
        """
        if f"@{domain}" not in self.styles:
            hint = did_you_mean(domain, self.domains)
            raise ValueError(f"domain {domain!r}: not in this network{hint}; it holds {self.domains}")
        return cast("Style", self.styles[f"@{domain}"])

    def add(self, domain: str, *, like: str | None = None, fresh_own: bool = False) -> None:
        """Add a domain: adapters at zero, all else as in `like`; as in the trunk if it is the first.

        Args:
            domain: its name.
            like: a domain that is held already; by default the first.
            fresh_own: start the modules named by `own` from random weights instead.
        """
        self._check_new(domain)
        like = like or next(iter(self.domains), None)
        start = self._start if like is None else self._parts(like)
        if fresh_own:
            start = {**start, **redrawn(self.trunk, self.own)}
        style = Style({name: start[name].detach().clone() for name in self._start})
        for site in self.sites:
            if self.kind == "series":
                style.get_parameter(f"{site}.adapter".replace(".", "/")).data.zero_()
            else:
                weight = self.trunk.get_parameter(f"{site}.weight")
                style.adapt(site, weight, self.rank if self.kind == "low_rank" else None)
        self.styles[f"@{domain}"] = style

    def install(self, domain: str, tensors: Mapping[str, Tensor]) -> None:
        """Add a domain whose tensors are known, as `Style.tensors` or `mix` gives them.

        Raises:
            ValueError: the name is not allowed or held already, or the tensors do not fit the trunk.
        """
        self._check_new(domain)
        if missing := sorted(self._start.keys() - tensors.keys()):
            raise ValueError(f"{len(missing)} tensors are missing, {missing[0]} first")
        style = Style({name: tensors[name].detach().clone() for name in self._start})
        style.load_adapters({name: v for name, v in tensors.items() if name not in self._start}, self.trunk)
        for name, value in self._start.items():
            if tensors[name].shape != value.shape:
                raise ValueError(
                    f"{name} is {size(tensors[name].shape)}; this trunk wants {size(value.shape)}"
                )
        self.styles[f"@{domain}"] = style

    def keep(self, domains: Sequence[str]) -> None:
        """Forget all other domains.

        Raises:
            ValueError: one is not held.
        """
        self.styles = nn.ModuleDict({f"@{domain}": self.style(domain) for domain in domains})

    def freeze_all_but(self, domain: str) -> None:
        """Let training change nothing but one domain's own tensors."""
        chosen = self.style(domain)
        self.requires_grad_(False)
        chosen.requires_grad_(True)

    def fold(self, style: str | Mapping[str, float]) -> nn.Module:
        """Return the trunk as a plain network of one style; of a mixture if `style` gives shares.

        The result takes images alone. With `series` it holds `Series` modules; else it is of the trunk's own
        class, with nothing added.

        Raises:
            ValueError: see `mix`.
        """
        parts = self._parts(style) if isinstance(style, str) else self.mix(style)
        plain = copy.deepcopy(self.trunk)
        put(plain, self._tensors(parts))
        return plain

    def mix(self, shares: Mapping[str, float]) -> dict[str, Tensor]:
        """Interpolate styles, see `mixing.mixed`.

        Raises:
            ValueError: the shares are not in [0, 1] or do not add up to 1, or a domain is not held.
        """
        check_shares(shares)
        return mixed([(self._parts(domain), share) for domain, share in shares.items()])

    def trunk_hash(self) -> str:
        """Return a sha256 of what all domains share: names, shapes and values."""
        return digest(self.trunk.state_dict())

    def share(self, domain: str) -> float:
        """Return a domain's parameters as a share of those of the plain trunk."""
        return sum(p.numel() for p in self.style(domain).parameters()) / self.plain_parameters

    def _check_new(self, domain: str) -> None:
        if not isinstance(domain, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", domain):
            raise ValueError(f"domain {domain!r}: a name of letters, digits, - and _, no - or _ first")
        if domain in self.domains:
            raise ValueError(f"domain {domain!r} is in this network already; it holds {self.domains}")

    def _parts(self, domain: str) -> dict[str, Tensor]:
        return self.style(domain).parts()

    def _tensors(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the trunk's tensors that are other ones in this style, by their names."""
        tensors = {}
        for name, value in parts.items():
            if name in self._start:
                tensors[name] = value
                continue
            place = f"{name.rpartition('.')[0]}.weight"
            weight = self.trunk.get_parameter(place)
            tensors[place] = weight + F.pad(value[..., None, None], [weight.shape[-1] // 2] * 4)
        return tensors


def _forgive_counters(_: nn.Module, keys: Any) -> None:
    # A BatchNorm invents this entry when a state comes without torch's versions, as from a checkpoint; its
    # place in the trunk has none.
    keys.unexpected_keys[:] = [key for key in keys.unexpected_keys if leaf(key) != "num_batches_tracked"]
