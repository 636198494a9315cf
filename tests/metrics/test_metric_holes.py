"""Hole-only scores by hand; what lies outside the hole does not count."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from metrics.metric_tiny import TinyNetwork, pictures
from toonlab.metrics.holes import PSNR_TOP, HoleDistance, HoleMetrics, hole_l1, hole_psnr


def boxed(n: int = 1, side: int = 32) -> Tensor:
    known = torch.ones(n, 1, side, side)
    known[..., 8:16, 8:24] = 0
    return known


def levels(value: int) -> Tensor:
    return torch.full((1, 3, 32, 32), value / 127.5 - 1)


def test_l1_and_psnr_by_hand() -> None:
    ours, known = levels(151), boxed()
    ours[..., 8:16, 8:16] = 100 / 127.5 - 1  # half of the hole is right
    assert float(hole_l1(ours, levels(100), known)) == pytest.approx(51 / 255 / 2)
    assert float(hole_psnr(ours, levels(100), known)) == pytest.approx(-10 * math.log10(0.2**2 / 2))
    assert float(hole_psnr(ours, ours, known)) == PSNR_TOP
    assert float(hole_l1(ours, ours, known)) == 0


def test_only_the_hole_counts_and_each_picture_by_itself() -> None:
    clean, known = pictures(2, 0), boxed(2)
    ours = clean.clone()
    ours[:, :, :8] = 1  # outside
    ours[1, :, 10, 10] = -1
    for score in (hole_l1(ours, clean, known), PSNR_TOP - hole_psnr(ours, clean, known)):
        assert score[0] == 0
        assert score[1] > 0


class Pixels(nn.Module):
    """Features that are the pixels, and means of 4x4 of them: nothing sees further than its place."""

    taps = ("fine", "coarse")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"fine": images, "coarse": nn.functional.avg_pool2d(images, 4)}


def test_feature_distance_by_hand() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    ours = red.clone()
    ours[..., :4, :] = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)  # orthogonal: 2
    known = torch.ones(1, 1, 8, 8)
    known[..., 2:5, :] = 0
    # Fine: rows 2 and 3 of 2, 3 and 4 differ. Coarse: the upper cells hold two thirds of the hole.
    distance = HoleDistance(network=Pixels(), name="pixels", input_size=None)
    ours, red = (
        ours * 2 / 255,
        red * 2 / 255,
    )  # near zero: 8 bits do not hold zero itself, so a small tolerance
    assert float(distance(ours * 127, red * 127, known)) == pytest.approx((4 / 3 + 4 / 3) / 2, abs=0.02)


def test_without_a_hole_the_scores_are_nan_and_counted_apart() -> None:
    distance = HoleDistance(network=TinyNetwork(), name="tiny", input_size=32)
    scores = HoleMetrics(distance=distance)
    clean = pictures(3, 0)
    known = boxed(3)
    known[1] = 1
    assert scores.measure(clean * 0.5, clean, known).isnan().any(dim=1).tolist() == [False, True, False]
    scores.update(clean * 0.5, clean, known)
    assert (len(scores.rows()), int(scores.whole)) == (2, 1)
    scores.update(clean, clean, boxed(3))
    found = scores.compute()
    assert list(found) == ["hole_l1", "hole_psnr", "hole_tiny"]
    assert all(value.isfinite() for value in found.values())
    torch.testing.assert_close(torch.stack(list(found.values())), scores.rows().mean(dim=0))
    assert not list(scores.parameters())  # the network stays outside
    scores.reset()
    assert len(scores.rows()) == 0


def test_more_damage_scores_worse_and_batches_do_not_matter() -> None:
    distance = HoleDistance(network=TinyNetwork(), name="tiny", input_size=32)
    clean, known = pictures(4, 0), boxed(4)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * (1 - known)
    found = [HoleMetrics(distance=distance).measure(clean + s * noise, clean, known) for s in (0, 0.1, 0.5)]
    assert (found[0][:, [0, 2]] == 0).all()
    for column, sign in ((0, 1), (1, -1), (2, 1)):
        assert (sign * (found[2][:, column] - found[1][:, column]) > 0).all()
        assert (sign * (found[1][:, column] - found[0][:, column]) > 0).all()
    noisy, scores = clean + 0.5 * noise, HoleMetrics(distance=distance)
    single = [scores.measure(noisy[i, None], clean[i, None], known[i, None]) for i in range(4)]
    torch.testing.assert_close(torch.cat(single), found[2], atol=1e-6, rtol=1e-5)


def test_one_process_scores_without_waiting_for_the_others() -> None:
    def wait(*_: object, **__: object) -> None:
        raise AssertionError("would wait for ever: the first process scores alone")

    suite = HoleMetrics(distance=None, distributed_available_fn=lambda: True, dist_sync_fn=wait)
    picture, known = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    known[..., 2:4, 2:4] = 0
    suite.update(picture, picture, known)
    assert float(suite.compute()["hole_l1"]) == 0
