"""Every shipped method in small: its own config, narrow networks."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, ListConfig, OmegaConf

from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.setup import make
from toonlab.engine.method import Images, ToonMethod

SMALL: dict[str, Any] = {"width": 4, "blocks": 1, "segments": 16, "workers": 1}
"""What a network or a representation gets in place of the config's value, where it has such a setting."""

LEARNING = sorted(path.stem for path in (CONF / "method").glob("*.yaml") if not path.stem.startswith("flow"))
OTHER_NAMES = {"cyclegan_v1": "gan_v1", "cyclegan_v2": "gan_v2"}
DISTINCT = sorted(set(LEARNING) - OTHER_NAMES.keys())
"""The methods that learn, each once."""


def shipped(name: str, *overrides: str, **small: Any) -> ToonMethod:
    """Build `method=name`, narrow, with `iterations=100`; `small` goes wherever the config has such keys."""
    return copy.deepcopy(_built(name, overrides, tuple(sorted(small.items()))))


@cache
def _built(name: str, overrides: tuple[str, ...], small: tuple[tuple[str, Any], ...]) -> ToonMethod:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"method={name}", "iterations=100", *overrides])
    OmegaConf.set_struct(cfg, False)
    shrink(cfg, SMALL | dict(small))
    torch.manual_seed(0)
    method = make(cfg, "method")
    assert isinstance(method, ToonMethod)
    return method


def shrink(node: Any, small: dict[str, Any]) -> None:
    """Put the values of `small` wherever their names are set, to the last corner."""
    if isinstance(node, DictConfig):
        for key in list(node):
            if key in small and not OmegaConf.is_interpolation(node, key) and node[key] is not None:
                node[key] = small[key]
            elif not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
                shrink(node[key], small)
    elif isinstance(node, ListConfig):
        for each in node:
            shrink(each, small)


def batch_for(method: ToonMethod, seed: int = 0, images: int = 2, size: int = 32) -> Images:
    """Smooth random pictures: every view that the method asks for; of the domain whose turn `seed` is."""
    rng = torch.Generator().manual_seed(seed)
    names = dict.fromkeys(("photo", "cartoon", "blurred", "drawn", *method.extras))
    names.pop("domain", None)
    coarse = {name: torch.rand(images, 3, 8, 8, generator=rng) * 2 - 1 for name in names}
    batch = {
        name: torch.nn.functional.interpolate(x, size=size, mode="bilinear") for name, x in coarse.items()
    }
    if "domain" in method.extras:
        batch["domain"] = torch.full((images,), seed % len(method.trained))
    return batch


def batches_for(method: ToonMethod) -> list[Images]:
    """A batch for each domain that the method learns; one if it knows none."""
    return [batch_for(method, seed=seed) for seed in range(len(method.trained) or 1)]


def judge_parameters(method: ToonMethod) -> list[torch.nn.Parameter]:
    return [p for judge in method.discriminators() for p in judge.parameters()]


def painter_parameters(method: ToonMethod) -> list[torch.nn.Parameter]:
    return [p for painter in method.generators() for p in painter.parameters()]
