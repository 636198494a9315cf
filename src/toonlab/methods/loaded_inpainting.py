"""A trained `LatentInpainting` for use, or one around any generator that has a latent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from toonlab.engine.checkpoint import build, load_generator, read
from toonlab.errors import UsageError
from toonlab.losses import adversarial
from toonlab.methods.latent_inpainting import LatentInpainting
from toonlab.methods.latent_search import LatentSearch
from toonlab.methods.learned_completion import LearnedCompletion
from toonlab.networks.frozen import Features
from toonlab.representations.inpainting.draws import HoleDraws

Node = Mapping[str, Any]

_OURS = f"{LatentInpainting.__module__}.{LatentInpainting.__name__}"


def load_inpainting(
    path: Path, *, settings: Node | None = None, completion: str | None = None
) -> LatentInpainting:
    """Rebuild what completes, in evaluation mode; its bank, if it searches, is the caller's to set.

    Args:
        path: a run of `latent_inpainting`, or any checkpoint whose generator has a latent.
        settings: the method's config, for checkpoints of other methods: they know only to search.
        completion: `learned` or `search`; None takes the run's own, and `search` with other methods.

    Raises:
        UsageError: as `engine.checkpoint.read`; or the checkpoint cannot complete, or not in that way.
    """
    checkpoint = read(path)
    node: Node = checkpoint["toonlab"]["config"]["method"]
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    if node.get("_target_") != _OURS:
        return _around(path, node, state, settings, completion or "search")
    way = completion or node["completion"]
    if way == "learned" != node["completion"]:
        raise UsageError(f"ckpt={path}: searches, and has no network that completes; use completion=search")
    method = _build(node, build(node["generator"]), build(node["discriminator"]), way)
    left_out = "completion." if way == "search" else "\0"
    kept = {name: value for name, value in state.items() if not name.startswith(left_out)}
    _fill(method, kept, path)
    # A discriminator that never had its turn, as after a run cut short in its warm-up, has no say.
    method.judged = checkpoint["toonlab"]["iteration"] > (0 if way == "search" else node["warmup_iterations"])
    return method


def _around(
    path: Path, node: Node, state: Mapping[str, Tensor], settings: Node | None, way: str
) -> LatentInpainting:
    if way != "search" or settings is None:
        raise UsageError(
            f"ckpt={path}: has no network that completes; use completion=search bank=DIR, or train one "
            f"with src/train.py method=latent_inpainting ckpt={path}"
        )
    generator = load_generator(path).generator
    has_judge = "discriminator" in node and any(name.startswith("discriminator.") for name in state)
    judge = build((node if has_judge else settings)["discriminator"])
    method = _build(settings, generator, judge, way)
    if has_judge:
        _fill(method, {k: v for k, v in state.items() if k.startswith("discriminator.")}, path)
    method.judged = has_judge
    return method


def _build(node: Node, generator: nn.Module, discriminator: nn.Module, way: str) -> LatentInpainting:
    """Make the method from plain values: a checkpoint names no classes to call but networks."""
    loss = getattr(adversarial, str(node["adversarial"]["_target_"]).rpartition(".")[2], None)
    if not (isinstance(loss, type) and issubclass(loss, adversarial.Adversarial)):
        raise UsageError(
            f"the checkpoint asks for {node['adversarial']['_target_']}, which is no adversarial loss"
        )
    method = LatentInpainting(
        generator=generator,
        completion=way,
        learned=partial(LearnedCompletion, **_plain(node["learned"])),
        search=LatentSearch(**_plain(node["search"])),
        batch=(1, 8, 8),
        discriminator=discriminator,
        adversarial=loss(**_plain(node["adversarial"])),
        features=cast("Features", nn.Identity()),
        masks=HoleDraws(**_plain(node["masks"])),
        optimizer=torch.optim.Adam,
        discriminator_optimizer=torch.optim.Adam,
        lr=1.0,
        ema_half_life=None,
        **{key: node[key] for key in _NUMBERS},
        weights={},
        search_weights=node["search_weights"],
        discriminator_weights={},
    )
    return method.eval().requires_grad_(False)


_NUMBERS = (
    *("prefills", "window", "solid", "prior", "ema_ramp", "accumulate", "clip_norm"),
    *("warmup_iterations", "warmup_weights", "seed"),
)


def _plain(node: Node) -> dict[str, Any]:
    return {key: value for key, value in node.items() if not key.startswith("_")}


def _fill(method: LatentInpainting, state: Mapping[str, Tensor], path: Path) -> None:
    known = method.state_dict()
    wrong = [name for name, value in state.items() if name in known and known[name].shape != value.shape] or [
        name for name in state if name not in known
    ]
    if wrong:
        raise UsageError(f"ckpt={path}: its weights do not fit the networks it describes, {wrong[0]} for one")
    method.load_state_dict({**known, **state})
