"""A page that shows where marks are: mean pictures, agreement over them, and the boxes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from toonlab import images as im
from toonlab.data.anchors import SIDE, Anchor
from toonlab.data.coherence import coherence, grouped
from toonlab.data.shortcut import ALPHA, Domain, Mark, stack

_TIMES = 3  # enlargement
_FAINT = 0.1  # of the highest agreement: not drawn, or a halo would hide the mark
_RED = (230, 30, 30)


def heat_map(domains: Sequence[Domain], marks: Sequence[Mark], *, workers: int = 1) -> Image.Image:
    """Draw each frame in which a mark was found, and the stretched one if there is none.

    A column for each domain: the mean of its pictures, yellow to red where fine detail agrees beyond chance,
    and each mark's box with its share of the pictures.
    """
    whole = Anchor("picture")
    rows = []
    for anchor in dict.fromkeys(mark.anchor for mark in marks) if marks else [whole]:
        here = [mark for mark in marks if mark.anchor == anchor]
        rows.append([_panel(domain, anchor, here, workers) for domain in domains])
    return im.sheet(rows, [domain.name for domain in domains])


def _panel(domain: Domain, anchor: Anchor, marks: Sequence[Mark], workers: int) -> Image.Image:
    maps, views = stack(domain.shots, anchor, workers)
    agreement = coherence(grouped(maps, domain.groups), alpha=ALPHA, rng=np.random.default_rng(0))
    total, count = np.zeros((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE, 1))
    for view in views:
        total[view.rows, view.columns] += view.pixels[view.rows, view.columns]
        count[view.rows, view.columns] += 1
    picture = Image.fromarray(_glowing(total / np.maximum(count, 1), agreement.excess))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=15)
    pen.text(
        (6, 4), str(anchor), "white", ImageFont.load_default(size=12), stroke_width=2, stroke_fill="black"
    )
    for mark in marks:
        top, left, height, width = (value * _TIMES for value in mark.place)
        pen.rectangle((left, top, left + width, top + height), outline=_RED, width=2)
        share = mark.share if mark.domain == domain.name else mark.other
        label = f"{share:.0%}" if mark.domain == domain.name else f"here: {share:.0%}"
        y = top - 20 if top > 40 else top + height + 3
        x = min(max(2.0, left), SIDE * _TIMES - pen.textlength(label, font) - 3)
        pen.text((x, y), label, "white", font, stroke_width=2, stroke_fill=_RED)
    return picture


def _glowing(mean: NDArray[np.floating], excess: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay agreement over a mean picture: none up to chance, full from eight times that."""
    side = SIDE * _TIMES
    large = cv2.resize(mean.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    heat = cv2.resize(excess.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    least = max(1.0, _FAINT * float(heat.max()))
    strength = np.clip(np.log2(np.maximum(heat, 1e-6) / least) / 3, 0, 1)[..., None]
    colour = np.array([255, 220, 0]) * (1 - strength) + np.array([230, 30, 30]) * strength
    weight = np.where(strength > 0, 0.25 + 0.4 * strength, 0)
    return np.asarray((large * (1 - weight) + colour * weight).round().clip(0, 255), dtype=np.uint8)
