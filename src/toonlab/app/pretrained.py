"""`ckpt=…` of `src/train.py`: a trained model that the new run starts from."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from toonlab.app.bank import bank_for, bank_photos
from toonlab.app.styles import chosen_style
from toonlab.engine.checkpoint import Loaded, load_generator, read
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.methods.latent_inpainting import LatentInpainting

log = logging.getLogger(__name__)


def frozen_generator(cfg: DictConfig) -> Loaded | None:
    """Load the generator that `cfg.method` builds on, and put its description into `cfg.method.generator`.

    None: the method trains a generator of its own, or the run is resumed and its checkpoint holds everything.

    Raises:
        UsageError: `ckpt` is missing or names a generator without a latent.
    """
    needs_ckpt, searches = cfg.method.get("needs_ckpt", False), cfg.completion == "search"
    if searches and not needs_ckpt:
        raise UsageError("completion=search is a way of method=latent_inpainting; leave it out")
    if cfg.bank is not None and not needs_ckpt:
        raise UsageError(f"bank={cfg.bank}: for method=latent_inpainting completion=search; leave it out")
    if cfg.bank is not None and not searches:  # no mistake in a sweep over both
        log.warning("bank=%s: training looks at it with completion=search alone", cfg.bank)
    if cfg.style is not None and not needs_ckpt:
        raise UsageError(
            f"style={cfg.style}: of the checkpoint that latent_inpainting completes; leave it out"
        )
    if not needs_ckpt:
        return None
    if searches:
        _check_search(cfg)
    if cfg.resume:
        return None
    if cfg.ckpt is None:
        raise UsageError(
            "method=latent_inpainting completes the latent of a trained generator: name its run, ckpt=RUN"
        )
    loaded = load_generator(Path(str(cfg.ckpt)).expanduser(), style=chosen_style(cfg.style))
    if not hasattr(loaded.generator, "encode"):
        raise UsageError(
            f"ckpt={cfg.ckpt}: its generator, {type(loaded.generator).__name__}, has no latent to complete; "
            "CartoonGAN's, CycleGAN's and AnimeGAN's have one"
        )
    node = loaded.config["method"]["generator"]
    if loaded.style is not None:  # folded into its trunk
        if node.get("kind") == "series":
            raise UsageError(
                f"ckpt={cfg.ckpt}: series adapters cannot be folded into a plain generator, which is what "
                "latent_inpainting builds on; use a run of another method.kind, or completion=search in "
                "src/inpaint.py"
            )
        node = node["trunk"]
    with open_dict(cfg):
        cfg.method.generator = OmegaConf.create(copy.deepcopy(node))
    return loaded


def take_weights(method: ToonMethod, loaded: Loaded) -> None:
    """Give the method the loaded weights; how they are painted with comes along."""
    method.generator.load_state_dict(loaded.generator.state_dict())


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


def _check_search(cfg: DictConfig) -> None:
    if not cfg.data.overfit:
        raise UsageError(
            "completion=search moves the latents of one batch, an iteration is a step: add data.overfit=true"
        )
    bank_photos(cfg)
