"""`ckpt=…` of `src/train.py`: a trained model that the new run starts from."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor

from toonlab.app.bank import bank_for, bank_photos
from toonlab.app.styles import chosen_style
from toonlab.engine.checkpoint import Loaded, in_style, read, rebuild
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.methods.latent_inpainting import LatentInpainting
from toonlab.networks.layers import has_latent
from toonlab.sweeps.words import key_of

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """A trained generator as a plain network of one style, and the weights of what was trained with it."""

    generator: Loaded
    others: Mapping[str, Tensor]
    """Of all networks of the checkpoint if the new run's method is the same, else empty."""


def start_of(cfg: DictConfig, overrides: Sequence[str]) -> Start | None:
    """Load what `cfg.ckpt` names, and put its generator's description into `cfg.method.generator`.

    Of a method with several styles it becomes the trunk. None: the method starts from nothing, or from
    `add_domain` (see `adopt`), or the run is resumed and its checkpoint holds everything.

    Raises:
        UsageError: `ckpt` is missing or unfit, or another setting contradicts it.
    """
    needs_ckpt = cfg.method.get("needs_ckpt", False)
    _check_completion(cfg, needs_ckpt)
    if cfg.style is not None and (cfg.ckpt is None or cfg.add_domain):
        raise UsageError(
            f"style={cfg.style}: of the checkpoint that a run starts from, ckpt=RUN; leave it out"
        )
    if cfg.resume or cfg.add_domain or "generator" not in cfg.method:
        return None
    if cfg.ckpt is None:
        if needs_ckpt:
            raise UsageError(
                "method=latent_inpainting completes the latent of a trained generator: name its run, ckpt=RUN"
            )
        return None
    for override in overrides:
        if key_of(override).startswith("method.generator"):
            raise UsageError(f"{override}: the generator is that of ckpt={cfg.ckpt}; leave it out")
    path = Path(str(cfg.ckpt)).expanduser()
    checkpoint = read(path)
    loaded = in_style(rebuild(checkpoint, path), chosen_style(cfg.style))
    _check_generator(cfg, loaded, needs_ckpt)
    node = loaded.config["method"]["generator"]
    if loaded.style is not None:  # folded into its trunk
        if node.get("kind") == "series":
            other = "completion=search in src/inpaint.py" if needs_ckpt else "add_domain=NAME"
            raise UsageError(
                f"ckpt={cfg.ckpt}: series adapters cannot be folded into a plain generator, which is what a "
                f"run starts from; use a run of another method.kind, or {other}"
            )
        node = node["trunk"]
    with open_dict(cfg):
        own = cfg.method.generator
        place, key = (own, "trunk") if "trunk" in own else (cfg.method, "generator")
        place[key] = OmegaConf.create(copy.deepcopy(node))
    same = loaded.style is None and loaded.config["method"].get("_target_") == cfg.method._target_
    return Start(loaded, checkpoint["state_dict"] if same else {})


def begin(method: ToonMethod, start: Start, ckpt: str) -> None:
    """Give the method the loaded weights: the generator's and, of the other networks, those that fit."""
    method.begin_with(start.generator.generator)
    method.origin = start.generator.origin
    taken = ["generator"]
    learning = [*method.generators(), *method.discriminators()]
    for name, network in method.named_children():
        if network is method.generator or not any(network is each for each in learning):
            continue
        weights = {
            key.removeprefix(f"{name}."): value
            for key, value in start.others.items()
            if key.startswith(f"{name}.")
        }
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        if weights and shapes == {key: value.shape for key, value in weights.items()}:
            network.load_state_dict(weights)
            taken.append(name)
    log.info("Starts from the %s of %s", " and the ".join(taken), ckpt)


def prepare_search(cfg: DictConfig, method: ToonMethod, last: Path | None) -> None:
    """Give a method that searches its bank.

    Raises:
        UsageError: see `bank_for`.
    """
    if not (isinstance(method, LatentInpainting) and method.searching):
        return
    if last:  # the bank's key is the generator's weights, which are the checkpoint's
        prefix, state = "generator.", read(last)["state_dict"]
        kept = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        method.generator.load_state_dict(kept)
    method.bank = bank_for(cfg, method)


def _check_completion(cfg: DictConfig, needs_ckpt: bool) -> None:
    searches = cfg.completion == "search"
    if searches and not needs_ckpt:
        raise UsageError("completion=search is a way of method=latent_inpainting; leave it out")
    if cfg.bank is not None and not needs_ckpt:
        raise UsageError(f"bank={cfg.bank}: for method=latent_inpainting completion=search; leave it out")
    if cfg.bank is not None and not searches:  # no mistake in a sweep over both
        log.warning("bank=%s: training looks at it with completion=search alone", cfg.bank)
    if searches:
        _check_search(cfg)


def _check_generator(cfg: DictConfig, loaded: Loaded, needs_latent: bool) -> None:
    if needs_latent and not has_latent(loaded.generator):
        raise UsageError(
            f"ckpt={cfg.ckpt}: its generator, {type(loaded.generator).__name__}, has no latent to complete; "
            "CartoonGAN's, CycleGAN's and AnimeGAN's have one, without learn_residual"
        )
    theirs, wanted = (node.get("direction", "to_cartoon") for node in (loaded.painting, cfg.method))
    if theirs != wanted:
        raise UsageError(
            f"ckpt={cfg.ckpt}: its generator paints {theirs}, this run would learn {wanted}; add "
            f"method.direction={theirs} if the method has it, or name another checkpoint"
        )


def _check_search(cfg: DictConfig) -> None:
    if not cfg.data.overfit:
        raise UsageError(
            "completion=search moves the latents of one batch, an iteration is a step: add data.overfit=true"
        )
    bank_photos(cfg)
