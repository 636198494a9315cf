"""Checkpoints: written whole or not at all, and read without running anybody's code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from toonlab.engine import bundle
from toonlab.engine.direction import opposite
from toonlab.engine.intervals import Every
from toonlab.engine.method import CHECKPOINT_FORMAT, ToonMethod
from toonlab.errors import UsageError
from toonlab.shipped import shipped


class Checkpoints(Every):
    """Keeps `checkpoints/last.ckpt`, and `best.ckpt` by a validation score.

    Args:
        every: iterations between saves of the last state.
        iterations: the run's length.
        monitor: the score that picks the best, as `Evaluate` names it; smaller is better.
    """

    def __init__(self, *, every: int, iterations: int, monitor: str) -> None:
        super().__init__(every=every, iterations=iterations)
        self.monitor = monitor
        self.best_score: float | None = None
        self.best_iteration = 0
        self._saved_at = -1

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        if method.scored_at == method.iteration:
            self._keep_best(trainer, method)
        super().on_iteration(trainer, method)

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        self._save(trainer, "last")
        self._saved_at = method.iteration

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # After a clean stop between two saves; a crash keeps the last good state instead.
        if cast("ToonMethod", pl_module).iteration != self._saved_at:
            self._save(trainer, "last")

    def _keep_best(self, trainer: Trainer, method: ToonMethod) -> None:
        monitor = method.monitor or self.monitor
        if monitor not in method.scores:
            raise UsageError(f"monitor={monitor}: no such score; there are {sorted(method.scores)}")
        score = method.scores[monitor]
        if self.best_score is None or score < self.best_score:
            self.best_score, self.best_iteration = score, method.iteration
            self._save(trainer, "best")

    def _save(self, trainer: Trainer, name: str) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        part = folder / f".{name}.part"
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            part.replace(folder / f"{name}.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score, "best_iteration": self.best_iteration}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score, self.best_iteration = state_dict["best_score"], state_dict["best_iteration"]


class Loaded(NamedTuple):
    """A generator ready to paint, and what its checkpoint says of itself."""

    generator: nn.Module
    painting: dict[str, Any]
    config: dict[str, Any]
    iteration: int
    origin: dict[str, str] | None = None
    """Of imported weights: file, sha256, kind, channels, licence."""
    style: dict[str, float] | None = None
    """Of a network of several styles: the shares of those that the generator was folded from."""


@runtime_checkable
class Styled(Protocol):
    """A network of several styles."""

    @property
    def domains(self) -> list[str]:
        """The styles' names."""
        ...

    def fold(self, style: str | Mapping[str, float]) -> nn.Module:
        """Return a plain network of one style, or of a mixture by shares; else ValueError."""
        ...


