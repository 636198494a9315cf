"""A camera's frames: painted, shown until somebody has enough, recorded with their moments."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import nn

from films import decoded, picture, times
from toonlab.inference.film.live import Recorder, live
from toonlab.inference.stylizer import Stylizer


class Negative(nn.Module):
    def forward(self, photos):
        return -photos


STYLIZER = Stylizer(Negative(), multiple=1, output_filter=None, tile=None)


def test_frames_are_painted_and_shown_until_q() -> None:
    shown: list[np.ndarray] = []

    def show(frame: np.ndarray, _: float) -> bool:
        shown.append(frame)
        return len(shown) < 3

    taken = (picture(i, 32, 24) for i in range(9))
    assert live(taken, STYLIZER, show, side=None) == 3
    assert np.abs(shown[1].astype(int) - (255 - picture(1, 32, 24))).max() <= 1
    assert next(taken)[12, 4].tolist() == [255, 255, 255]  # no frame was taken that is not shown... but one


def test_the_rate_is_told_and_large_frames_are_made_smaller() -> None:
    moments = iter(range(0, 100, 2))  # a frame in 2 s
    told: list[float] = []

    def show(frame: np.ndarray, rate: float) -> bool:
        told.append(rate)
        assert frame.shape == (30, 40, 3)
        return True

    frames = [np.zeros((120, 160, 3), np.uint8)] * 4
    assert live(frames, STYLIZER, show, side=40, clock=lambda: float(next(moments))) == 4
    assert told == [0.5] * 4


def test_a_recording_keeps_the_moments_and_plays_unclosed(tmp_path: Path) -> None:
    moments = [5.0, 5.1, 5.4, 5.41, 6.0]
    recorder = Recorder(tmp_path / "camera.mp4")
    for number, moment in enumerate(moments):
        recorder.write(picture(number, 33, 25), moment)
    recorder.close()
    assert times(recorder.path) == [Fraction(t, 1000) for t in (0, 100, 400, 410, 1000)]
    assert decoded(recorder.path)[0].shape == (26, 34, 3)
