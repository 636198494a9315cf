"""What a command line says about styles: which folders, and which one is new."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from toonlab.data.domains import named
from toonlab.errors import UsageError, did_you_mean

MANY = "use method=adapted_cartoongan, or data=unpaired photos=DIR cartoons=DIR"


def settle(cfg: DictConfig) -> None:
    """Bring all ways to name styles into one form, in place: `domains` and `val_domains` are `{NAME: DIR}`.

    Raises:
        UsageError: the method, the data set and the settings of styles do not go together.
    """
    _check_method(cfg)
    if cfg.add_domain:
        _settle_new(cfg)
    for key in ("domains", "val_domains"):
        if cfg[key] is not None or (key == "domains" and _is_multidomain(cfg)):
            given = OmegaConf.to_container(cfg[key]) if OmegaConf.is_config(cfg[key]) else cfg[key]
            cfg[key] = named(given, key)


def learns_many(cfg: DictConfig) -> bool:
    """Whether the method learns several styles."""
    return "added" in cfg.method


def _check_method(cfg: DictConfig) -> None:
    name = HydraConfig.get().runtime.choices["method"]
    keys = [key for key in ("domains", "val_domains", "add_domain", "like") if cfg[key] is not None]
    keys += ["data.domain_weights"] if cfg.data.get("domain_weights") else []
    if not learns_many(cfg):
        if keys or _is_multidomain(cfg):
            raise UsageError(f"{(keys or ['data=multidomain'])[0]}: method={name} learns one style; {MANY}")
        return
    if not (_is_multidomain(cfg) or cfg.data.get("styles") or cfg.data.get("domains")):
        raise UsageError(
            f"method={name} learns several styles: use data=multidomain photos=DIR domains={{NAME: DIR, "
            "OTHER: DIR}"
        )
    for key in ("domains", "val_domains"):
        if cfg[key] is not None and not _is_multidomain(cfg):
            raise UsageError(f"{key}=… is not used by this data set; add data=multidomain photos=DIR")
    if cfg.like and not cfg.add_domain:
        raise UsageError(f"like={cfg.like} is where add_domain=NAME starts from; add that, or leave it out")
    if cfg.add_domain and not cfg.ckpt:
        raise UsageError(
            f"add_domain={cfg.add_domain}: name the trained model that it is added to, ckpt=RUN_DIR"
        )


def _settle_new(cfg: DictConfig) -> None:
    """Make the new domain the only one of the data."""
    name = cfg.add_domain
    if _is_multidomain(cfg):
        for key, single in (("domains", "cartoons"), ("val_domains", "val_cartoons")):
            if cfg[single] is not None and cfg[key] is not None:
                raise UsageError(f"{single}=… and {key}=… both name cartoons of {name}; give one of them")
            if cfg[single] is not None:
                cfg[key], cfg[single] = {name: cfg[single]}, None
        if cfg.domains is None:
            raise UsageError(f"add_domain={name}: no cartoons given; pass cartoons=DIR")
        names = list(named(OmegaConf.to_container(cfg.domains)))
        if names != [name]:
            raise UsageError(
                f"add_domain={name} learns from its own cartoons alone, not from those of {', '.join(names)}"
            )
    elif cfg.data.get("styles"):
        if name not in cfg.data.styles:
            hint = did_you_mean(name, list(cfg.data.styles))
            raise UsageError(f"add_domain={name}: this data set has {', '.join(cfg.data.styles)}{hint}")
        cfg.data.styles = {name: cfg.data.styles[name]}
    else:
        cfg.data.domains = [name]


def _is_multidomain(cfg: DictConfig) -> bool:
    return bool(cfg.data._target_.endswith(".MultiDomainData"))
