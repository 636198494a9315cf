from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toonlab import images as im


@pytest.fixture
def stripes() -> Image.Image:
    """4 wide, 2 high: each pixel its own colour, so that any turn shows."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    return Image.fromarray(values)


def test_exif_orientation_turns_the_picture_upright(tmp_path: Path, stripes: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise by 90 degrees
    stripes.save(tmp_path / "a.png", exif=exif)
    upright = im.decode(tmp_path / "a.png").rgb
    assert upright.size == (2, 4)
    assert upright.getpixel((1, 0)) == stripes.getpixel((0, 0))  # upper left goes to upper right


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert [p[0] for p in np.asarray(im.decode(tmp_path / "a.png").rgb)[0]] == [0, 1, 128, 255]


def test_cmyk_becomes_rgb_without_its_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", icc_profile=b"for cmyk")
    picture = im.decode(tmp_path / "a.jpg")
    red, green, blue = picture.rgb.getpixel((4, 4))
    assert red > 250
    assert max(green, blue) < 5
    assert picture.icc_profile is None


def test_profile_of_rgb_is_kept(tmp_path: Path, stripes: Image.Image) -> None:
    stripes.save(tmp_path / "a.png", icc_profile=b"profile")
    assert im.decode(tmp_path / "a.png").icc_profile == b"profile"


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_bilevel_and_palette_become_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("L", (3, 2), 255).convert(mode).save(tmp_path / "a.png")
    picture = im.decode(tmp_path / "a.png")
    assert picture.rgb.mode == "RGB"
    assert picture.rgb.getpixel((0, 0)) == (255, 255, 255)
    assert picture.alpha is None


def test_alpha_is_set_aside_and_white_shows_through(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[100, 0], [100, 255]]], dtype=np.uint8), "LA").save(tmp_path / "a.png")
    picture = im.decode(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.asarray(picture.alpha).tolist() == [[0, 255]]
    assert np.asarray(im.on_white(picture))[0].tolist() == [[255] * 3, [100] * 3]


def test_transparent_palette_entry_is_alpha(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    palette.save(tmp_path / "a.png", transparency=0)
    picture = im.decode(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.asarray(picture.alpha).tolist() == [[0, 255]]
    assert picture.rgb.getpixel((1, 0)) == (40, 50, 60)


def test_opaque_alpha_counts_as_none(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert im.decode(tmp_path / "a.png").alpha is None


def test_undecodable_files_say_why(tmp_path: Path, stripes: Image.Image) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    stripes.resize((64, 64)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-100])
    for name, why in [("empty.png", "empty file"), ("text.png", "not an image"), ("cut.jpg", "truncated")]:
        with pytest.raises(im.BadImageError, match=why):
            im.decode(tmp_path / name)
    with pytest.raises(im.BadImageError, match="No such file"):
        im.decode(tmp_path / "absent.png")


def test_every_byte_value_survives_the_round_trip() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, -1, -1)
    assert torch.equal(im.to_uint8(im.from_uint8(values)), values)
    assert im.from_uint8(values).min() == -1
    assert im.from_uint8(values).max() == 1
    picture = im.to_picture(im.from_uint8(values))
    assert torch.equal(im.to_tensor(picture), im.from_uint8(values))


def test_values_outside_are_clipped_not_wrapped() -> None:
    values = torch.tensor([-9.0, -1.004, 0.0, 1.004, 9.0])
    assert im.to_uint8(values).tolist() == [0, 0, 128, 255, 255]
    assert im.to_unit(values).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


@given(height=st.integers(1, 20), width=st.integers(1, 20), multiple=st.integers(1, 9))
def test_padding_reaches_the_multiple_and_keeps_the_image(height: int, width: int, multiple: int) -> None:
    images = torch.rand(1, 3, height, width)
    padded = im.pad_to_multiple(images, multiple)
    rows, columns = padded.shape[-2:]
    assert rows % multiple == columns % multiple == 0
    assert (rows - height, columns - width) < (multiple, multiple)
    assert torch.equal(padded[..., :height, :width], images)


def test_padding_reflects() -> None:
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert im.pad_to_multiple(row.expand(1, 1, 3, 3), 5)[0, 0, 0].tolist() == [1, 2, 3, 2, 1]


def test_failed_save_leaves_the_old_file(tmp_path: Path, stripes: Image.Image) -> None:
    target = tmp_path / "new" / "a.png"
    im.save(stripes, target)
    before = target.read_bytes()

    class Broken(Image.Image):
        def save(self, fp: Path, format: str | None = None, **params: object) -> None:
            Path(fp).write_bytes(b"half a fi")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        im.save(Broken(), target)
    assert target.read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("width", [40, 128, 256])
def test_titles_of_a_sheet_stay_over_their_own_columns(width: int) -> None:
    picture, long = Image.new("RGB", (width, 9)), "a network with a name that is far too long " * 2
    blank, *titled = (
        np.asarray(im.sheet([[picture, picture]], titles))[: -9 - 2 * 4]
        for titles in (["", ""], [long, ""], ["", long])
    )
    inked = [np.flatnonzero((page != blank).any(axis=(0, 2))) for page in titled]
    assert inked[0].size
    assert inked[0].max() < 4 + width + 4  # the gap between
    assert inked[1].min() >= 4 + width
