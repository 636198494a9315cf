"""`quality=broad`: a small copy, enlarged, its lines sharpened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toonlab import images
from toonlab.engine.quality import QUALITIES
from toonlab.errors import UsageError
from toonlab.inference import fast as module
from toonlab.inference.broad import Broad
from toonlab.inference.fast import enlarged
from toonlab.inference.pixels import Pixels
from toonlab.inference.quality import CHOICES, KINDS, small_copy
from toonlab.inference.stylizer import Stylizer


class Watch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(photo.shape[-2:]))
        return -photo


def stylizer(network: nn.Module, **more: Any) -> Stylizer:
    return Stylizer(network, multiple=1, output_filter=None, tile=None, **more)


def photo(height: int, width: int) -> torch.Tensor:
    torch.manual_seed(0)
    return F.interpolate(torch.rand(1, 3, 7, 9) * 2 - 1, size=(height, width), mode="bicubic").clamp(-1, 1)


def test_the_copy_has_the_asked_side_and_is_never_too_small() -> None:
    network = Watch()
    painter = stylizer(network, small=Broad(side=40, most=3))
    for size in ((80, 100), (40, 200), (400, 300), (41, 41), (16, 16)):
        assert painter.paint(photo(*size)).shape == (1, 3, *size)
    assert network.seen == [(40, 50), (40, 200), (133, 100), (40, 40), (16, 16)]


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    painter, picture = stylizer(Watch(), small=Broad(side=40)), photo(301, 120)
    monkeypatch.setattr(module, "STRIP", 10_000)
    whole = painter.paint(picture)
    monkeypatch.setattr(module, "STRIP", 37)
    torch.testing.assert_close(painter.paint(picture), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(60, 80), (97, 53), (20, 26)])
def test_rows_are_enlarged_as_the_whole_is(size: tuple[int, int]) -> None:
    small = photo(20, 26)
    expected = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged(small, slice(0, size[0]), size), expected, atol=1e-5, rtol=0)
    rows = slice(5, size[0] - 3)
    torch.testing.assert_close(enlarged(small, rows, size), expected[:, :, rows], atol=1e-5, rtol=0)


def test_edges_are_sharper_than_enlarged_ones() -> None:
    square = torch.full((1, 3, 120, 120), -0.7)
    square[..., 30:90, 30:90] = 0.6
    painted = stylizer(Watch(), small=Broad(side=40, ink=0)).paint(square)
    soft = F.interpolate(F.interpolate(-square, size=(40, 40), mode="area"), size=(120, 120), mode="bilinear")
    assert painted[0, 0, 60].diff().abs().max() > 1.5 * soft[0, 0, 60].diff().abs().max()
    assert (painted + square).abs().mean() < 0.5 * (soft + square).abs().mean()


def test_fine_dark_lines_are_drawn_in_and_fine_light_ones_are_not() -> None:
    for line, ink, expected in ((-0.6, 1.0, -0.5), (-0.6, 0.5, -0.2), (-0.6, 0.0, 0.1), (0.9, 1.0, 0.3)):
        lines = torch.full((1, 3, 120, 120), 0.3)
        lines[..., 60] = line
        painted = stylizer(nn.Identity(), small=Broad(side=40, ink=ink)).paint(lines)
        assert painted[0, 0, 60, 60].item() == pytest.approx(expected, abs=0.25), (line, ink)
        torch.testing.assert_close(painted[..., :40], lines[..., :40])
    grain = 0.3 + 0.02 * torch.randn(1, 3, 120, 120)
    one, other = (stylizer(nn.Identity(), small=Broad(side=40, ink=ink)).paint(grain) for ink in (0, 1))
    assert (one - other).abs().max() < 0.02


def test_bytes_of_8_and_16_bits_are_the_same_picture() -> None:
    picture = photo(120, 80)  # twice the copy, so that both ways of making it smaller are exact
    painter = stylizer(Watch(), small=Broad(side=40))
    expected = painter.paint(picture)[0].permute(1, 2, 0).numpy()
    for kind in (np.uint8, np.uint16):
        half = np.iinfo(kind).max / 2
        values = ((picture[0].permute(1, 2, 0).numpy() + 1) * half).round().astype(kind)
        target = Pixels(np.zeros_like(values))
        painter.paint_pixels(Pixels(values), target)
        assert np.abs(target.values / half - 1 - expected).max() < 0.03


def test_kept_colours_are_the_photos_own() -> None:
    picture = images.from_uint8(torch.randint(0, 256, (1, 3, 90, 70), dtype=torch.uint8)) * 0.3
    difference = stylizer(Watch(), keep_color=1.0, small=Broad(side=40)).paint(picture) - picture
    torch.testing.assert_close(difference[:, 0], difference[:, 1], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        *({"side": 8}, {"side": "abc"}, {"side": 48.5}),
        *({"most": 0.5}, {"most": float("nan")}, {"ink": -1.0}, {"ink": float("inf")}, {"ink": float("nan")}),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"broad.{next(iter(changes))}="):
        Broad(**changes)


def test_a_network_says_how_it_is_best_and_the_user_has_the_last_word() -> None:
    assert set(KINDS) | {"full"} == set(QUALITIES) == set(CHOICES) - {"auto"}
    asks = {"quality": "broad"}
    assert small_copy("auto", {}) is None
    assert small_copy("auto", asks, broad={"side": 300}) == Broad(side=300)
    assert small_copy("full", asks) is None
    with pytest.raises(UsageError, match="quality=best: use one of auto, full, fast, broad"):
        small_copy("best", asks)
