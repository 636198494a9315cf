"""Selective search against a slow version that looks at the pixels again after every merge."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage import color, data

from toonlab.representations import selective_search
from toonlab.representations.colouring import colour_regions
from toonlab.representations.felzenszwalb import felzenszwalb
from toonlab.representations.selective_search import UNIFORM, merge_regions, neighbours, patterns

SOURCE = Path(__file__).resolve().parents[2] / "src"


def reading_order(labels: np.ndarray) -> np.ndarray:
    names: dict[int, int] = {}
    for label in labels.ravel().tolist():
        names.setdefault(label, len(names))
    return np.vectorize(names.get)(labels)


def slow_patterns(channel: np.ndarray) -> np.ndarray:
    """Uniform patterns of the 3x3 window: bits around the centre, at most two changes on the way round."""
    height, width = channel.shape
    out = np.empty(channel.shape, int)
    around = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    for y, x in np.ndindex(channel.shape):
        places = [(min(max(y + v, 0), height - 1), min(max(x + u, 0), width - 1)) for v, u in around]
        bits = [channel[place] >= channel[y, x] for place in places]
        changes = sum(bits[i] != bits[i - 1] for i in range(8))
        out[y, x] = sum(bits) if changes <= 2 else 9
    return out


def describe(lab: np.ndarray, codes: np.ndarray, inside: np.ndarray) -> dict:
    """A region's four features from its pixels, in exact fractions."""
    size = int(inside.sum())
    colour, texture = [], []
    for c in range(3):
        for low in range(25):
            in_bin = (lab[..., c].astype(int) * 25 // 256 == low) & inside
            colour.append(Fraction(int(in_bin.sum()), 3 * size))
        for code in range(10):
            texture.append(Fraction(int(((codes[..., c] == code) & inside).sum()), 3 * size))
    ys, xs = np.nonzero(inside)
    box = (int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
    return {"size": size, "colour": colour, "texture": texture, "box": box}


def similarity(a: dict, b: dict, area: int) -> Fraction:
    colour = sum(map(min, a["colour"], b["colour"]))
    texture = sum(map(min, a["texture"], b["texture"]))
    size = 1 - Fraction(a["size"] + b["size"], area)
    top, left = (min(a["box"][i], b["box"][i]) for i in (0, 1))
    bottom, right = (max(a["box"][i], b["box"][i]) for i in (2, 3))
    fill = 1 - Fraction((bottom - top) * (right - left) - a["size"] - b["size"], area)
    return colour + texture + size + fill


def touching(labels: np.ndarray) -> set[tuple[int, int]]:
    found = set()
    for y, x in np.ndindex(labels.shape):
        for v, u in ((y + 1, x), (y, x + 1)):
            if v < labels.shape[0] and u < labels.shape[1] and labels[v, u] != labels[y, x]:
                found.add((int(min(labels[v, u], labels[y, x])), int(max(labels[v, u], labels[y, x]))))
    return found


def slow_merges(picture: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Label maps after 0, 1, 2... merges, until one region is left."""
    lab, labels = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), labels.copy()
    codes = np.stack([slow_patterns(lab[..., c]) for c in range(3)], axis=-1)
    steps = [labels.copy()]
    while pairs := touching(labels):
        features = {label: describe(lab, codes, labels == label) for label in np.unique(labels).tolist()}
        scores = {(a, b): similarity(features[a], features[b], labels.size) for a, b in pairs}
        a, b = min(pairs, key=lambda pair: (-scores[pair], pair))
        labels[labels == b] = a
        steps.append(labels.copy())
    return steps


def small(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise on coloured blocks, cut into regions of many shapes; diagonal neighbours and holes among them."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(6, 14, 2)
    coarse = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((4, 4, 1), int))[:height, :width]
    picture = (coarse + rng.integers(-40, 41, coarse.shape)).clip(0, 255).astype(np.uint8)
    return picture, felzenszwalb(picture, scale=60, sigma=0.5, min_size=3)


@pytest.mark.parametrize("seed", range(6))
def test_merges_are_the_definitions_one_by_one(seed: int) -> None:
    picture, labels = small(seed)
    steps = slow_merges(picture, labels)
    assert len(steps) >= 4
    for merges, expected in enumerate(steps):
        ours = merge_regions(picture, labels, len(steps) - merges)
        assert np.array_equal(ours, reading_order(expected)), f"merge {merges}"


def test_equally_similar_pairs_go_in_the_order_of_their_labels() -> None:
    picture = np.full((8, 8, 3), 90, np.uint8)
    labels = np.arange(64).reshape(8, 8) // 2  # dominoes of one colour: ties all over
    for merges, expected in enumerate(slow_merges(picture, labels)):
        assert np.array_equal(merge_regions(picture, labels, 32 - merges), reading_order(expected))


def stripes(*widths_and_colours: tuple[int, tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Upright stripes side by side, 12 pixels high."""
    columns = [colour for width, colour in widths_and_colours for _ in range(width)]
    numbers = [i for i, (width, _) in enumerate(widths_and_colours) for _ in range(width)]
    return np.array([columns] * 12, np.uint8), np.array([numbers] * 12)


def left_after(picture: np.ndarray, labels: np.ndarray, regions: int) -> list[int]:
    """Which region each of the old ones ends up in."""
    merged = merge_regions(picture, labels, regions)
    return [int(merged[labels == label][0]) for label in range(labels.max() + 1)]


def test_colour_decides_between_regions_alike_in_all_else() -> None:
    """The authors' code gives every region the same histogram, so that the order of labels would decide."""
    red, dark_red, blue, dark_blue = (200, 30, 30), (194, 27, 27), (30, 30, 200), (27, 27, 194)
    picture, labels = stripes((8, blue), (8, red), (8, dark_red), (8, dark_blue))
    assert left_after(picture, labels, 3) == [0, 1, 1, 2]


def test_size_decides_between_regions_alike_in_all_else() -> None:
    """The authors' code gives every region the size of region 1."""
    grey = (90, 90, 90)
    picture, labels = stripes((20, grey), (15, grey), (4, grey), (5, grey), (20, grey))
    assert left_after(picture, labels, 4) == [0, 1, 2, 2, 3]
    assert left_after(picture, labels, 3) == [0, 1, 1, 1, 2]


def test_fill_prefers_what_closes_a_hole() -> None:
    labels = np.zeros((12, 24), int)
    labels[:, 12:] = 2
    labels[4:8, 4:8] = 1  # inside region 0, as far as 2 is concerned out of reach
    labels[4:8, 16:] = 3  # at the border of region 2
    picture = np.full((12, 24, 3), 90, np.uint8)
    assert left_after(picture, labels, 3)[:2] == [0, 0]


def test_texture_decides_between_regions_alike_in_all_else() -> None:
    picture, labels = stripes(*[(8, (90, 90, 90))] * 4)
    picture[::2, 8:24:2] = 92  # one bin of colour, but a lattice in the middle two
    picture[1::2, 9:24:2] = 92
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    assert len(np.unique(lab.reshape(-1, 3).astype(int) * 25 // 256, axis=0)) == 1
    assert left_after(picture, labels, 3) == [0, 1, 1, 2]


def test_histograms_and_sizes_differ_between_real_regions() -> None:
    picture = np.ascontiguousarray(data.astronaut()[:128, 128:256])
    labels = felzenszwalb(picture, min_size=20)
    lab, count = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), labels.max() + 1
    histograms, boxes = selective_search._describe(lab, patterns(lab), labels, count)
    sizes = np.bincount(labels.ravel())
    assert np.array_equal(boxes[:, 4], sizes)
    assert np.array_equal(histograms.sum(axis=1), 6 * sizes)
    shares = histograms / sizes[:, None]
    assert len(np.unique(shares[:, :75], axis=0)) > 0.9 * count
    assert len(np.unique(sizes)) > 10


def test_lab_is_that_of_an_rgb_picture() -> None:
    """BGR into an RGB routine, as in the authors' code, would exchange the signs of red and blue."""
    picture = np.ascontiguousarray(data.coffee()[::4, ::4])
    ours = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(float) * [100 / 255, 1, 1] - [0, 128, 128]
    assert np.abs(ours - color.rgb2lab(picture)).mean() < 0.6


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.sampled_from([2, 6, 256]))
def test_patterns_and_neighbours_are_their_definitions(height: int, width: int, seed: int, top: int) -> None:
    image = np.random.default_rng(seed).integers(0, top, (height, width, 3)).astype(np.uint8)
    expected = np.stack([slow_patterns(image[..., c]) for c in range(3)], axis=-1)
    assert np.array_equal(UNIFORM[patterns(image)], expected)
    labels = image[..., 0].astype(np.int32)
    assert [tuple(pair) for pair in neighbours(labels, 256).tolist()] == sorted(touching(labels))


@example(height=257, width=389, wanted=30, kind="noise", seed=0)
@example(height=1, width=1, wanted=1, kind="noise", seed=0)
@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 257),
    width=st.integers(1, 389),
    wanted=st.integers(1, 60),
    kind=st.sampled_from(["noise", "constant", "line"]),
    seed=st.integers(0, 99),
)
def test_any_size_is_merged_to_the_count_asked_for(
    height: int, width: int, wanted: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    if kind == "noise":
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    elif kind == "line":
        picture[:, width // 2] = 255 - picture[0, 0]
    labels = felzenszwalb(picture, scale=5, sigma=0.8, min_size=40)
    merged, before = merge_regions(picture, labels, wanted), labels.max() + 1
    assert merged.max() + 1 == min(wanted, before)
    assert np.array_equal(merged, reading_order(merged))
    # Every old region lies in one new one.
    assert len(np.unique(labels.astype(np.int64) * merged.size + merged)) == before


def test_without_the_compiler_merges_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.ascontiguousarray(data.chelsea()[100:180, 150:250])
    labels = felzenszwalb(picture, min_size=20)
    compiled = merge_regions(picture, labels, 15)
    for name in ("_borders", "_describe", "_similarity", "_merge", "_rename"):
        function = getattr(selective_search, name)
        monkeypatch.setattr(selective_search, name, getattr(function, "py_func", function))
    assert np.array_equal(merge_regions(picture, labels, 15), compiled)


SCRIPT = """
import sys, time
sys.modules["numba"] = None  # importing it fails, as without a wheel
import numpy as np
from skimage import data
from toonlab.representations.colouring import colour_regions
from toonlab.representations.compiled import AVAILABLE
from toonlab.representations.felzenszwalb import felzenszwalb
from toonlab.representations.selective_search import merge_regions
assert not AVAILABLE
picture = np.ascontiguousarray(data.astronaut()[:256, 64:320])
start = time.process_time()
labels = merge_regions(picture, felzenszwalb(picture), 85)
np.savez(sys.argv[1], labels=labels, painted=colour_regions(picture, labels, "adaptive"))
print(time.process_time() - start)
"""


def test_without_numba_a_picture_takes_seconds_and_is_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out.npz")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 20  # 2 s on an idle core
    out = np.load(tmp_path / "out.npz")
    picture = np.ascontiguousarray(data.astronaut()[:256, 64:320])
    labels = merge_regions(picture, felzenszwalb(picture), 85)
    assert np.array_equal(out["labels"], labels)
    assert np.array_equal(out["painted"], colour_regions(picture, labels, "adaptive"))


def test_mistakes_are_named() -> None:
    picture, labels = stripes((2, (0, 0, 0)), (2, (9, 9, 9)))
    with pytest.raises(ValueError, match="1 region or more"):
        merge_regions(picture, labels, 0)
    with pytest.raises(ValueError, match="none left out"):
        merge_regions(picture, labels * 2, 1)
    with pytest.raises(ValueError, match="float64"):
        merge_regions(picture / 255, labels, 1)
    with pytest.raises(ValueError, match=r"\(12, 4\)"):
        merge_regions(picture, labels[:5], 1)
