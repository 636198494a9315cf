"""Folders: nothing overwritten, nothing lost, a bad file never stops the good ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from toonlab.errors import UsageError
from toonlab.inference import planning
from toonlab.inference.batch import Outcome, stylize_all
from toonlab.inference.planning import plan
from toonlab.inference.stylizer import Stylizer


class Negative(nn.Module):
    def forward(self, photo):
        return -photo


STYLIZER = Stylizer(Negative(), multiple=4, output_filter=None, tile=64)


def write(path: Path, mode: str = "RGB", level: int = 50) -> Path:
    """A flat picture; with alpha, half transparent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (9, 7), (level, level, level, 128)[: len(mode)]).save(path)
    return path


def level(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.convert("RGB").getpixel((4, 3))[0]


def files(folder: Path) -> list[str]:
    """Every file, hidden ones included: half-written ones would show."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def run(source: Path, target: Path, overwrite: bool = False) -> Outcome:
    return stylize_all(STYLIZER, plan(source, target, overwrite=overwrite), progress=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two that share a stem, one in a subfolder, and things that are no photos."""
    folder = tmp_path / "in"
    for name in ("a.jpg", "a.png", "sub/deep/b.JPG"):
        write(folder / name)
    (folder / "notes.txt").write_text("hello")
    write(folder / ".thumbnail.png")
    write(folder / ".cache" / "c.png")
    return folder


def test_a_folder_keeps_its_names_and_structure(photos: Path, tmp_path: Path) -> None:
    outcome = run(photos, tmp_path / "out")
    assert files(tmp_path / "out") == ["a.jpg", "a.png", "sub/deep/b.JPG"]
    assert all(level(path) == 205 for path in outcome.painted)
    assert outcome.summary().splitlines() == [
        "3 painted, 0 failed",
        "1 other files ignored: not images by their names",
    ]


def test_a_messy_folder_is_finished_and_every_failure_named(photos: Path, tmp_path: Path) -> None:
    whole = write(tmp_path / "big.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.png").write_text("not a picture")
    (photos / "text.bmp").write_text("not a picture")
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(photos / "deep.png")
    Image.new("CMYK", (5, 5), (0, 0, 0, 0)).save(photos / "print.jpg")
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    outcome = run(photos, tmp_path / "out")
    assert {path.name for path in outcome.failed} == {"cut.jpg", "empty.png", "text.bmp", "text.png"}
    assert files(tmp_path / "out") == [
        "a.jpg",
        "a.png",
        "deep.png",
        "dot.png",
        "print.jpg",
        "sub/deep/b.JPG",
    ]
    lines = outcome.summary().splitlines()
    assert lines[0] == "6 painted, 4 failed"
    assert lines[-5] == "failed:"
    assert lines[-3:] == [
        f"  {photos / 'empty.png'}: empty file",
        f"  {photos / 'text.bmp'}: not an image",
        f"  {photos / 'text.png'}: not an image",
    ]


@pytest.mark.parametrize(
    ("error", "reason"), [(MemoryError(), "MemoryError"), (RuntimeError("no\nmore"), "RuntimeError: no")]
)
def test_a_file_that_breaks_the_painter_stands_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    paint = STYLIZER.paint_file

    def fragile(source: Path, *rest: object, **more: object) -> None:
        if source.name == "a.png":
            raise error
        paint(source, *rest, **more)

    monkeypatch.setattr(STYLIZER, "paint_file", fragile)
    outcome = run(photos, tmp_path / "out")
    assert outcome.failed == {photos / "a.png": reason}
    assert files(tmp_path / "out") == ["a.jpg", "sub/deep/b.JPG"]


def test_an_interrupted_run_keeps_what_is_done_and_continues(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Image.Image.save

    def interrupted(self: Image.Image, path: Path, **options: object) -> None:
        save(self, path, **options)
        if path.name.startswith(".a.") and path.suffix == ".png":
            path.write_bytes(path.read_bytes()[:20])  # half of the file is on the disk
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", interrupted)
        outcome = run(photos, tmp_path / "out")
    assert (outcome.interrupted, outcome.remaining, outcome.failed) == (True, 2, {})
    assert "interrupted with 2 to go" in outcome.summary()
    assert files(tmp_path / "out") == ["a.jpg"]

    (tmp_path / "out" / "a.jpg").write_bytes(b"mine")
    outcome = run(photos, tmp_path / "out")
    assert (len(outcome.painted), outcome.skipped_existing) == (2, 1)
    assert "1 skipped: already there" in outcome.summary()
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"mine"

    outcome = run(photos, tmp_path / "out", overwrite=True)
    assert (len(outcome.painted), outcome.skipped_existing) == (3, 0)
    assert level(tmp_path / "out" / "a.jpg") == 205


def test_an_output_inside_the_input_is_not_read_again(photos: Path) -> None:
    for _ in range(2):
        run(photos, photos / "cartoons")
    assert files(photos / "cartoons") == ["a.jpg", "a.png", "sub/deep/b.JPG"]


def test_what_cannot_hold_alpha_becomes_png(tmp_path: Path) -> None:
    source = write(tmp_path / "in.png", "RGBA")
    found = plan(source, tmp_path / "out.jpg", overwrite=False)
    assert found.renamed == (tmp_path / "out.png",)
    outcome = stylize_all(STYLIZER, found, progress=False)
    assert outcome.painted == [tmp_path / "out.png"]
    assert f"written as PNG: {tmp_path / 'out.png'}" in outcome.summary()
    with Image.open(tmp_path / "out.png") as cartoon:
        assert cartoon.getchannel("A").getextrema() == (128, 128)
    opaque = write(tmp_path / "opaque.png")
    assert plan(opaque, tmp_path / "out.jpg", overwrite=False).jobs[0].target == tmp_path / "out.jpg"


def test_what_cannot_be_written_becomes_png(tmp_path: Path) -> None:
    source = write(tmp_path / "old.tga")
    for output, target in (("out.tga", "out.png"), ("folder", "folder/old.png")):
        assert plan(source, tmp_path / output, overwrite=False).jobs[0].target == tmp_path / target


def test_a_renamed_target_takes_nobody_elses_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.bmp", "x.jpg", "x.png", "x.bmp.png"):
        write(tmp_path / "in" / name)
    can_hold = lambda target, source: source.suffix == ".png"  # noqa: E731 (as if the others had alpha)
    monkeypatch.setattr(planning, "_can_hold", can_hold)
    jobs = plan(tmp_path / "in", tmp_path / "out", overwrite=False).jobs
    assert {job.source.name: job.target.name for job in jobs} == {
        "x.bmp": "x.bmp.2.png",
        "x.bmp.png": "x.bmp.png",
        "x.jpg": "x.jpg.png",
        "x.png": "x.png",
    }
    (tmp_path / "in" / "x.png").unlink()
    jobs = plan(tmp_path / "in", tmp_path / "out", overwrite=False).jobs
    assert [job.target.name for job in jobs] == ["x.png", "x.bmp.png", "x.jpg.png"]


@pytest.mark.parametrize(
    ("output", "target"),
    [("new.png", "new.png"), ("folder", "folder/p.jpg"), ("there", "there/p.jpg"), ("v1.2", "v1.2/p.jpg")],
)
def test_a_single_file_goes_to_a_file_or_into_a_folder(tmp_path: Path, output: str, target: str) -> None:
    (tmp_path / "there").mkdir()
    source = write(tmp_path / "p.jpg")
    assert run(source, tmp_path / output).painted == [tmp_path / target]
    assert level(tmp_path / target) == 205


def test_mistakes_are_one_line_with_a_remedy(photos: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("hello")
    photo = photos / "a.jpg"
    for source, target, words in (
        (tmp_path / "nowhere", tmp_path / "out", "does not exist: name a photo"),
        (empty, tmp_path / "out", r"holds no image \(.*\.bmp .*among 1 files: name another folder"),
        (photos, photos, "input folder itself: choose another"),
        (photos, photos / "sub" / "..", "input folder itself: choose another"),
        (photo, photo, "would overwrite photos"),
        (photo, photos, "would overwrite photos"),
        (photos / "sub", photos, None),
        (photos, tmp_path / "out.png", "names a file but input=.* is a folder: name a folder"),
        (photos, empty / "notes.txt", "is a file"),
        (photo, empty / "notes.txt", "is a file and not an image: name a folder"),
        (photo, tmp_path / "out.jgp", r"\.jgp is no format of pictures; name a \.png or \.jpg, or a folder"),
    ):
        if words is None:
            assert plan(source, target, overwrite=True).jobs
            continue
        with pytest.raises(UsageError, match=words) as caught:
            plan(source, target, overwrite=True)
        assert "\n" not in str(caught.value)
    assert files(empty) == ["notes.txt"]


def test_a_target_that_is_another_source_is_refused(tmp_path: Path) -> None:
    # photos/photos/a.jpg would land on photos/a.jpg, itself an input.
    write(tmp_path / "photos" / "a.jpg")
    write(tmp_path / "photos" / "photos" / "a.jpg")
    with pytest.raises(UsageError, match="would overwrite photos"):
        plan(tmp_path / "photos", tmp_path, overwrite=True)
    with pytest.raises(UsageError, match="would overwrite photos"):
        plan(tmp_path / "photos" / "a.jpg", tmp_path / "photos", overwrite=True)


def test_progress_bars_count_files_and_tiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    found = plan(tmp_path / "large.png", tmp_path / "out", overwrite=False)
    assert stylize_all(STYLIZER, found, progress=True).failed == {}
    assert "1/1" in capsys.readouterr().err
