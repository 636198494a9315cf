"""Holes by kind, and masks as people paint them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toonlab.errors import UsageError
from toonlab.images import BadImageError
from toonlab.representations.inpainting.holes import KINDS, hole, read_mask


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(known: torch.Tensor) -> list[str]:
    return ["".join("#" if value else "." for value in row) for row in known[0].int().tolist()]


def test_fixed_kinds_by_hand() -> None:
    assert rows(hole("box", 4, 8, rng())) == ["########", "##....##", "##....##", "########"]
    assert rows(hole("half", 2, 5, rng())) == ["..###", "..###"]
    assert rows(hole("grid", 5, 6, rng())) == ["#...#.", "......", "......", "......", "#...#."]
    assert rows(hole("grid", 2, 4, rng(), grid_step=2)) == ["#.#.", "...."]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    height=st.integers(8, 90),
    width=st.integers(8, 90),
    seed=st.integers(0, 1000),
)
def test_every_hole_leaves_something(kind: str, height: int, width: int, seed: int) -> None:
    known = hole(kind, height, width, rng(seed))
    assert known.shape == (1, height, width)
    assert known.dtype == torch.float32
    assert set(known.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(known, hole(kind, height, width, rng(seed)))
    share = 1 - float(known.mean())
    if kind == "blocks":
        assert 0.05 <= share <= 0.4
    if kind == "box" and height % 4 == width % 4 == 0:
        assert share == 0.25


def test_draws_differ_by_seed_and_keep_their_shares() -> None:
    for kind, low, high in (("random", 0.19, 0.21), ("blocks", 0.05, 0.4)):
        one, two = (hole(kind, 200, 200, rng(seed)) for seed in (1, 2))
        assert not torch.equal(one, two)
        assert low <= 1 - float(one.mean()) <= high
    assert 0.79 < 1 - float(hole("random", 200, 200, rng(), random_share=0.8).mean()) < 0.81


def test_blocks_are_one_to_five_and_of_all_sizes() -> None:
    from scipy.ndimage import label

    masks = [hole("blocks", 64, 64, rng(seed)) for seed in range(60)]
    pieces = {label(1 - mask[0].numpy())[1] for mask in masks}
    assert pieces <= {1, 2, 3, 4, 5}
    assert len(pieces) >= 4
    shares = torch.tensor([1 - float(mask.mean()) for mask in masks])
    assert float(shares.min()) < 0.12
    assert float(shares.max()) > 0.3


def test_mistakes() -> None:
    with pytest.raises(UsageError, match=r"mask=blok: use one of .*did you mean 'blocks'"):
        hole("blok", 8, 8, rng())
    for kind in ("box", "blocks", "half"):
        with pytest.raises(UsageError, match=f"mask={kind}: .*1x1 pixels is too small"):
            hole(kind, 1, 1, rng())


def painted(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def strokes(height: int = 6, width: int = 8) -> np.ndarray:
    values = np.zeros((height, width))
    values[:2, :3] = 255  # touches two borders
    return values


def test_white_is_to_be_filled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = torch.from_numpy(strokes() == 0).float()[None]
    rgba = np.dstack([np.full((6, 8, 3), 255), strokes()])  # white strokes on an empty layer
    one_bit = Image.fromarray(strokes().astype(np.uint8)).convert("1")
    one_bit.save(tmp_path / "one.png")
    for path in (
        painted(tmp_path / "grey.png", strokes()),
        painted(tmp_path / "rgb.png", np.dstack([strokes()] * 3)),
        painted(tmp_path / "layer.png", rgba),
        tmp_path / "one.png",
    ):
        assert torch.equal(read_mask(path, 6, 8), expected), path
    assert not caplog.records


def test_jpeg_is_read_as_painted_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = np.zeros((64, 64))
    values[16:48, 16:48] = 255
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "m.jpg", quality=90)
    assert torch.equal(read_mask(tmp_path / "m.jpg", 64, 64), torch.from_numpy(values == 0).float()[None])
    assert not caplog.records


def test_grey_is_decided_at_half_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = strokes()
    values[5] = [127] * 4 + [128] * 4
    with caplog.at_level(logging.WARNING):
        known = read_mask(painted(tmp_path / "soft.png", values), 6, 8)
    assert known[0, 5].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert "soft.png: 8 of its pixels (16.7 %) are grey" in caplog.text


def test_wrong_masks_are_told(tmp_path: Path) -> None:
    black = painted(tmp_path / "black.png", np.zeros((6, 8)))
    assert read_mask(black, 6, 8).all()  # nothing to fill is no mistake here
    white = painted(tmp_path / "white.png", np.full((6, 8), 255))
    with pytest.raises(UsageError, match=r"white.png is white all over"):
        read_mask(white, 6, 8)
    with pytest.raises(UsageError, match=r"black.png is 8x6 and its photo 16x12 pixels: .*mask_resize=true"):
        read_mask(black, 12, 16)
    hidden = np.dstack([np.zeros((6, 8, 3)), 255 - strokes()])  # the hole is cut out of the alpha channel
    with pytest.raises(UsageError, match="only transparent: paint what is to be filled white"):
        read_mask(painted(tmp_path / "cut.png", hidden), 6, 8)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(BadImageError):
        read_mask(tmp_path / "text.png", 6, 8)


def test_resizing_on_request_stays_black_and_white(tmp_path: Path) -> None:
    known = read_mask(painted(tmp_path / "m.png", strokes()), 12, 16, resize=True)
    assert torch.equal(
        known, torch.from_numpy(strokes() == 0).float()[None].repeat_interleave(2, 1).repeat_interleave(2, 2)
    )
