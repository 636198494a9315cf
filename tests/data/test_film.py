"""Films read as they are shown; cuts, bars and subtitles found where they were put."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import panned, scene, write_film
from toonlab.data.film import Film, FilmError
from toonlab.data.frames import Taking, read, take
from toonlab.data.matte import Matte, Window
from toonlab.data.shots import Moment, Sampling, Series, pick, shots

SAMPLING = Sampling(
    cut=0.12, ratio=3.0, min_shot=0.4, per_shot=2, margin=0.2, flat=0.85, dark=16.0, sharp=20.0
)
TAKING = Taking(SAMPLING, True, "detect", 0.2, "png", 95)


def series_of(frames: list[np.ndarray], fps: float = 12) -> Series:
    series = Series(fps)
    for i, frame in enumerate(frames):
        series.add(i / fps, frame)
    return series


def test_rotation_and_square_pixels(tmp_path: Path) -> None:
    page = np.zeros((48, 64, 3), np.uint8)
    page[:24, :32] = 255, 0, 0  # red, top left
    plain = Film(write_film(tmp_path / "plain.mp4", [page] * 3))
    turned = Film(write_film(tmp_path / "turned.mp4", [page] * 3, turned=90))
    wide = Film(write_film(tmp_path / "wide.mp4", [page] * 3, aspect=Fraction(3, 2)))
    pictures = [film.picture(next(film.frames())[1]).astype(int) for film in (plain, turned, wide)]
    assert [p.shape for p in pictures] == [(48, 64, 3), (64, 48, 3), (48, 96, 3)]
    assert pictures[0][10, 10, 0] > 200
    assert pictures[1][50, 10, 0] > 200  # a quarter to the left: the top left is now at the bottom left
    assert pictures[1][10, 10, 0] < 60
    assert pictures[2][10, 40, 0] > 200
    assert plain.picture(next(plain.frames())[1], side=32).shape == (24, 32, 3)
    assert [round(t, 3) for t, _ in plain.frames()] == [0.0, 0.083, 0.167]


@pytest.mark.parametrize("colours", [(1, 1), (2, 1), (1, 5)])
def test_colours_are_right_in_every_range_and_space(tmp_path: Path, colours: tuple[int, int]) -> None:
    page = np.full((48, 64, 3), (200, 50, 20), np.uint8)
    film = Film(write_film(tmp_path / "a.mp4", [page] * 2, colours=colours))
    mean = film.picture(next(film.frames())[1]).mean(axis=(0, 1))
    assert np.abs(mean - (200, 50, 20)).max() < 5


def test_an_untagged_film_in_hd_is_bt709(tmp_path: Path) -> None:
    page = np.full((720, 64, 3), (200, 50, 20), np.uint8)
    film = Film(write_film(tmp_path / "hd.mp4", [page], colours=(1, 2)))
    frame = next(film.frames())[1]
    red = film.picture(frame)[0, 0].astype(int)
    assert red.tolist() == frame.to_ndarray(format="rgb24", src_colorspace=1)[0, 0].tolist()
    assert red.tolist() != frame.to_ndarray(format="rgb24", src_colorspace=5)[0, 0].tolist()


def test_what_is_no_film_says_so(tmp_path: Path) -> None:
    for name, content, words in (("a.mp4", b"", "empty"), ("b.mp4", b"junk" * 100, "Invalid data")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FilmError, match=words):
            Film(tmp_path / name)


def test_a_damaged_film_gives_what_it_has(tmp_path: Path) -> None:
    whole = write_film(
        tmp_path / "a.mkv", [f for s in range(6) for f in panned(scene(s, 96, 160), 12, 96, 128)]
    )
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(range(250)) * 12
    (tmp_path / "b.mkv").write_bytes(bytes(data))
    film = Film(tmp_path / "b.mkv")
    count = sum(1 for _ in film.frames())
    assert 30 < count < 72 or film.damaged > 0
    (tmp_path / "c.mkv").write_bytes(bytes(data[:middle]))
    assert 10 < sum(1 for _ in Film(tmp_path / "c.mkv").frames()) < 60


def test_cuts_are_found_and_motion_is_none() -> None:
    frames = [f for s in range(5) for f in panned(scene(s, 90, 320), 20, 90, 160)]  # fast pans
    series = series_of(frames)
    assert shots(series.moments, SAMPLING, 12) == [(i * 20, i * 20 + 20) for i in range(5)]
    assert not any(moment.dissolve for moment in series.moments)
    flash = [*frames[:10], np.full_like(frames[0], 255), *frames[11:20]]
    lengths = [b - a for a, b in shots(series_of(flash).moments, SAMPLING, 12)]
    assert lengths == [10, 1, 9]


def test_frames_are_taken_away_from_cuts_and_dissolves() -> None:
    first, second = (panned(scene(s, 90, 175), 36, 90, 160) for s in (1, 2))
    weights = np.linspace(0, 1, 14)[1:-1]
    blend = [
        (a * (1 - w) + b * w).astype(np.uint8)
        for a, b, w in zip(first[24:], second[:12], weights, strict=True)
    ]
    frames = [*first[:24], *blend, *second[12:]]
    series = series_of(frames)
    (one, two) = shots(series.moments, SAMPLING, 12)
    assert abs(one[1] - 30) <= 3
    assert two[1] == len(frames)
    picks, dropped = pick(series.moments, SAMPLING, 12)
    assert len(picks) == 4
    assert not any(25 <= p.frame < 35 for p in picks)
    assert not dropped


def moment(
    sharpness: float = 100.0, *, flat: float = 0.1, luma: float = 90.0, change: float = 0.01
) -> Moment:
    return Moment(0.0, change, False, sharpness, flat, luma)


def test_the_sharpest_good_frame_of_each_part_is_taken() -> None:
    moments = [moment(100 + i % 7) for i in range(40)]
    moments[12] = moment(900)
    moments[13] = moment(999, flat=0.9)  # sharper, but credits
    moments[30] = moment(800)
    moments[1] = moment(5000, change=0.5)  # within the margin of a cut
    moments[0] = moment(5000)
    moments = [*[moment()] * 20, moment(change=0.6), *moments[1:]]
    picks, dropped = pick(moments, SAMPLING, 10)
    assert [p.frame for p in picks if p.shot == max(p.shot for p in picks)] == [32, 50]
    assert dropped.total() == 1  # the shot of one frame
    assert dropped["shot too short"] == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (moment(luma=5), "black"),
        (moment(flat=0.95), "flat or credits"),
        (moment(3), "blurred"),
        (moment()._replace(dissolve=True), "dissolve or fade"),
    ],
)
def test_a_shot_without_a_good_frame_gives_none_and_says_why(bad: Moment, reason: str) -> None:
    picks, dropped = pick([bad] * 20, SAMPLING, 10)
    assert picks == []
    assert dropped.keys() == {reason}


def subtitled(frame: np.ndarray, text: str, bottom: int) -> np.ndarray:
    frame = frame.copy()
    for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 2)[0][0]
        place = (frame.shape[1] - width) // 2, bottom
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA)
    return frame


TEXTS = ("where are you going", "to the market for apples", "so far", "")


def test_bars_and_subtitles_are_found_and_a_dark_scene_is_no_bar() -> None:
    plain, barred, texts, night = Matte(), Matte(), Matte(), Matte()
    for i in range(24):
        picture = scene(i, 360, 640)
        plain.add(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        bars = picture.copy()
        bars[:40] = bars[-44:] = 16
        bars[:, :30] = bars[:, -26:] = 10
        barred.add(cv2.cvtColor(subtitled(bars, TEXTS[i % 4], 345), cv2.COLOR_RGB2GRAY))
        texts.add(cv2.cvtColor(subtitled(picture, TEXTS[i % 4], 340), cv2.COLOR_RGB2GRAY))
        dark = picture if i in (5, 15) else np.vstack([picture[:200] // 20 + 3, picture[200:]])
        night.add(cv2.cvtColor(dark, cv2.COLOR_RGB2GRAY))
    assert plain.window() == Window(0, 0, 640, 360)
    assert plain.text_top(0.2) is None
    assert barred.window() == Window(30, 40, 614, 316)
    assert night.window() == Window(0, 0, 640, 360)
    assert texts.window() == Window(0, 0, 640, 360)
    top = texts.text_top(0.2)
    assert top is not None
    assert 340 - 26 <= top <= 340 - 12  # letters are 13 pixels high


def test_text_in_one_shot_is_no_subtitle() -> None:
    matte = Matte()
    for i in range(40):
        sign = subtitled(scene(i // 10, 360, 640), "grand hotel" if 10 <= i < 20 else "", 330)
        matte.add(cv2.cvtColor(sign, cv2.COLOR_RGB2GRAY))
    assert matte.text_top(0.2) is None


def test_a_film_is_taken_once_and_anew_when_it_changed(tmp_path: Path) -> None:
    frames = []
    for s in range(8):
        for frame in panned(scene(s, 200, 400), 14, 200, 352):
            page = np.zeros((240, 352, 3), np.uint8)
            page[20:220] = frame
            frames.append(page)
    film = write_film(tmp_path / "a.mp4", frames)
    answer = take(film, tmp_path / "kept" / "a", "one", TAKING, 1)
    assert answer["window"] == [0, 20, 352, 220]
    assert len(answer["frames"]) == 16
    assert sorted({frame["shot"] for frame in answer["frames"]}) == list(range(8))
    names = [frame["name"] for frame in answer["frames"]]
    assert names == sorted(names)
    picture = cv2.imread(str(tmp_path / "kept" / "a" / names[5]))[:, :, ::-1].astype(int)
    assert picture.shape == (200, 352, 3)
    index = round(answer["frames"][5]["seconds"] * 12)
    assert np.abs(picture - frames[index][20:220]).mean() < 4  # that frame, and its colours
    film.unlink()
    again = take(film, tmp_path / "kept" / "a", "one", TAKING, 1)
    assert again["frames"] == answer["frames"]
    assert read(tmp_path / "kept" / "a", "two") is None
    assert "error" in take(film, tmp_path / "kept" / "a", "two", TAKING, 1)
