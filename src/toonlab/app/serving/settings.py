"""The controls on the right of the page; each is shown only where it means something."""

from __future__ import annotations

from typing import Any

import gradio as gr
from omegaconf import DictConfig

from toonlab.app.serving.shelf import Shelf, Wish
from toonlab.app.serving.work import KINDS
from toonlab.inference.quality import AUTO, CHOICES

ALONE = "no other"
OWN = "its own"
"""Stands where a model has nothing to choose: a call of another program may leave it out."""


class Settings:
    """Controls of what is painted, and what they say together."""

    def __init__(self, cfg: DictConfig, shelf: Shelf) -> None:
        self.offered = shelf.offered
        models = list(self.offered)
        first = next(iter(self.offered.values()))
        emphases = _all(offer.variants for offer in self.offered.values())
        styles = _all(v.styles for offer in self.offered.values() for v in offer.variants.values())
        variant = first.variant(None)
        self.model = gr.Dropdown(
            models,
            value=models[0],
            label="Model",
            elem_id="model",
            visible=len(models) > 1,
            filterable=len(models) > 8,
        )
        # All choices of all models, so that a call of another program may name any; the page narrows them.
        self.emphasis = gr.Radio(
            [*emphases, OWN],
            value=_first(_all([first.variants])),
            label="Emphasis",
            elem_id="emphasis",
            visible=len(first.variants) > 1,
        )
        self.style = gr.Dropdown(
            [*styles, OWN],
            value=_first(variant.styles),
            label="Style",
            elem_id="style",
            visible=bool(variant.styles),
        )
        self.second = gr.Dropdown(
            [ALONE, *styles],
            value=ALONE,
            label="Mixed with",
            elem_id="second",
            visible=len(variant.styles) > 1,
        )
        self.share = gr.Slider(
            0, 1, value=0.5, step=0.05, label="Share of the other", elem_id="share", visible=False
        )
        self.strength = gr.Slider(
            0,
            1,
            value=cfg.strength,
            step=0.05,
            label="Strength",
            elem_id="strength",
            visible=variant.filtered,
            info="1 follows the photo's edges, 0 is the network's own hand",
        )
        self.keep_color = gr.Slider(
            0, 1, value=0.0, step=0.05, label="Keep the photo's colours", elem_id="keep-color"
        )
        self.quality = gr.Radio(
            list(CHOICES),
            value=AUTO,
            label="Quality",
            elem_id="quality",
            info="fast paints a small copy and lifts it by the photo's edges; broad enlarges it: broader "
            "lines and strokes; auto: what suits the network",
        )
        self.kind = gr.Radio(
            [("as the photo's", "auto"), *((kind, kind) for kind in KINDS)],
            value="auto",
            label="File of a picture",
            elem_id="kind",
        )

    @property
    def inputs(self) -> list[Any]:
        """Return the controls in the order that `wish` takes them."""
        return [
            self.model,
            self.emphasis,
            self.style,
            self.second,
            self.share,
            self.strength,
            self.keep_color,
            self.quality,
        ]

    def wish(
        self,
        model: str,
        emphasis: str | None,
        style: str | None,
        second: str | None,
        share: float,
        strength: float,
        keep_color: Any,
        quality: Any,
    ) -> Wish:
        """Return what the controls say."""
        mixture: tuple[tuple[str, float], ...] | None = None
        style = None if style == OWN else style
        if style and second and second not in (ALONE, style) and share > 0:
            mixture = ((style, round(1 - share, 6)), (second, round(share, 6)))
        elif style:
            mixture = ((style, 1.0),)
        return Wish(
            model=model,
            emphasis=None if emphasis == OWN else emphasis,
            style=mixture,
            strength=round(float(strength), 4),
            extras=(("keep_color", float(keep_color or 0)), ("quality", quality)),
        )

    def wire(self, blocks: gr.Blocks) -> None:
        """Let the controls follow the model."""
        shown = [self.emphasis, self.style, self.second, self.share, self.strength]
        blocks.load(
            self._follow, self.model, shown, api_visibility="private", queue=False, show_progress="hidden"
        )
        self.model.input(
            self._follow, self.model, shown, api_visibility="private", queue=False, show_progress="hidden"
        )
        self.second.input(
            lambda second: gr.update(visible=second != ALONE),
            self.second,
            self.share,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )

    def _follow(self, model: str) -> list[Any]:
        offer = self.offered.get(model) or next(iter(self.offered.values()))
        variant = offer.variant(None)
        emphases = [name for name in offer.variants if name]
        several = len(variant.styles) > 1
        return [
            gr.update(choices=emphases or [OWN], value=_first(emphases), visible=len(emphases) > 1),
            gr.update(
                choices=list(variant.styles) or [OWN],
                value=_first(variant.styles),
                visible=bool(variant.styles),
            ),
            gr.update(choices=[ALONE, *variant.styles], value=ALONE, visible=several),
            gr.update(visible=False),
            gr.update(visible=variant.filtered),
        ]


def _all(groups: Any) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group if name))


def _first(names: Any) -> str:
    return next(iter(names), OWN)
