"""First guesses: known pixels bit by bit, and OpenCV's own answers in the hole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab import images
from toonlab.errors import UsageError
from toonlab.representations.inpainting.holes import KINDS, hole
from toonlab.representations.inpainting.prefill import WAYS, prefill


def photos(n: int = 2, side: int = 24, seed: int = 0) -> torch.Tensor:
    small = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(small, size=side, mode="bilinear")


@settings(max_examples=30, deadline=None)
@given(how=st.sampled_from(WAYS), kind=st.sampled_from(KINDS), seed=st.integers(0, 99))
def test_known_pixels_are_untouched_and_the_hole_unseen(how: str, kind: str, seed: int) -> None:
    clean = photos(1, seed=seed)
    known = hole(kind, 24, 24, torch.Generator().manual_seed(seed))[None]
    filled = prefill(clean, known, how)
    assert torch.equal(filled[known.expand_as(clean) == 1], clean[known.expand_as(clean) == 1])
    assert filled.isfinite().all()
    assert filled.abs().max() <= 1
    hidden = torch.where(known > 0, clean, torch.full_like(clean, torch.nan))
    assert torch.equal(prefill(hidden, known, how), filled)


def test_mean_by_hand() -> None:
    photo = torch.tensor([[0.0, 0.5], [1.0, 9.0]]).expand(1, 3, 2, 2)
    known = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).view(1, 1, 2, 2)
    assert prefill(photo, known, "mean")[0, :, 1, 1].tolist() == [0.5] * 3


@pytest.mark.parametrize(("how", "flag"), [("telea", cv2.INPAINT_TELEA), ("ns", cv2.INPAINT_NS)])
def test_is_opencvs_in_the_hole_for_each_photo_by_itself(how: str, flag: int) -> None:
    clean = photos()
    known = torch.stack([hole("box", 24, 24, torch.Generator()), hole("half", 24, 24, torch.Generator())])
    filled = prefill(clean, known, how)
    hidden = torch.where(known > 0, clean, torch.zeros_like(clean))  # OpenCV's Telea peeks into the hole
    for photo, mask, ours in zip(hidden, known, filled, strict=True):
        missing = (mask[0] == 0).numpy()
        theirs = cv2.inpaint(images.to_array(photo), missing.astype(np.uint8), 3.0, flag)
        assert (images.to_array(ours)[missing] == theirs[missing]).all()


def test_the_ends() -> None:
    clean = photos(1)
    for how in WAYS:
        assert torch.equal(prefill(clean, torch.ones(1, 1, 24, 24), how), clean)
        assert torch.equal(prefill(clean, torch.zeros(1, 1, 24, 24), how), torch.zeros_like(clean))
    with pytest.raises(UsageError, match=r"prefill=tela: use one of telea, ns, mean.*'telea'"):
        prefill(clean, torch.ones(1, 1, 24, 24), "tela")
