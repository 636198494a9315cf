"""Checkpoints of a narrow adapted generator with random styles, without training one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from toonlab.engine.checkpoint import write_imported
from toonlab.networks.adapters import Adapted
from toonlab.networks.resnet import ResnetGenerator

NODE = {"_target_": "toonlab.networks.resnet.ResnetGenerator", "width": 4, "blocks": 1}


def styled(*domains: str, kind: str = "parallel", seed: int = 0) -> Adapted:
    """A network whose styles are random; those of one name, kind and seed are the same."""
    torch.manual_seed(seed)
    trunk = ResnetGenerator(width=4, blocks=1)
    for parameter in trunk.parameters():
        parameter.data *= 5  # at its start a generator paints grey
    network = Adapted(trunk=trunk, domains=domains, kind=kind, rank=2)
    for domain in domains:
        rng = torch.Generator().manual_seed(sum(domain.encode()))
        for parameter in network.style(domain).parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return network


def node(network: Adapted) -> dict[str, Any]:
    return {
        "_target_": "toonlab.networks.adapters.Adapted",
        "trunk": NODE,
        "domains": network.domains,
        "kind": network.kind,
        "rank": network.rank,
    }


def checkpoint(path: Path, network: Adapted, *, licence: str | None = None) -> Path:
    """Write `network` as a run's last weights, and with all styles' norms one higher as its EMA weights."""
    average = copy.deepcopy(network)
    for name, parameter in average.styles.named_parameters():
        if name.endswith("bias"):
            parameter.data += 1
    origin = {"file": "x", "sha256": "0" * 64, "kind": "trained", "channels": "rgb", "licence": licence}
    config = {"method": {"generator": node(network)}, "name": "adapted_cartoongan"}
    write_imported(path, {}, painting={}, config=config, origin=origin, iteration=7)
    whole = torch.load(path, weights_only=True)
    for prefix, each in {"generator.": network, "ema.average.": average}.items():
        whole["state_dict"] |= {f"{prefix}{name}": value for name, value in each.state_dict().items()}
    if licence is None:
        whole["toonlab"]["origin"] = None
    torch.save(whole, path)
    return path
