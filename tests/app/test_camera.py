"""`input=camera`, with a camera and a window of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf
from torch import nn

from films import decoded, film, picture
from toonlab.app import camera
from toonlab.errors import UsageError
from toonlab.inference.stylizer import Stylizer


class Negative(nn.Module):
    def forward(self, photos):
        return -photos


STYLIZER = Stylizer(Negative(), multiple=1, output_filter=None, tile=None)


def settings(**more: object) -> Any:
    usual = {"input": "camera", "output": "???", "overwrite": False, "crf": None, "temporal": "none"}
    return OmegaConf.create(usual | {"camera_side": 640} | more)


class Window:
    """Keeps what is shown; q is pressed at the last of some frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, until: int) -> None:
        self.shown: list[np.ndarray] = []
        monkeypatch.setenv("DISPLAY", ":test")
        monkeypatch.setattr(cv2, "imshow", lambda _, frame: self.shown.append(frame))
        monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(self.shown) == until else -1)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)


def test_a_film_as_camera_is_shown_painted_until_q_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = film(tmp_path / "in.avi", 9, (96, 80), codec="mjpeg", pixels="yuvj420p", sound=())
    window = Window(monkeypatch, until=4)
    camera.watch(settings(input=f"camera:{taken}", output=str(tmp_path / "out.mp4")), STYLIZER)
    assert len(window.shown) == 4
    negative = 255 - picture(2, 96, 80)[..., ::-1].astype(int)  # windows are BGR
    assert np.abs(window.shown[2][40:] - negative[40:]).mean() < 12  # above is the rate
    assert (window.shown[2][:30, :80].max(-1) > 250).any()
    assert len(decoded(tmp_path / "out.mp4")) == 4
    with pytest.raises(UsageError, match="is there already"):
        camera.watch(settings(input=f"camera:{taken}", output=str(tmp_path / "out.mp4")), STYLIZER)


def test_a_number_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Nothing:
        def __init__(self, device: object) -> None:
            asked.append(device)

        def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
            return False

    monkeypatch.setattr(cv2, "VideoCapture", Nothing)
    Window(monkeypatch, until=1)
    for word in ("camera", "camera:1"):
        with pytest.raises(UsageError, match="no such camera"):
            camera.watch(settings(input=word), STYLIZER)
    assert asked == [0, 1]


def test_without_a_display_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UsageError, match="no display"):
        camera.watch(settings(), STYLIZER)
    with pytest.raises(UsageError, match=r"recorded as \.mp4"):
        camera.watch(settings(output="x.gif"), STYLIZER)


def test_without_a_display_it_is_recorded_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(cv2, "imshow", lambda *_: pytest.fail("a window was opened"))
    source = film(tmp_path / "in.avi", 5, codec="mjpeg", pixels="yuvj420p", sound=())
    camera.watch(settings(input=f"camera:{source}", output=str(tmp_path / "out.mp4")), STYLIZER)
    assert len(decoded(tmp_path / "out.mp4")) == 5


def test_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert camera.is_camera("camera")
    assert camera.is_camera("camera:1")
    assert not camera.is_camera("cameras/")
    monkeypatch.chdir(tmp_path)
    Path("camera").mkdir()
    assert not camera.is_camera("camera")  # a folder of that name is a folder