def locate(path: Path) -> Path:
    """Return a checkpoint's file; of a run folder, its last one's; of a bundle, its JSON.

    The name of a network that comes with toonlab will do, unless there is a file or a folder of that name.

    Raises:
        UsageError: there is no such file.
    """
    if not path.exists() and (own := shipped().get(str(path))):
        path = own
    if path.name == bundle.WEIGHTS and path.with_name(bundle.SAYS).is_file():
        path = path.parent
    if (path / bundle.SAYS).is_file():
        return path / bundle.SAYS
    if path.is_dir():
        path = path / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise UsageError(f"ckpt={path}: no such file; a run keeps checkpoints/last.ckpt and best.ckpt")
    return path


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint with `weights_only=True`.

    Raises:
        UsageError: there is no such file, or it is not a checkpoint of ours.
    """
    path = locate(path)
    try:
        checkpoint: dict[str, Any] = (
            bundle.read_bundle(path)
            if path.name == bundle.SAYS
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"ckpt={path}: cannot be read ({type(error).__name__}); is it damaged?") from error
    about = checkpoint.get("toonlab") if isinstance(checkpoint, dict) else None
    if not about:
        raise UsageError(f"ckpt={path}: not a toonlab checkpoint; train one with src/train.py")
    if about["format"] > CHECKPOINT_FORMAT:
        raise UsageError(
            f"ckpt={path}: written by a newer toonlab (format {about['format']}); update toonlab"
        )
    return checkpoint


def load_generator(
    path: Path,
    *,
    average: bool = True,
    reverse: bool = False,
    style: str | Mapping[str, float] | None = None,
) -> Loaded:
    """Rebuild a checkpoint's generator from the config inside it, as a plain network of one style.

    Args:
        path: a checkpoint file, or a run folder (its last checkpoint).
        average: take the EMA weights if there are any.
        reverse: take the generator that paints the other way; it has no average.
        style: of a checkpoint that holds several, see `in_style`.

    Raises:
        UsageError: see `load_network` and `in_style`.
    """
    return in_style(load_network(path, average=average, reverse=reverse), style)


def in_style(loaded: Loaded, style: str | Mapping[str, float] | None) -> Loaded:
    """Fold a network of several styles into a plain one; leave a plain network alone.

    Args:
        loaded: as `load_network` returns it.
        style: a name, or shares of several (`{"a": 0.7, "b": 0.3}`); None takes the only one.

    Raises:
        UsageError: the network has no styles, or none such, or several and none was chosen.
    """
    if not isinstance(loaded.generator, Styled):
        if style is not None:
            raise UsageError(
                f"style={shown(style)}: this checkpoint's {type(loaded.generator).__name__} has one style, "
                "without a name; leave style out, or give packs=… as well"
            )
        return loaded
    domains = loaded.generator.domains
    if not domains:
        raise UsageError("this checkpoint is a trunk without a style: give packs=FILE as well")
    if style is None:
        if len(domains) > 1:
            even = shown(dict.fromkeys(domains[:2], 0.5))
            raise UsageError(
                f"this checkpoint holds {len(domains)} styles, {', '.join(domains)}: choose one with "
                f"style={domains[0]}, or mix them with 'style={even}'"
            )
        style = domains[0]
    try:
        plain = loaded.generator.fold(style)
    except ValueError as error:
        raise UsageError(f"style={shown(style)}: {error}") from error
    shares = {style: 1.0} if isinstance(style, str) else dict(style)
    return loaded._replace(generator=plain.eval().requires_grad_(False), style=shares)


def shown(style: str | Mapping[str, float]) -> str:
    """Write a style as on the command line: `a`, or `{a: 0.7, b: 0.3}`."""
    if isinstance(style, str):
        return style
    return f"{{{', '.join(f'{name}: {share}' for name, share in style.items())}}}"


def load_network(path: Path, *, average: bool = True, reverse: bool = False) -> Loaded:
    """Rebuild a checkpoint's generator from the config inside it, with all its styles if it has some.

    Args:
        path: a checkpoint file, or a run folder (its last checkpoint).
        average: take the EMA weights if there are any.
        reverse: take the generator that paints the other way; it has no average.

    Raises:
        UsageError: see `read`; or the weights do not fit the network, or nothing paints the other way.
    """
    return rebuild(read(path), path, average=average, reverse=reverse)


def rebuild(
    checkpoint: Mapping[str, Any], path: Path, *, average: bool = True, reverse: bool = False
) -> Loaded:
    """Do `load_network` with what `read` returned of `path`."""
    about = checkpoint["toonlab"]
    name = "inverse_generator" if reverse else "generator"
    if name not in about["config"]["method"]:
        raise UsageError(
            f"reverse=true: ckpt={path} holds one generator; method=cyclegan… train both directions"
        )
    state, prefix, painting = checkpoint["state_dict"], f"{name}.", dict(about["painting"])
    if reverse:
        painting["direction"] = opposite(painting["direction"])
    elif average and any(name.startswith("ema.average.") for name in state):
        prefix = "ema.average."
    generator = build(about["config"]["method"][name])
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(f"ckpt={path}: its weights do not fit the generator it describes") from error
    return Loaded(
        generator.eval().requires_grad_(False),
        painting,
        about["config"],
        about["iteration"],
        about.get("origin"),
    )


def write_imported(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    painting: dict[str, Any],
    config: dict[str, Any],
    origin: dict[str, str],
    iteration: int = 0,
) -> None:
    """Write a generator that was trained elsewhere as a checkpoint that `load_generator` reads.

    Args:
        path: where; its folder is made.
        state: the generator's state dict.
        painting: as `ToonMethod.painting` returns it.
        config: with the generator's node at `method.generator`.
        origin: where the weights came from.
        iteration: how long they were trained, if it is known.
    """
    about = {
        "format": CHECKPOINT_FORMAT,
        "iteration": iteration,
        "scores": {},
        "scored_at": 0,
        "painting": painting,
        "config": config,
        "origin": origin,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        weights = {f"generator.{name}": value for name, value in state.items()}
        torch.save({"state_dict": weights, "toonlab": about}, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def build(node: Mapping[str, Any]) -> nn.Module:
    """Make the network that a checkpoint's config describes by `_target_`.

    A checkpoint may come from a stranger, so only classes of networks are ever called.

    Raises:
        UsageError: the target is missing or is no `torch.nn.Module`.
    """
    arguments = dict(node)
    module_name, _, name = str(arguments.pop("_target_")).rpartition(".")
    is_partial = arguments.pop("_partial_", False)
    try:
        target = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"the checkpoint needs {module_name}.{name}, which is not installed here") from error
    if not (isinstance(target, type) and issubclass(target, nn.Module)):
        raise UsageError(f"the checkpoint asks to call {module_name}.{name}, which is no network: refused")
    built = {
        key: build(value) if isinstance(value, Mapping) and "_target_" in value else value
        for key, value in arguments.items()
    }
    network: nn.Module = partial(target, **built) if is_partial else target(**built)  # type: ignore[assignment]
    return network
