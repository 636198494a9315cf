"""`add_domain=NAME ckpt=RUN`: a trained model with room for one more style."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from toonlab.engine.checkpoint import build, read
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.methods.adapted import AdaptedCartoonGAN, nearest
from toonlab.networks.adapters import Adapted
from toonlab.networks.discriminators import EdgeDiscriminator
from toonlab.networks.resnet import ResnetGenerator
from toonlab.sweeps.words import key_of

log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """A checkpoint's networks, what its domains look like, and whose weights it began with."""

    generator: Adapted
    discriminator: Adapted | None
    likeness: dict[str, Tensor]
    origin: dict[str, str] | None


def adopt(cfg: DictConfig, overrides: list[str]) -> Trained:
    """Read `cfg.ckpt`, and make `cfg.method` describe its networks with `cfg.add_domain` as one more style.

    The generator has the EMA weights if there are any, for they are what paints. A CartoonGAN without
    adapters becomes the trunk, and its style the domain `cfg.method.base`.

    Args:
        cfg: changed in place; from then on it says everything without the checkpoint.
        overrides: of the command line.

    Raises:
        UsageError: the checkpoint is none of a CartoonGAN, holds the domain already, or an override would
            change its networks.
    """
    path, name = Path(cfg.ckpt), cfg.add_domain
    checkpoint = read(path)
    about, state = checkpoint["toonlab"], checkpoint["state_dict"]
    nodes = about["config"]["method"]
    generator = build(nodes["generator"])
    average = "ema.average." if any(key.startswith("ema.average.") for key in state) else "generator."
    _load(generator, state, average, path)
    discriminator = None
    if "discriminator" in nodes and not cfg.method.fresh_discriminator:
        discriminator = build(nodes["discriminator"])
        _load(discriminator, state, "discriminator.", path)
    _check_networks(cfg, path, about, generator, discriminator)
    fixed = ["method.generator", "method.domains"]
    fixed += [] if cfg.method.fresh_discriminator else ["method.discriminator"]
    fixed += ["method.kind", "method.rank"] if isinstance(generator, Adapted) else []
    for override in overrides:
        key = key_of(override)
        if any(key == each or key.startswith(f"{each}.") for each in fixed):
            raise UsageError(
                f"{override}: add_domain takes the networks from ckpt={path} as they are; leave it out"
            )

    trained = Trained(
        _adapted(generator, cfg, "generator"),
        _adapted(discriminator, cfg, "discriminator"),
        about.get("likeness", {}),
        about.get("origin"),
    )
    if not trained.generator.domains:
        raise UsageError(
            f"ckpt={path} is a trunk without a style to start from: name the run that it was part of"
        )
    if name in trained.generator.domains:
        raise UsageError(
            f"add_domain={name}: ckpt={path} holds {', '.join(trained.generator.domains)} already; choose "
            "another name"
        )
    _describe(cfg, "generator", trained.generator, nodes["generator"])
    if trained.discriminator:
        _describe(cfg, "discriminator", trained.discriminator, nodes["discriminator"])
    else:
        cfg.method.fresh_discriminator, cfg.method.discriminator.domains = True, [name]
    cfg.method.kind, cfg.method.rank = trained.generator.kind, trained.generator.rank
    cfg.method.domains = [*trained.generator.domains, name]
    return trained


def grow(toon: ToonMethod, trained: Trained, data: Any, like: str | None) -> None:
    """Put the weights of `trained` into `method`, whose networks hold one more style, and start that one.

    Args:
        toon: an AdaptedCartoonGAN as `adopt` described it.
        trained: by `adopt`.
        data: the data module; shows the new domain's cartoons.
        like: the domain whose norms the new one begins with; by default the one that looks most like it.

    Raises:
        UsageError: there is no domain `like`.
    """
    method = cast("AdaptedCartoonGAN", toon)  # `settle` asked for it
    (name,) = method.trained
    held = trained.generator.domains
    if like and like not in held:
        raise UsageError(f"like={like}: the checkpoint holds {', '.join(held)}")
    method.meet(data)
    chosen = like or nearest(method.likeness[name], trained.likeness) or held[0]
    compared = not like and len(trained.likeness) > 1
    log.info("%s begins as %s%s", name, chosen, ", whose cartoons are most like its own" if compared else "")
    method.likeness, method.origin = trained.likeness | method.likeness, trained.origin
    trained.generator.add(name, like=chosen)
    weights = trained.generator.state_dict()
    method.generator.load_state_dict(weights)
    if method.ema:
        method.ema.average.load_state_dict(weights)
    if judge := trained.discriminator:
        judge.add(name, like=chosen if chosen in judge.domains else None, fresh_own=True)
        method.discriminator.load_state_dict(judge.state_dict())


def _load(network: nn.Module, state: dict[str, Tensor], prefix: str, path: Path) -> None:
    try:
        network.load_state_dict(
            {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        )
    except RuntimeError as error:
        raise UsageError(f"ckpt={path}: its weights do not fit the network it describes") from error


def _check_networks(
    cfg: DictConfig, path: Path, about: dict[str, Any], generator: nn.Module, discriminator: nn.Module | None
) -> None:
    if not isinstance(generator, Adapted | ResnetGenerator):
        name = about["config"].get("name", type(generator).__name__)
        raise UsageError(
            f"ckpt={path}: add_domain={cfg.add_domain} takes a model of adapted_cartoongan or cartoongan, or "
            f"imported CartoonGAN weights; this is {name}"
        )
    if not isinstance(discriminator, Adapted | EdgeDiscriminator | None):
        raise UsageError(
            f"ckpt={path}: its discriminator is a {type(discriminator).__name__}, which takes no adapters "
            "here; add method.fresh_discriminator=true"
        )


def _adapted(network: nn.Module | None, cfg: DictConfig, key: str) -> Any:
    """Return a network as it is if it has adapters, else as the trunk of one style."""
    if network is None or isinstance(network, Adapted):
        return network
    node: Any = OmegaConf.to_container(cfg.method[key], resolve=True)
    how = {name: value for name, value in node.items() if name not in ("_target_", "trunk", "domains")}
    try:
        return Adapted(trunk=network, domains=[cfg.method.base], **how)
    except ValueError as error:
        raise UsageError(f"method.{key}: {error}") from error


def _describe(cfg: DictConfig, key: str, network: Adapted, node: dict[str, Any]) -> None:
    """Make the config's node that of the checkpoint, with the new domain."""
    domains = [*network.domains, cfg.add_domain]
    if isinstance(node.get("domains"), list):
        cfg.method[key] = {**node, "domains": domains}
    else:
        own: Any = OmegaConf.to_container(cfg.method[key], resolve=True)
        cfg.method[key] = {**own, "trunk": node, "domains": domains}
