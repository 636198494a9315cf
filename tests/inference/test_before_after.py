"""The page of photos and cartoons."""

from pathlib import Path

import pytest
from PIL import Image

from toonlab.inference.before_after import BOX, MOST, before_after


def write(path: Path, colour: str, size: tuple[int, int] = (640, 100)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def colours(page: Image.Image) -> set[tuple[int, int, int]]:
    """Return every colour that covers at least a hundred pixels, white aside."""
    counted = page.getcolors(1 << 20)
    assert counted
    return {colour for n, colour in counted if n >= 100} - {(255, 255, 255)}  # type: ignore[misc]


def test_photo_and_cartoon_stand_side_by_side_and_reduced(tmp_path: Path) -> None:
    page = before_after([(write(tmp_path / "a.png", "red"), write(tmp_path / "b.png", "blue"))])
    row = [page.getpixel((x, page.height - 20)) for x in range(page.width)]
    assert row.count((255, 0, 0)) == BOX[0]
    assert row.count((0, 0, 255)) == BOX[0]
    assert row.index((255, 0, 0)) < row.index((0, 0, 255))


def test_an_odd_number_of_pairs_and_other_shapes_fit(tmp_path: Path) -> None:
    wanted = {"red": (90, 300), "lime": (64, 64), "blue": (700, 20)}
    files = [write(tmp_path / f"{name}.png", name, size) for name, size in wanted.items()]
    page = before_after([(file, file) for file in files])
    assert colours(page) == {(255, 0, 0), (0, 255, 0), (0, 0, 255)}


@pytest.mark.parametrize("n", [MOST, 3 * MOST])
def test_many_pairs_become_two_dozen_first_and_last_included(tmp_path: Path, n: int) -> None:
    files = [write(tmp_path / f"{i}.png", f"rgb({i},0,0)", (40, 40)) for i in range(n)]
    seen = colours(before_after([(file, file) for file in files]))
    assert len(seen) == MOST
    assert {(0, 0, 0), (n - 1, 0, 0)} <= seen


def test_a_transparent_cartoon_is_shown_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (100, 100), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (255, 0, 0) not in colours(before_after([(tmp_path / "clear.png",) * 2]))
