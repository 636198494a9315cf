"""Files of every kind: 16 bits, animations, turned, printed; nothing is lost without a word."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageSequence
from torch import nn

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference import cartoon_file, photo_file
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.stylizer import Stylizer


class Negative(nn.Module):
    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        return -photo


NEGATIVE = Stylizer(Negative(), multiple=4, output_filter=None, tile=64)


def noise(*size: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, size, dtype=dtype)


def deep_png(path: Path, rgb: np.ndarray) -> Path:
    cv2.imwrite(str(path), rgb[..., [2, 1, 0, 3][: rgb.shape[-1]]])
    return path


def deep_pixels(path: Path) -> np.ndarray:
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return values[..., [2, 1, 0, 3][: values.shape[-1]]]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["out.png", "out.tif"])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, name: str, channels: int) -> None:
    pixels = noise(90, 80, channels, dtype=np.uint16)  # more than one tile
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = deep_png(tmp_path / "in.png", pixels)
    source.write_bytes(cartoon_file._with_profile(source.read_bytes(), profile))
    NEGATIVE.paint_file(source, tmp_path / name)
    cartoon = deep_pixels(tmp_path / name)
    assert cartoon.dtype == np.uint16
    assert np.array_equal(cartoon[..., :3], 65535 - pixels[..., :3])
    assert np.array_equal(cartoon[..., 3:], pixels[..., 3:])
    with Image.open(tmp_path / name) as written:
        assert written.info["icc_profile"] == profile


def test_sixteen_bits_are_rounded_once_where_the_format_has_eight(tmp_path: Path) -> None:
    # Pillow's own decoding cuts: 255 * 257 - 129 and below would be 254, 127 would be 0 as 129 is.
    row = np.array([[[0] * 3, [128] * 3, [129] * 3, [254 * 257 + 129] * 3, [65535] * 3]], dtype=np.uint16)
    source = deep_png(tmp_path / "in.png", row)
    for name, bits in (("out.webp", "auto"), ("out.png", "8")):
        how = Encoding(bits=bits, lossless=True)
        NEGATIVE.paint_file(source, tmp_path / name, encoding=how)
        with Image.open(tmp_path / name) as cartoon:
            assert np.asarray(cartoon)[0, :, 0].tolist() == [255, 255, 254, 0, 0]


def test_bits_can_be_asked_for_and_are_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    pixels = noise(5, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    NEGATIVE.paint_file(tmp_path / "in.png", tmp_path / "out.png", encoding=Encoding(bits="16"))
    cartoon = deep_pixels(tmp_path / "out.png").astype(int)
    assert np.abs(cartoon - (255 - pixels.astype(int)) * 257).max() <= 1
    with pytest.raises(UsageError, match=r"^bits=16: out.jpg cannot hold them; name the output .png or"):
        NEGATIVE.paint_file(tmp_path / "in.png", tmp_path / "out.jpg", encoding=Encoding(bits="16"))
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_deep_tiffs_are_read_alike_however_compressed(tmp_path: Path, compression: str | None) -> None:
    pixels = noise(11, 7, 3, dtype=np.uint16)
    if compression == "lzw":
        cv2.imwrite(str(tmp_path / "in.tif"), pixels[..., ::-1])  # OpenCV's default
    else:
        tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb", compression=compression)
    (frame,) = photo_file.read(tmp_path / "in.tif", tmp_path / "out.tif").frames()
    assert np.array_equal(frame.rgb, pixels)


def test_a_deep_file_cut_short_is_no_picture(tmp_path: Path) -> None:
    source = deep_png(tmp_path / "in.png", noise(200, 200, 3, dtype=np.uint16))
    source.write_bytes(source.read_bytes()[:100_000])
    with pytest.raises(images.BadImageError):
        photo_file.read(source, tmp_path / "out.png")


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    # What the viewer sees, by the EXIF standard's words for row 0 and column 0 of what is stored.
    return {
        1: pixels,
        2: pixels[:, ::-1],  # row 0 top, column 0 right
        3: pixels[::-1, ::-1],  # bottom, right
        4: pixels[::-1],  # bottom, left
        5: pixels.transpose(1, 0, *range(2, pixels.ndim)),  # left, top
        6: pixels.transpose(1, 0, *range(2, pixels.ndim))[:, ::-1],  # right, top
        7: pixels.transpose(1, 0, *range(2, pixels.ndim))[::-1, ::-1],  # right, bottom
        8: pixels.transpose(1, 0, *range(2, pixels.ndim))[::-1],  # left, bottom
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_all_eight_orientations_come_out_upright(tmp_path: Path, orientation: int, deep: bool) -> None:
    pixels = noise(4, 7, 3, dtype=np.uint16 if deep else np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = tmp_path / "in.png"
    if deep:
        deep_png(source, pixels)
        body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        whole = source.read_bytes()
        source.write_bytes(whole[:33] + chunk + whole[33:])
    else:
        Image.fromarray(pixels).save(source, exif=exif)
    NEGATIVE.paint_file(source, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as cartoon:
        assert cartoon.getexif().get(0x0112, 1) == 1
    written = deep_pixels(tmp_path / "out.png")
    assert np.array_equal(written, np.iinfo(pixels.dtype).max - upright(pixels, orientation))


def deep_tiff(path: Path, pixels: np.ndarray, **more: object) -> photo_file.Photo:
    tifffile.imwrite(path, pixels, **more)
    return photo_file.read(path, path.with_name("out.tif"))


def only(photo: photo_file.Photo) -> photo_file.Frame:
    (frame,) = photo.frames()
    assert frame.rgb.shape[-1] == 3
    return frame


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey", "lzw"])
def test_deep_tiffs_come_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    pixels = noise(4, 7, *{"rgb": [3], "rgba": [4]}.get(kind, []), dtype=np.uint16)
    source = tmp_path / "in.tif"
    if kind == "lzw":  # grey: OpenCV's own LZW has no orientation
        how = {"compression": "tiff_lzw", "tiffinfo": {274: orientation}}
        Image.fromarray(pixels).save(source, **how)
        frame = only(photo_file.read(source, tmp_path / "out.png"))
    else:
        turned = [(274, "H", 1, orientation, True)]
        how = {} if kind == "grey" else {"photometric": "rgb"}
        how |= {"extrasamples": ["unassalpha"]} if kind == "rgba" else {}
        frame = only(deep_tiff(source, pixels, extratags=turned, **how))
    colours = pixels[..., :3] if pixels.ndim == 3 else pixels[..., None]
    assert frame.rgb.dtype == np.uint16
    assert np.array_equal(frame.rgb, np.broadcast_to(upright(colours, orientation), frame.rgb.shape))
    if kind == "rgba":
        assert np.array_equal(frame.alpha, upright(pixels[..., 3], orientation))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_tiffs_with_one_channel_after_the_other(tmp_path: Path, channels: int, byteorder: str) -> None:
    pixels = noise(5, 7, channels, dtype=np.uint16)
    alpha = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    how = {"photometric": "rgb", "planarconfig": "separate", "byteorder": byteorder}
    frame = only(deep_tiff(tmp_path / "in.tif", np.moveaxis(pixels, -1, 0), **how, **alpha))
    assert np.array_equal(frame.rgb, pixels[..., :3])
    assert (frame.alpha is None) if channels == 3 else np.array_equal(frame.alpha, pixels[..., 3])


@pytest.mark.parametrize(
    ("extra", "first", "alpha"),
    [("assocalpha", 60000, 20000), ("unassalpha", 20000, 20000), ("unspecified", 20000, None)],
)
def test_deep_alpha_is_what_the_tiff_says_it_is(
    tmp_path: Path, extra: str, first: int, alpha: int | None
) -> None:
    pixels = np.tile(np.array([20000, 10000, 0, 20000], np.uint16), (3, 5, 1))
    pixels[..., 0] = 60000 * 20000 // 65535 if extra == "assocalpha" else 20000
    pixels[2, 4] = (7, 8, 9, 0)
    frame = only(deep_tiff(tmp_path / "in.tif", pixels, photometric="rgb", extrasamples=[extra]))
    assert abs(int(frame.rgb[0, 0, 0]) - first) <= 3
    assert frame.rgb[2, 4].tolist() == [7, 8, 9]
    assert (frame.alpha is None) if alpha is None else frame.alpha[0].tolist() == [alpha] * 5


@pytest.mark.parametrize("compression", ["none", "zlib", "lzw"])
def test_deep_grey_with_white_at_zero(tmp_path: Path, compression: str) -> None:
    pixels = noise(4, 7, dtype=np.uint16)
    source = tmp_path / "in.tif"
    if compression == "lzw":
        Image.fromarray(pixels).save(source, compression="tiff_lzw")
        with tifffile.TiffFile(source, mode="r+b") as file:
            file.pages.first.tags["PhotometricInterpretation"].overwrite(0)
        frame = only(photo_file.read(source, tmp_path / "out.png"))
    else:
        how = {"compression": compression, "photometric": "miniswhite"}
        frame = only(deep_tiff(source, pixels, **how))
    assert np.array_equal(frame.rgb[..., 2], 65535 - pixels)
    eight = np.asarray(images.decode(source).rgb)[..., 0]
    assert np.abs(eight.astype(float) - (65535 - pixels) / 257).max() <= 0.51


@pytest.mark.parametrize("name", ["in.png", "in.tif", "white.tif"])
def test_deep_grey_is_converted_by_its_profile(tmp_path: Path, name: str) -> None:
    profile = lut_profile(b"GRAY", [(0, 128, 128), (255, 128, 128)])
    source, pixels = tmp_path / name, np.full((4, 5), 128 * 257, np.uint16)
    if name == "in.png":
        cv2.imwrite(str(source), pixels)
        source.write_bytes(cartoon_file._with_profile(source.read_bytes(), profile))
    elif name == "in.tif":
        tifffile.imwrite(source, pixels, iccprofile=profile)
    else:
        tifffile.imwrite(source, 65535 - pixels, iccprofile=profile, photometric="miniswhite")
    said = NEGATIVE.paint_file(source, tmp_path / "out.tif")
    assert said == "its 16 bits a channel, which were read as 8: a grey colour profile is applied in 8 bits"
    with Image.open(tmp_path / "out.tif") as cartoon:
        assert "icc_profile" not in cartoon.info
        assert abs(cartoon.getpixel((1, 1))[0] - (255 - 119)) <= 2


@pytest.mark.parametrize("space", [b"GRAY", b"CMYK"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_never_has_a_profile_of_something_else(tmp_path: Path, dtype: type, space: bytes) -> None:
    profile = lut_profile(space, [(255, 128, 128), (0, 128, 128)] * (8 if space == b"CMYK" else 1))
    pixels = noise(4, 5, 3, dtype=dtype)
    photo = deep_tiff(tmp_path / "in.tif", pixels, photometric="rgb", iccprofile=profile)
    assert photo.icc_profile is None
    assert photo.lacking is None
    assert np.array_equal(only(photo).rgb, pixels)


@pytest.mark.parametrize("name", ["in.tif", "white.tif"])
def test_deep_tiffs_that_only_pillow_reads_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("some codec")

    monkeypatch.setattr(photo_file, "_tiff_values", refuse)
    shown = "miniswhite" if name == "white.tif" else "minisblack"
    photo = deep_tiff(tmp_path / name, np.full((2, 3), 60 * 257, np.uint16), photometric=shown)
    assert photo.lacking == "its 16 bits a channel, which were read as 8: a TIFF of a rare kind"
    assert only(photo).rgb[0, 0, 0] == (195 if name == "white.tif" else 60)
    assert not photo.deep


@pytest.mark.parametrize("transparency", [bytes([0, 128, 255]), 1, None])
def test_palettes_are_read_without_a_warning(tmp_path: Path, transparency: bytes | int | None) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = {} if transparency is None else {"transparency": transparency}
    picture.save(tmp_path / "in.png", icc_profile=srgb, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = images.decode(tmp_path / "in.png")
    assert np.asarray(decoded.rgb).ravel().tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert decoded.icc_profile == srgb
    alpha = None if decoded.alpha is None else np.asarray(decoded.alpha).ravel().tolist()
    assert alpha == {None: None, 1: [255, 0, 255]}.get(transparency, [0, 128, 255])


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(file)]


def times_of(path: Path) -> list[float]:
    with Image.open(path) as file:
        return [frame.convert("RGBA") and file.info["duration"] for frame in ImageSequence.Iterator(file)]


@pytest.fixture
def moving() -> list[Image.Image]:
    """A square that wanders over a transparent ground, in plain colours that any palette holds."""
    pictures = []
    for i in range(4):
        pixels = np.zeros((20, 24, 4), dtype=np.uint8)
        pixels[4:12, 3 * i : 3 * i + 8] = (250, 40 * i, 10, 255)
        pictures.append(Image.fromarray(pixels))
    return pictures


@pytest.mark.parametrize("source", ["in.gif", "in.webp", "in.png"])
@pytest.mark.parametrize("target", ["out.gif", "out.webp", "out.png"])
def test_every_frame_is_painted_with_its_time(
    tmp_path: Path, moving: list[Image.Image], source: str, target: str
) -> None:
    first, *others = moving
    exact = {"lossless": True} if source.endswith("webp") else {}
    times = [40, 100, 70, 250]
    first.save(
        tmp_path / source, save_all=True, append_images=others, duration=times, loop=0, disposal=2, **exact
    )
    seen = frames_of(tmp_path / source)
    how = Encoding(lossless=True)
    assert NEGATIVE.paint_file(tmp_path / source, tmp_path / target, encoding=how) is None
    painted = frames_of(tmp_path / target)
    assert len(painted) == 4
    assert times_of(tmp_path / target) == times
    with Image.open(tmp_path / target) as file:
        assert file.info["loop"] == 0
    for before, after in zip(seen, painted, strict=True):
        assert np.array_equal(after[..., 3], before[..., 3])
        shown = before[..., 3] > 0
        assert np.abs(after[shown][:, :3].astype(int) - (255 - before[shown][:, :3].astype(int))).max() <= 1


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (2, 3)])
def test_a_gif_is_shown_as_often_as_before(
    tmp_path: Path, moving: list[Image.Image], loop: int | None, plays: int
) -> None:
    more = {} if loop is None else {"loop": loop}
    moving[0].save(tmp_path / "in.gif", save_all=True, append_images=moving[1:], duration=50, **more)
    NEGATIVE.paint_file(tmp_path / "in.gif", tmp_path / "out.gif")
    NEGATIVE.paint_file(tmp_path / "in.gif", tmp_path / "out.webp")
    with Image.open(tmp_path / "out.gif") as same:
        assert same.info.get("loop") == loop
    with Image.open(tmp_path / "out.webp") as other:
        assert other.info["loop"] == plays  # WebP counts plays, GIF repeats


@pytest.mark.parametrize("name", ["out.jpg", "out.tif"])
def test_a_still_of_an_animation_says_so(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (9, 9), (60 * i, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    said = NEGATIVE.paint_file(tmp_path / "in.gif", tmp_path / name)
    assert said == "the first of 3 frames; a .gif, .webp or .png would have all"
    with Image.open(tmp_path / name) as cartoon:
        assert getattr(cartoon, "n_frames", 1) == 1
        assert cartoon.convert("RGB").getpixel((4, 4))[0] > 250


def test_pages_beyond_the_first_are_spoken_of(tmp_path: Path) -> None:
    page = Image.new("RGB", (5, 5))
    page.save(tmp_path / "in.tif", save_all=True, append_images=[page, page])
    assert NEGATIVE.paint_file(tmp_path / "in.tif", tmp_path / "out.tif") == "the first of 3 pages"


def lut_profile(space: bytes, corners: list[tuple[int, int, int]]) -> bytes:
    """An ICC profile (v2, lut8): Lab of every corner of the colour space, the last channel fastest."""
    channels = {b"CMYK": 4, b"GRAY": 1}[space]
    straight = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([channels, 3, 2, 0])
    lut += struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut += straight * channels + bytes(v for lab in corners for v in lab) + straight * 3
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": lut,
    }
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    rest = struct.pack(">I", len(tags)) + table + body
    header = struct.pack(">I", 128 + len(rest)) + bytes(4) + b"\x02\x10\0\0" + b"prtr" + space + b"Lab "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + rest


def test_cmyk_is_converted_by_its_own_profile(tmp_path: Path) -> None:
    # An ink that prints green as K, whatever C, M and Y are; nothing printed is white.
    white, green = (255, 128, 128), (128, 64, 192)  # Lab: 100, 0, 0 and 50.2, -64, 64
    profile = lut_profile(b"CMYK", [white, green] * 8)
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "in.tif", icc_profile=profile)
    decoded = images.decode(tmp_path / "in.tif")
    # Lab 50.2, -64, 64 by the CIE's formulas and Bradford's adaptation to D65: out of sRGB's red and blue.
    red, got_green, blue = decoded.rgb.getpixel((4, 4))
    assert abs(got_green - 142) <= 6
    assert red < 12
    assert blue < 12
    assert decoded.icc_profile is None
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "plain.tif")
    assert images.decode(tmp_path / "plain.tif").rgb.getpixel((4, 4)) == (0, 0, 0)


def test_a_profile_of_another_colour_space_is_left_aside(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "in.jpg", icc_profile=srgb)
    red, green, _ = images.decode(tmp_path / "in.jpg").rgb.getpixel((4, 4))
    assert red > 250
    assert green < 5


def test_grey_is_converted_by_its_own_profile(tmp_path: Path) -> None:
    profile = lut_profile(b"GRAY", [(0, 128, 128), (255, 128, 128)])  # lightness, evenly
    Image.new("L", (4, 4), 128).save(tmp_path / "in.png", icc_profile=profile)
    # L* = 50.2 is Y = 0.1859, which sRGB writes as 119.
    assert abs(images.decode(tmp_path / "in.png").rgb.getpixel((1, 1))[0] - 119) <= 2
    Image.new("L", (4, 4), 128).save(tmp_path / "plain.png")
    assert images.decode(tmp_path / "plain.png").rgb.getpixel((1, 1)) == (128, 128, 128)


def test_lab_files_are_read(tmp_path: Path) -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 4), v) for v in (255, 128, 128)])
    lab.save(tmp_path / "in.tif")
    assert min(images.decode(tmp_path / "in.tif").rgb.getpixel((1, 1))) > 250


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"file_quality": 0}, "file_quality=0 is not in 1 to 100"), ({"bits": "12"}, "bits=12: use one of")],
)
def test_encodings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Encoding(**settings)


def test_file_quality_changes_the_files(tmp_path: Path) -> None:
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "in.png")
    for name in ("jpg", "webp"):
        sizes = []
        for quality in (30, 95):
            target = tmp_path / f"{quality}.{name}"
            NEGATIVE.paint_file(tmp_path / "in.png", target, encoding=Encoding(file_quality=quality))
            sizes.append(target.stat().st_size)
        assert sizes[0] < sizes[1] / 1.5


def test_a_gif_that_is_cut_in_the_middle_leaves_no_half_cartoon(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(40, 40, 3) // (i + 1)) for i in range(5)]
    whole = io.BytesIO()
    frames[0].save(whole, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "in.gif").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(images.BadImageError):
        NEGATIVE.paint_file(tmp_path / "in.gif", tmp_path / "out.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["in.gif"]
