"""Colours by the film's own matrix and range, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from torch import nn

from films import decoded, film
from toonlab.inference.film import paint_film
from toonlab.inference.film.colour import BT709, BT2020, FULL, LIMITED, SMPTE170M, Colour
from toonlab.inference.stylizer import Stylizer

# Of pure red: Y = kr, U = -kr / (2 (1 - kb)), V = 1/2, then scaled by 219 and 224 from 16 and 128, or by 255.
RED = [
    (BT709, LIMITED, (63, 102, 240)),  # kr 0.2126, kb 0.0722
    (BT709, FULL, (54, 99, 255)),
    (SMPTE170M, LIMITED, (81, 90, 240)),  # kr 0.299, kb 0.114
    (SMPTE170M, FULL, (76, 85, 255)),
    (BT2020, LIMITED, (74, 97, 240)),  # kr 0.2627, kb 0.0593
]


@pytest.mark.parametrize(("matrix", "range_", "expected"), RED)
def test_red_there_and_back(matrix: int, range_: int, expected: tuple[int, int, int]) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    colour = Colour(matrix=matrix, range=range_, tags=(matrix, range_, 1, 1))
    frame = colour.to_yuv(red, "yuv444p")
    assert np.abs(frame.to_ndarray()[:, 8, 8].astype(int) - expected).max() <= 1
    assert (frame.colorspace, frame.color_range) == (matrix, range_)
    assert np.abs(colour.to_rgb(frame, 16, 16).astype(int) - red).max() <= 2


class Same(nn.Module):
    def forward(self, photos):
        return photos


SAME = Stylizer(Same(), multiple=1, output_filter=None, tile=None)


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (1, 2, 1, 1), (6, 1, 6, 6), (5, 1, 5, 6), (2, 0, 2, 2)])
def test_tags_and_colours_are_the_sources(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    source = film(tmp_path / "in.mp4", 2, (64, 48), tags=tags if tags[0] != 2 else None, sound=())
    out = paint_film(SAME, source, tmp_path / "out.mp4").target
    with av.open(str(source)) as theirs, av.open(str(out)) as ours:
        contexts = [each.streams.video[0].codec_context for each in (ours, theirs)]
        told = [(c.colorspace, c.color_range, c.color_primaries, c.color_trc) for c in contexts]
    assert told[0] == told[1] == tags
    for a, b in zip(decoded(out), decoded(source), strict=True):
        assert np.abs(a[30:40, 8:24].astype(int) - b[30:40, 8:24]).max() <= 6  # flat red: of coding alone


def test_the_wrong_range_or_matrix_would_show() -> None:
    picture = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    picture[8:] = 255
    frame = Colour(matrix=BT709, range=LIMITED, tags=(1, 1, 1, 1)).to_yuv(picture, "yuv444p")
    full = Colour(matrix=BT709, range=FULL, tags=(1, 1, 1, 1)).to_rgb(frame, 16, 16)
    other = Colour(matrix=SMPTE170M, range=LIMITED, tags=(1, 1, 1, 1)).to_rgb(frame, 16, 16)
    assert abs(int(full[12, 8, 0]) - 235) <= 1  # white would be grey
    assert abs(other[4, 8].astype(int) - (255, 0, 0)).max() > 12
