"""A trained `LatentInpainting` for use, or one around any generator that has a latent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from toonlab.engine.checkpoint import Styled, build, in_style, read, rebuild, shown
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
    path: Path,
    *,
    settings: Node | None = None,
    completion: str | None = None,
    style: str | Mapping[str, float] | None = None,
) -> LatentInpainting:
    """Rebuild what completes, in evaluation mode; its bank, if it searches, is the caller's to set.

    Args:
        path: a run of `latent_inpainting`, or any checkpoint whose generator has a latent.
        settings: the method's config, for checkpoints of other methods: they know only to search.
        completion: `learned` or `search`; None takes the run's own, and `search` with other methods.
        style: of a checkpoint with several, see `engine.checkpoint.in_style`.

    Raises:
        UsageError: as `engine.checkpoint.read`; or the checkpoint cannot complete, or not in that way.
    """
    return rebuild_inpainting(read(path), path, settings=settings, completion=completion, style=style)


def rebuild_inpainting(
    checkpoint: Node,
    path: Path,
    *,
    settings: Node | None = None,
    completion: str | None = None,
    style: str | Mapping[str, float] | None = None,
) -> LatentInpainting:
    """Do `load_inpainting` with what `engine.checkpoint.read` returned of `path`."""
    node: Node = checkpoint["toonlab"]["config"]["method"]
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    if node.get("_target_") != _OURS:
        return _around(checkpoint, path, settings, completion or "search", style)
    if style is not None:
        raise UsageError(
            f"style={shown(style)}: ckpt={path} completes one style, without a name; leave it out"
        )
    way = completion or node["completion"]
    if way == "learned" != node["completion"]:
        raise UsageError(f"ckpt={path}: searches, and has no network that completes; use completion=search")
    searched = node["completion"] == "search" and "search_adversarial" in node
    loss = node["search_adversarial" if searched else "adversarial"]  # as its discriminator was trained
    method = _build(node, build(node["generator"]), build(node["discriminator"]), way, loss)
    left_out = "completion." if way == "search" else "\0"
    kept = {name: value for name, value in state.items() if not name.startswith(left_out)}
    _fill(method, kept, path)
    # A discriminator that never had its turn, as after a run cut short in its warm-up, has no say.
    method.judged = checkpoint["toonlab"]["iteration"] > (0 if way == "search" else node["warmup_iterations"])
    return method


def _around(
    checkpoint: Node,
    path: Path,
    settings: Node | None,
    way: str,
    style: str | Mapping[str, float] | None,
) -> LatentInpainting:
    if way != "search" or settings is None:
        raise UsageError(
            f"ckpt={path}: has no network that completes; use completion=search bank=DIR, or train one "
            f"with src/train.py method=latent_inpainting ckpt={path}"
        )
    node: Node = checkpoint["toonlab"]["config"]["method"]
    loaded = in_style(rebuild(checkpoint, path), style)
    judge = _judge(path, node, checkpoint["state_dict"], loaded.style)
    method = _build(
        settings,
        loaded.generator,
        judge or build(settings["discriminator"]),
        way,
        # A score means what the loss made of it that its discriminator was trained with.
        node["adversarial"] if judge else settings["search_adversarial"],
    )
    method.judged = judge is not None
    return method


def _judge(
    path: Path, node: Node, state: Mapping[str, Tensor], style: Mapping[str, float] | None
) -> nn.Module | None:
    """Return a checkpoint's own discriminator, of the style that is painted; None if it has none for that."""
    prefix = "discriminator."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not weights or "discriminator" not in node or "adversarial" not in node:
        return None
    judge = build(node["discriminator"])
    try:
        judge.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(f"ckpt={path}: its weights do not fit the discriminator it describes") from error
    if not isinstance(judge, Styled):
        return judge
    name, *others = style or [""]
    return None if others or name not in judge.domains else judge.fold(name)


def _build(
    node: Node, generator: nn.Module, discriminator: nn.Module, way: str, adversarial_node: Node
) -> LatentInpainting:
    """Make the method from plain values: a checkpoint names no classes to call but networks."""
    target = str(adversarial_node["_target_"])
    loss = getattr(adversarial, target.rpartition(".")[2], None)
    if not (isinstance(loss, type) and issubclass(loss, adversarial.Adversarial)):
        raise UsageError(f"the checkpoint asks for {target}, which is no adversarial loss")
    compare = loss(**_plain(adversarial_node))
    method = LatentInpainting(
        generator=generator,
        completion=way,
        learned=partial(LearnedCompletion, **_plain(node["learned"])),
        search=LatentSearch(**_plain(node["search"])),
        batch=(1, 8, 8),
        discriminator=discriminator,
        adversarial=compare,
        search_adversarial=compare,
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
