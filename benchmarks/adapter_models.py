"""The networks that `adapter_styles.py` compares."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Model(NamedTuple):
    """A network to train, and the styles that it is to paint."""

    row: str
    folder: Path
    styles: tuple[str, ...]
    iterations: int
    settings: list[str]
    checkpoint: Path | None = None
    """What is scored, if nothing is trained."""


def models(options: argparse.Namespace) -> list[Model]:
    """Return every network of the comparison."""
    n, styles = options.iterations, tuple(options.styles)
    found = []
    if options.start:
        found = [
            Model("start", options.output / f"start_{style}", (style,), 0, [], options.start)
            for style in styles
        ]
    found += [
        Model("single", options.output / f"single_{style}", (style,), n, single(options, style))
        for style in styles
    ]
    for kind in options.kinds:
        many = adapted(options, kind)
        found.append(Model(kind, options.output / kind, styles, n * len(styles), many))
    if options.fewer and "parallel" in options.kinds:
        share = Model(
            "parallel, fewer", options.output / "parallel_fewer", styles, n, adapted(options, "parallel")
        )
        found.append(share)
    if options.start:
        found += [
            Model(
                f"{kind}, added",
                options.output / f"{kind}_added_{style}",
                (style,),
                n,
                added(options, kind, style),
            )
            for kind in options.kinds
            for style in styles
        ]
    return [model for model in found if not options.rows or model.row in options.rows]


def single(options: argparse.Namespace, style: str) -> list[str]:
    folder = options.data / style
    return [
        "method=cartoongan", "data=unpaired", f"cartoons={folder}/train", f"val_cartoons={folder}/val",
        f"method.discriminator.width={options.width // 2}", *generator(options, "method.generator"),
    ]  # fmt: skip


def adapted(options: argparse.Namespace, kind: str) -> list[str]:
    train, val = (
        listed({style: options.data / style / part for style in options.styles}) for part in ("train", "val")
    )
    return [
        "method=adapted_cartoongan", f"method.kind={kind}", "data=multidomain", f"domains={train}",
        f"val_domains={val}", f"method.rank={options.width // 2}", "method.pool_size=0",  # as CartoonGAN's
        f"method.discriminator.trunk.width={options.width // 2}",
        *generator(options, "method.generator.trunk"),
    ]  # fmt: skip


def added(options: argparse.Namespace, kind: str, style: str) -> list[str]:
    folder = options.data / style
    return [
        "method=adapted_cartoongan", f"method.kind={kind}", "data=multidomain", f"add_domain={style}",
        f"cartoons={folder}/train", f"val_cartoons={folder}/val", f"ckpt={options.start}",
        f"method.rank={options.width // 2}", "method.pool_size=0", "method.warmup_iterations=0",
        "method.fresh_discriminator=true", f"method.discriminator.trunk.width={options.width // 2}",
    ]  # fmt: skip


def generator(options: argparse.Namespace, node: str) -> list[str]:
    if options.start:
        return [f"ckpt={options.start}"]
    return [f"{node}.width={options.width}", f"{node}.blocks={options.blocks}"]


def listed(folders: Mapping[str, Path]) -> str:
    return "{" + ",".join(f"{name}:{folder}" for name, folder in folders.items()) + "}"
