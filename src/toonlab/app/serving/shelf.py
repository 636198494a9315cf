"""The networks in memory: loaded when first asked for, a few at a time, one at work on the device."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from omegaconf import DictConfig

from toonlab.app import painter
from toonlab.app.runtime import with_runtime
from toonlab.app.serving.offers import Offer, load
from toonlab.engine.checkpoint import Loaded, Styled, in_style
from toonlab.errors import UsageError
from toonlab.inference.stylizer import Stylizer

K = TypeVar("K")
V = TypeVar("V")


class Wish(NamedTuple):
    """What a visitor chose."""

    model: str
    emphasis: str | None = None
    style: tuple[tuple[str, float], ...] | None = None
    strength: float = 1.0
    extras: tuple[tuple[str, Any], ...] = ()


class Shelf:
    """Makes a `Stylizer` for a wish.

    Args:
        cfg: of `conf/serve.yaml`.
        offered: the models of the page.
        device: where all of them work, one at a time.
    """

    def __init__(self, cfg: DictConfig, offered: Mapping[str, Offer], device: torch.device) -> None:
        self.cfg, self.offered, self.device = cfg, offered, device
        self.turn = threading.RLock()
        """Held by whoever paints: two jobs at once would take twice the memory and be no faster."""
        self._mutex = threading.Lock()
        self._loaded: OrderedDict[Path | None, Loaded] = OrderedDict()
        self._ready: OrderedDict[Wish, Stylizer] = OrderedDict()

    def stylizer(self, wish: Wish) -> Stylizer:
        """Return the painter of a wish; its `paint` waits for its turn.

        Raises:
            UsageError: nothing like it is offered, or its file is gone.
        """
        if wish.model not in self.offered:
            raise UsageError(f"there is no model {wish.model} here: use {', '.join(self.offered)}")
        wish = wish._replace(style=None) if not self._styles(wish) else wish
        with self._mutex:
            ready = _kept(self._ready, wish, self.cfg.keep, lambda: self._make(wish))
            self._loaded.move_to_end(self._path(wish))
            return ready

    def held(self) -> int:
        """Return how many networks are in memory: checkpoints, and painters made of them."""
        return len(self._loaded)

    def _styles(self, wish: Wish) -> tuple[str, ...]:
        return self.offered[wish.model].variant(wish.emphasis).styles

    def _make(self, wish: Wish) -> Stylizer:
        variant = self.offered[wish.model].variant(wish.emphasis)
        path = variant.path
        whole = _kept(self._loaded, path, self.cfg.keep, lambda: self._load(path))
        # Painters of a network that was put away would hold it in memory.
        for other in [w for w in self._ready if self._path(w) not in self._loaded]:
            del self._ready[other]
        style = dict(wish.style) if wish.style else (variant.styles[0] if variant.styles else None)
        loaded = in_style(whole, style) if isinstance(whole.generator, Styled) else whole
        loaded = with_runtime(self.cfg, loaded) if path is not None else loaded
        made = painter.stylizer(
            loaded,
            device=self.device,
            tile=self.cfg.tile if path is not None else None,
            strength=wish.strength if variant.filtered else 1.0,
            **dict(wish.extras),
        )
        return _in_turn(made, self.turn)

    def _path(self, wish: Wish) -> Path | None:
        return self.offered[wish.model].variant(wish.emphasis).path

    def _load(self, path: Path | None) -> Loaded:
        return Loaded(painter.drawer(self.cfg), {}, {}, 0) if path is None else load(self.cfg, path)


def _in_turn(stylizer: Stylizer, turn: contextlib.AbstractContextManager[Any]) -> Stylizer:
    """Let painting wait for the device: tiles of one network share its norms, so two must not be at it."""
    for name in ("paint", "paint_pixels", "paint_together"):
        setattr(stylizer, name, _waiting(getattr(stylizer, name), turn))
    return stylizer


def _waiting(paint: Callable[..., Any], turn: contextlib.AbstractContextManager[Any]) -> Callable[..., Any]:
    def waiting(*arguments: Any, **more: Any) -> Any:
        with turn:
            return paint(*arguments, **more)

    return waiting


def _kept(held: OrderedDict[K, V], key: K, most: int, make: Callable[[], V]) -> V:
    """Return what is held under `key`, made if need be; what was not asked for longest makes room first."""
    if key not in held:
        while len(held) >= max(most, 1):
            held.popitem(last=False)
        held[key] = make()
    held.move_to_end(key)
    return held[key]
