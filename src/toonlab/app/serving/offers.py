"""What the page offers: checkpoints by name, and what each can be asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from toonlab.app.runtime import is_onnx, onnx_painter
from toonlab.app.setup import as_plain
from toonlab.app.styles import with_packs
from toonlab.engine.checkpoint import Loaded, Styled, locate
from toonlab.errors import UsageError

TERMS = ("texture", "structure", "surface")
"""Losses whose weights a visitor may choose between, where runs were trained with several."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One checkpoint.

    Attributes:
        path: its file; None for a method that needs none.
        about: config of its training.
        filtered: it has an output filter, so that `strength` means something.
        styles: names of its styles if it holds several.
        preset: the preset it was trained with, if its run says so.
    """

    path: Path | None
    about: Mapping[str, Any]
    filtered: bool
    styles: tuple[str, ...] = ()
    preset: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """One model of the page: a checkpoint, or several that differ in their emphasis alone, by its name."""

    name: str
    variants: Mapping[str, Variant]

    def variant(self, emphasis: str | None) -> Variant:
        """Return the checkpoint of an emphasis, by default the first.

        Raises:
            UsageError: there is none of that name.
        """
        if emphasis is None or len(self.variants) == 1:
            return next(iter(self.variants.values()))
        if emphasis not in self.variants:
            raise UsageError(f"{self.name} has no emphasis {emphasis}: use {', '.join(self.variants)}")
        return self.variants[emphasis]


def offers(cfg: DictConfig) -> dict[str, Offer]:
    """Read every checkpoint of `cfg.ckpt` once; a damaged one is found now, not by a visitor.

    Raises:
        UsageError: none is given, one cannot be used, or two have one name.
    """
    if "method" in cfg:
        if not OmegaConf.is_missing(cfg, "ckpt"):
            raise UsageError(
                "a checkpoint paints, or a method without one: give ckpt=… or method=…, not both"
            )
        name = cfg.method._target_.rpartition(".")[2]
        only = Variant(path=None, about={}, filtered=False)
        return {name: Offer(name=name, variants={"": only})}
    named = [(name, read(cfg, path)) for name, path in given(cfg.ckpt)]
    if cfg.packs is not None and len(named) > 1:
        raise UsageError("packs=… are for one checkpoint: give a single ckpt=…")
    return grouped(named)


def given(ckpt: Any) -> list[tuple[str | None, Path]]:
    """Return (name or None, checkpoint) for what `ckpt=` may be: one, a list, names, or a sweep's folder.

    Raises:
        UsageError: there is no such file, or nothing in a folder.
    """
    ckpt = as_plain(ckpt)
    pairs: list[tuple[str | None, Any]]
    if isinstance(ckpt, dict):
        pairs = [(str(name), path) for name, path in ckpt.items()]
    else:
        pairs = [(None, path) for path in (ckpt if isinstance(ckpt, list) else [ckpt])]
    found: list[tuple[str | None, Path]] = []
    for name, path in pairs:
        if path is None:
            raise UsageError("ckpt=: names no checkpoint; give ckpt=RUN_DIR, [RUN_DIR, …] or {NAME: RUN_DIR}")
        for each in _checkpoints(Path(str(path)).expanduser()):
            if name is not None and any(name == other for other, _ in found):
                raise UsageError(f"ckpt={path}: holds several runs, which cannot all be called {name}")
            found.append((name, each))
    if not found:
        raise UsageError("ckpt=[]: names no checkpoint; give ckpt=RUN_DIR")
    return found


def _checkpoints(path: Path) -> list[Path]:
    inside = sorted(path.glob("*/checkpoints/last.ckpt"), key=_by_number) if path.is_dir() else []
    return inside or [locate(path)]


def _by_number(checkpoint: Path) -> tuple[int, str]:
    run = checkpoint.parents[1].name  # 10_whitebox behind 9_whitebox
    number = run.partition("_")[0]
    return (int(number) if number.isdigit() else 0, run)


def read(cfg: DictConfig, path: Path) -> Variant:
    """Read what a checkpoint says of itself; its weights are dropped again.

    Raises:
        UsageError: it is none of ours.
    """
    loaded = load(cfg, path)
    domains = tuple(loaded.generator.domains) if isinstance(loaded.generator, Styled) else ()
    return Variant(
        path=path,
        about=loaded.config,
        filtered=bool(loaded.painting.get("output_filter")),
        styles=domains,
        preset=_preset(path),
    )


def load(cfg: DictConfig, path: Path) -> Loaded:
    """Load a checkpoint with all its styles, or an ONNX file."""
    one = cfg.copy()
    for key, value in {"ckpt": str(path), "style": None, "reverse": False}.items():
        OmegaConf.update(one, key, value, force_add=True)
    return onnx_painter(one) if is_onnx(one) else with_packs(one)


def _preset(checkpoint: Path) -> str | None:
    """Return the preset of the run that a checkpoint lies in: its checkpoint keeps the weights alone."""
    try:
        config = yaml.safe_load((checkpoint.parents[1] / "config.yaml").read_text(encoding="utf-8"))
        name = config["preset"]["name"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError, UnicodeDecodeError):
        return None
    return str(name)


def grouped(named: Iterable[tuple[str | None, Variant]]) -> dict[str, Offer]:
    """Make one model of runs that differ in their emphasis alone: same method, generator and data.

    Raises:
        UsageError: two models have one name.
    """
    groups: dict[str, list[tuple[str | None, Variant]]] = {}
    for number, (name, variant) in enumerate(named):
        alike = f"named {name}" if name is not None else _family(variant) or f"alone {number}"
        groups.setdefault(alike, []).append((name, variant))
    found: dict[str, Offer] = {}
    for members in groups.values():
        labels = _emphases([variant for _, variant in members])
        # Runs that cannot be told apart by their emphasis (seeds, say) are models of their own.
        bundles = [members] if labels else [[member] for member in members]
        for bundle in bundles:
            name = bundle[0][0] or _name(bundle[0][1], found)
            if name in found:
                raise UsageError(
                    f"ckpt=…: two checkpoints are called {name}; name them, 'ckpt={{A: …, B: …}}'"
                )
            words = labels or [""]
            found[name] = Offer(
                name=name, variants=dict(zip(words, (variant for _, variant in bundle), strict=True))
            )
    return found


def _family(variant: Variant) -> str | None:
    """Return what runs of one model have in common; None for a checkpoint that stands alone."""
    about = variant.about
    method = about.get("method", {})
    if not isinstance(method.get("weights"), Mapping) or not set(TERMS) & set(method["weights"]):
        return None
    kept = {"name": about.get("name"), "generator": method.get("generator"), "data": about.get("data")}
    return json.dumps(kept, sort_keys=True, default=str)


def _emphases(variants: list[Variant]) -> list[str] | None:
    """Name what tells the variants apart; None if nothing does, or there is but one."""
    if len(variants) < 2:
        return None
    presets = [_words(variant.preset) for variant in variants]
    if len(set(presets)) == len(variants):
        return presets
    weights = [{term: _weight(variant, term) for term in TERMS} for variant in variants]
    told = [term for term in TERMS if len({each[term] for each in weights}) > 1]
    labels = [", ".join(f"{term} {each[term]:g}" for term in told) for each in weights]
    return labels if len(set(labels)) == len(variants) else None


def _words(preset: str | None) -> str:
    return "balanced" if preset in (None, "full") else preset.replace("_", " ")


def _weight(variant: Variant, term: str) -> float:
    weight = variant.about["method"]["weights"].get(term, 0.0)
    return float(weight) if isinstance(weight, int | float) else float("nan")


def _name(variant: Variant, taken: Mapping[str, Offer]) -> str:
    """Name a checkpoint after its method, and after its folder or file where that is not enough."""
    path = variant.path
    if path is None:
        return "model"
    folder = path.parents[1].name if path.parent.name == "checkpoints" else path.stem
    candidates = (str(variant.about.get("name") or folder), folder, f"{folder} {path.stem}", str(path))
    return next(name for name in candidates if name not in taken)
