"""Painting: shapes and pixels survive, the filter mixes as told, files keep what they must keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference.fast import Fast
from toonlab.inference.pixels import Pixels
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet
from toonlab.representations.surface import guided_filter


class Negative(nn.Module):
    """Swaps light and dark: exact, and never mistaken for its input."""

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        assert photo.shape[-2] % 4 == photo.shape[-1] % 4 == 0
        return -photo


def stylizer(generator: nn.Module | None = None, **changes: Any) -> Stylizer:
    return Stylizer(
        generator or nn.Identity(), **({"multiple": 4, "output_filter": None, "tile": None} | changes)
    )


def noise(*size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)


def painted(source: Path, target: Path, generator: nn.Module | None = None, **changes: Any) -> Image.Image:
    stylizer(generator, **changes).paint_file(source, target)
    with Image.open(target) as cartoon:
        cartoon.load()
    assert [p.name for p in target.parent.iterdir() if ".part" in p.name] == []
    return cartoon


@given(height=st.integers(1, 70), width=st.integers(1, 70), tile=st.sampled_from([None, 32]))
@settings(max_examples=60, deadline=None)
def test_any_size_keeps_its_pixels(height: int, width: int, tile: int | None) -> None:
    photos = images.from_uint8(torch.from_numpy(noise(2, 3, height, width)))
    before = photos.clone()
    assert torch.equal(stylizer(Negative(), tile=tile).paint(photos), -before)
    assert torch.equal(photos, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 250), (1, 33)])
@pytest.mark.parametrize("network", [UNet(width=4, blocks=1), ResnetGenerator(width=4, blocks=1)])
def test_real_networks_take_odd_sizes(network: nn.Module, size: tuple[int, int]) -> None:
    cartoon = stylizer(network, output_filter=OutputFilter(radius=1, eps=5e-3)).paint(
        torch.zeros(1, 3, *size)
    )
    assert cartoon.shape == (1, 3, *size)
    assert torch.isfinite(cartoon).all()


def test_what_a_network_overshoots_is_clipped() -> None:
    class Louder(nn.Module):
        def forward(self, photo: torch.Tensor) -> torch.Tensor:
            return 3 * photo

    photo = torch.tensor([-1.0, -0.1, 0.0, 0.2]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    expected = torch.tensor([-1.0, -0.3, 0.0, 0.6]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(stylizer(Louder()).paint(photo), expected)


def test_strength_mixes_raw_and_filtered_linearly() -> None:
    torch.manual_seed(0)
    network = UNet(width=4, blocks=1)
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 30, 42))) * 0.3
    by = OutputFilter(radius=2, eps=5e-3)
    at = {d: stylizer(network, output_filter=by, strength=d).paint(photo) for d in (0.0, 0.25, 1.0)}
    raw = stylizer(network).paint(photo)
    assert raw.abs().max() < 1  # nothing clipped, so mixing can be compared after it
    torch.testing.assert_close(at[0.0], raw, atol=0, rtol=0)
    # Filtered with the photo as guide and on the picture's own borders, not the padded ones.
    torch.testing.assert_close(at[1.0], guided_filter(photo, raw, 2, 5e-3))
    assert (at[1.0] - raw).abs().max() > 0.01
    torch.testing.assert_close(at[0.25], 0.25 * at[1.0] + 0.75 * raw)


def test_a_tiled_picture_equals_the_whole_filter_included() -> None:
    torch.manual_seed(0)
    network = UNet(width=4, blocks=1)
    photos = images.from_uint8(torch.from_numpy(noise(2, 3, 203, 305))) * 0.3
    by = OutputFilter(radius=1, eps=5e-3)
    tiles: list[tuple[int, int]] = []
    whole = stylizer(network, output_filter=by).paint(photos)
    tiled = stylizer(network, output_filter=by, tile=144).paint(photos, lambda *at: tiles.append(at))
    assert len(tiles) == 2 * tiles[0][1] > 2
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_sampled_tiles_keep_near_the_whole_with_instance_norm() -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(width=8, blocks=1)
    # Dark above, light below: tiles that each took their own statistics would all come out alike.
    photo = torch.linspace(-0.8, 0.8, 400)[:, None].expand(1, 3, 400, 300)
    photo = photo + torch.randn(1, 3, 400, 300, generator=torch.Generator().manual_seed(0)) * 0.05
    whole, tiled = (stylizer(network, tile=tile, tiles="sampled").paint(photo) for tile in (None, 192))
    assert (tiled - whole).abs().mean() * 127.5 < 8  # of 255 levels; 47 with the first tile's statistics


def test_batches_are_cut_to_the_tile_budget() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, photo: torch.Tensor) -> torch.Tensor:
            seen.append(photo.shape[0])
            return photo

    stylizer(Watch(), tile=32).paint(torch.zeros(9, 3, 16, 16))
    assert seen == [4, 4, 1]  # four 16x16 pictures fill a 32x32 tile


def test_it_paints_in_eval_mode_and_without_graph() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.9)).train()
    photo = torch.ones(1, 3, 16, 16)
    paint = stylizer(network).paint
    assert torch.equal(paint(photo), paint(photo))
    assert not paint(photo).requires_grad


@pytest.mark.parametrize(
    "changes",
    [
        *({"strength": 1.01}, {"strength": -0.1}, {"tile": 15}),
        *({"keep_color": 1.5}, {"keep_color": -0.1}, {"tiles": "some"}, {"precision": "fp8"}),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"^{next(iter(changes))}="):
        stylizer(**changes)


def test_alpha_is_kept_bit_by_bit_and_colour_painted(tmp_path: Path) -> None:
    pixels = noise(13, 21, 4)
    for suffix in (".png", ".tif"):
        Image.fromarray(pixels).save(tmp_path / f"in{suffix}")
        cartoon = np.asarray(painted(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", Negative()))
        assert np.array_equal(cartoon[..., 3], pixels[..., 3])
        assert np.array_equal(cartoon[..., :3], 255 - pixels[..., :3])
    Image.fromarray(pixels).save(tmp_path / "in.webp", lossless=True, exact=True)
    cartoon = np.asarray(painted(tmp_path / "in.webp", tmp_path / "out.webp", Negative()))
    assert np.array_equal(cartoon[..., 3], pixels[..., 3])


def test_grey_with_and_without_alpha_becomes_colour(tmp_path: Path) -> None:
    pixels = noise(9, 11, 2)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "l.png")
    Image.fromarray(pixels, mode="LA").save(tmp_path / "la.png")
    grey, alpha = 255 - pixels[..., 0], pixels[..., 1]
    plain = painted(tmp_path / "l.png", tmp_path / "out" / "l.png", Negative())
    assert plain.mode == "RGB"
    assert np.array_equal(np.asarray(plain), np.stack([grey] * 3, -1))
    see_through = painted(tmp_path / "la.png", tmp_path / "out" / "la.png", Negative())
    assert np.array_equal(np.asarray(see_through), np.stack([grey] * 3 + [alpha], -1))


def test_a_transparent_palette_colour_stays_transparent(tmp_path: Path) -> None:
    indices = noise(8, 8) % 3
    source = Image.fromarray(indices, mode="P")
    source.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    source.save(tmp_path / "p.png", transparency=1)
    cartoon = np.asarray(painted(tmp_path / "p.png", tmp_path / "out.png"))
    assert np.array_equal(cartoon[..., 3], np.where(indices == 1, 0, 255))
    assert np.array_equal(cartoon[..., 0], 10 + 30 * indices)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    cartoon = np.asarray(painted(tmp_path / "deep.png", tmp_path / "out.png"))
    assert cartoon[0, :, 0].tolist() == [0, 100, 255]


def test_a_turned_camera_gives_an_upright_cartoon(tmp_path: Path) -> None:
    pixels = noise(6, 10, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "in.png", exif=exif)
    cartoon = painted(tmp_path / "in.png", tmp_path / "out.png")
    assert np.array_equal(np.asarray(cartoon), np.rot90(pixels, -1))
    assert 0x0112 not in cartoon.getexif()  # or a viewer would turn it once more


@pytest.mark.parametrize("name", ["out.jpg", "out.PNG", "out.webp", "out.tif", "out.bmp"])
def test_every_format_is_written_and_keeps_the_colour_profile(tmp_path: Path, name: str) -> None:
    flat = np.full((8, 8, 3), 100, dtype=np.uint8)
    Image.fromarray(flat).save(tmp_path / "in.png", icc_profile=b"a profile")
    cartoon = painted(tmp_path / "in.png", tmp_path / name)
    assert np.abs(np.asarray(cartoon).astype(int) - 100).max() <= 1
    assert cartoon.info.get("icc_profile") == (None if name == "out.bmp" else b"a profile")


def test_jpegs_keep_full_resolution_colour(tmp_path: Path) -> None:
    # Lines of one pixel, red and blue: halved chroma would make both purple.
    lines = np.zeros((16, 16, 3), dtype=np.uint8)
    lines[:, ::2, 0] = lines[:, 1::2, 2] = 200
    Image.fromarray(lines).save(tmp_path / "in.png")
    cartoon = painted(tmp_path / "in.png", tmp_path / "out.jpg")
    assert np.abs(np.asarray(cartoon).astype(int) - lines).max() < 25


def test_alpha_is_never_dropped_silently(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 4)).save(tmp_path / "in.png")
    with pytest.raises(UsageError, match=r"out\.jpg cannot hold it: name the output \.png"):
        stylizer().paint_file(tmp_path / "in.png", tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


def test_kept_colours_are_the_photos_and_the_luma_the_cartoons() -> None:
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 20, 24))) * 0.4
    cartoon, kept, half = (stylizer(Negative(), keep_color=k).paint(photo)[0] for k in (0.0, 1.0, 0.5))

    def ycbcr(rgb: torch.Tensor) -> np.ndarray:  # ITU-R BT.601, full range, by its own matrix
        matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
        return np.tensordot(matrix, rgb.numpy(), 1)

    assert np.abs(ycbcr(kept)[0] - ycbcr(cartoon)[0]).max() < 1e-5
    assert np.abs(ycbcr(kept)[1:] - ycbcr(photo[0])[1:]).max() < 1e-5
    assert np.abs(ycbcr(half)[1:]).max() < 1e-5  # half-way between a colour and its opposite: grey
    assert torch.equal(cartoon, -photo[0])


def test_kept_colours_are_the_same_in_tiles_and_fast() -> None:
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 90, 110))) * 0.4
    whole = stylizer(Negative(), keep_color=0.7).paint(photo)
    torch.testing.assert_close(stylizer(Negative(), keep_color=0.7, tile=32).paint(photo), whole)
    # Every pixel has the photo's chroma, whatever was painted small.
    lifted = stylizer(Negative(), keep_color=1.0, small=Fast(side=32)).paint(photo)
    difference = lifted - photo
    torch.testing.assert_close(difference[:, 0], difference[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(difference[:, 0], difference[:, 2], atol=1e-5, rtol=0)
    # The negative is lifted exactly (below), so a share of its colours is the same share.
    fast = Fast(side=32, eps=1e-9)
    torch.testing.assert_close(
        stylizer(Negative(), keep_color=0.7, small=fast).paint(photo), whole, atol=1e-3, rtol=0
    )


def test_a_small_copy_larger_than_a_tile_is_painted_in_tiles() -> None:
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 90, 110)))
    whole, tiled = (stylizer(Negative(), tile=tile, small=Fast(side=80)).paint(photo) for tile in (None, 32))
    torch.testing.assert_close(tiled, whole)


def test_fast_lifts_what_is_linear_in_the_photo_exactly() -> None:
    # The negative is `-1 · photo + 0` in every window: lifted, it is the full-size negative.
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 301, 423)))
    lifted = stylizer(Negative(), small=Fast(side=64, eps=1e-9)).paint(photo)
    assert (lifted + photo).abs().max() < 1e-3
    pixels = Pixels(noise(301, 423, 3))
    target = Pixels(np.zeros((301, 423, 3), np.uint8))
    stylizer(Negative(), small=Fast(side=64, eps=1e-9)).paint_pixels(pixels, target)
    assert np.abs(target.values.astype(int) - (255 - pixels.values.astype(int))).max() <= 1


def test_fast_paints_a_small_copy_and_small_pictures_in_full() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, photo: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(photo.shape[-2:]))
            return photo

    fast = stylizer(Watch(), small=Fast(side=40))
    for size in ((400, 200), (40, 20), (3, 5000), (1, 1)):
        assert fast.paint(torch.zeros(1, 3, *size)).shape == (1, 3, *size)
    assert seen == [(40, 20), (40, 20), (16, 48), (16, 16)]


@pytest.mark.parametrize(
    "changes", [{"side": 8}, {"side": "abc"}, {"radius": 0}, {"eps": 0.0}, {"eps": float("nan")}]
)
def test_fast_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"fast.{next(iter(changes))}="):
        Fast(**changes)


def test_bf16_is_near_fp32_and_returns_fp32() -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(width=4, blocks=1)
    photo = images.from_uint8(torch.from_numpy(noise(1, 3, 24, 28)))
    exact, coarse = (stylizer(network, precision=p).paint(photo) for p in ("fp32", "bf16"))
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().mean() * 127.5 < 4
