"""Near-duplicates by perceptual hash, against brute force and a second implementation of the transform."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from scenes import scene
from toonlab.data.hashes import distance, joined, near_pairs, phash


def test_the_hash_is_the_signs_of_low_frequencies() -> None:
    picture = scene(1, 64, 64)
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = dctn(grey.astype(np.float64), norm="ortho")[:8, :8].ravel()
    bits = "".join("1" if value > np.median(low[1:]) else "0" for value in low)
    assert phash(picture) == int(bits, 2)


def test_copies_are_near_and_other_pictures_far() -> None:
    pictures = [scene(seed, 120, 160) for seed in range(30)]
    hashes = [phash(picture) for picture in pictures]
    for picture, value in zip(pictures, hashes, strict=True):
        smaller = cv2.resize(picture, (100, 75), interpolation=cv2.INTER_AREA)
        brighter = (picture * 0.9 + 20).astype(np.uint8)
        jpeg = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)
        assert max(distance(value, phash(copy)) for copy in (smaller, brighter, jpeg)) <= 6
    assert list(near_pairs(hashes, 8)) == []


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_all_near_pairs_are_found(hashes: list[int], most: int) -> None:
    n = len(hashes)
    expected = {
        (i, j) for i in range(n) for j in range(i + 1, n) if bin(hashes[i] ^ hashes[j]).count("1") <= most
    }
    found = list(near_pairs(hashes, most))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_pairs_are_found_across_blocks() -> None:
    hashes = [int(v) for v in np.random.default_rng(0).integers(0, 2**63, 2500)]
    hashes[2400] = hashes[3] ^ 1
    assert list(near_pairs(hashes, 4)) == [(3, 2400)]


def test_joined_follows_chains() -> None:
    assert joined(6, [(4, 5), (1, 4), (0, 2)]) == [0, 1, 0, 3, 1, 1]
