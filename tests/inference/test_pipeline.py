"""Workers and batches: the same files as one after the other, in order, with bounded memory, Ctrl-C safe."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from toonlab.inference import cartoon_file, photo_file
from toonlab.inference.batch import Outcome, stylize_all
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.pipeline import stylize_piped
from toonlab.inference.planning import plan
from toonlab.inference.stylizer import Stylizer


class Negative(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(photo))
        if (photo[:, :, 0, 0] == 1).all(dim=1).any():
            raise MemoryError  # a white corner is what breaks this one
        return -photo


def stylizer() -> Stylizer:
    return Stylizer(Negative(), multiple=4, output_filter=None, tile=64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six of one size; deep, moving, with alpha; two broken ones, and one that breaks the painter."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 200, (9, 13, 3), dtype=np.uint8)).save(folder / f"a{i}.png")
    Image.fromarray(rng.integers(0, 60000, (9, 13), dtype=np.uint16)).save(folder / "deep.png")
    frames = [Image.fromarray(rng.integers(0, 200, (9, 13, 3), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:], duration=50)
    Image.fromarray(rng.integers(0, 200, (70, 80, 4), dtype=np.uint8)).save(folder / "see.png")
    (folder / "b.jpg").write_bytes(b"no picture")
    whole = (folder / "a0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    white = rng.integers(0, 200, (9, 13, 3), dtype=np.uint8)
    white[0, 0] = 255
    Image.fromarray(white).save(folder / "a3_white.png")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file, hidden ones included: half-written ones would show."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(source: Path, target: Path, workers: int, batch: int = 1, by: Stylizer | None = None) -> Outcome:
    todo = plan(source, target, overwrite=False)
    how = Encoding(lossless=True)
    return stylize_piped(by or stylizer(), todo, progress=False, encoding=how, workers=workers, batch=batch)


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (3, 1), (2, 4)])
def test_the_same_files_and_failures_as_one_after_the_other(
    tmp_path: Path, photos: Path, workers: int, batch: int
) -> None:
    alone = stylize_all(
        stylizer(),
        plan(photos, tmp_path / "alone", overwrite=False),
        progress=False,
        encoding=Encoding(lossless=True),
    )
    piped = run(photos, tmp_path / "piped", workers, batch)
    assert files(tmp_path / "piped") == files(tmp_path / "alone")
    assert [path.name for path in piped.painted] == [path.name for path in alone.painted]
    assert piped.failed == alone.failed
    assert {path.name for path in piped.failed} == {"a3_white.png", "b.jpg", "cut.png"}
    assert piped.remaining == 0


def test_neighbours_of_one_size_are_painted_together(tmp_path: Path, photos: Path) -> None:
    by = stylizer()
    run(photos, tmp_path / "out", 2, batch=4, by=by)
    # a0 a1 a2 a3 as one, then a3_white with a4 and a5: it fails with them and then alone, they do not.
    assert by.generator.batches[:5] == [4, 3, 1, 1, 1]


def test_no_more_is_decoded_or_waits_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for i in range(20):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "in" / f"{i:02}.png")
    alive, most, lock = [0], [0], threading.Lock()
    read, write = photo_file.read, cartoon_file.write_photo

    def counted_read(*args: object) -> object:
        with lock:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
        return read(*args)

    def counted_write(*args: object, **more: object) -> None:
        write(*args, **more)
        with lock:
            alive[0] -= 1

    monkeypatch.setattr(photo_file, "read", counted_read)
    monkeypatch.setattr(cartoon_file, "write_photo", counted_write)
    outcome = run(tmp_path / "in", tmp_path / "out", workers=2, batch=1)
    assert len(outcome.painted) == 20
    assert alive == [0]
    assert most[0] <= (2 + 1) + 1 + (2 + 1)  # ahead, in the painter's hands, waiting to be written


def test_ctrl_c_keeps_whole_files_and_the_same_command_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(8):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "in" / f"{i:02}.png")
    by = stylizer()
    paint = by.paint_photo

    def interrupted(photo: photo_file.Photo, *args: object, **more: object) -> photo_file.Photo:
        if next(photo.frames()).rgb[0, 0, 0] == 5:
            raise KeyboardInterrupt
        return paint(photo, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(by, "paint_photo", interrupted)
        outcome = run(tmp_path / "in", tmp_path / "out", workers=2, by=by)
    assert outcome.interrupted
    assert outcome.failed == {}
    assert sorted(files(tmp_path / "out")) == [path.name for path in outcome.painted]
    assert 3 <= len(outcome.painted) <= 5
    assert outcome.remaining == 8 - len(outcome.painted)
    assert not [t for t in threading.enumerate() if t.name.startswith("toonlab-files")]
    assert len(run(tmp_path / "in", tmp_path / "out", workers=2, by=by).painted) == outcome.remaining


def test_what_a_target_lacks_is_in_the_summary(tmp_path: Path, photos: Path) -> None:
    todo = plan(photos / "moving.gif", tmp_path / "out.jpg", overwrite=False)
    for outcome in (
        stylize_piped(stylizer(), todo, progress=False, encoding=Encoding(), workers=1),
        stylize_all(stylizer(), todo, progress=False),
    ):
        assert f"{photos / 'moving.gif'}: the first of 3 frames; a .gif" in outcome.summary()


def test_a_format_for_all_keeps_names_apart(tmp_path: Path) -> None:
    for name in ("x.png", "x.jpg", "y.bmp", "z.webp"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "in" / name)
    found = plan(tmp_path / "in", tmp_path / "out", overwrite=False, format="webp")
    names = {job.source.name: job.target.name for job in found.jobs}
    assert names == {"x.jpg": "x.webp", "x.png": "x.png.webp", "y.bmp": "y.webp", "z.webp": "z.webp"}
    assert found.renamed == ()
    Image.new("RGBA", (4, 4)).save(tmp_path / "in" / "alpha.png")
    found = plan(tmp_path / "in", tmp_path / "out", overwrite=False, format="jpg")
    assert [path.name for path in found.renamed] == ["alpha.png"]


@pytest.mark.parametrize(
    ("output", "format", "words"),
    [("out", "bpg", "format=bpg: use one of .*png"), ("out.png", "jpg", "format=jpg and output=.* disagree")],
)
def test_formats_that_cannot_be_are_refused(tmp_path: Path, output: str, format: str, words: str) -> None:
    from toonlab.errors import UsageError

    Image.new("RGB", (4, 4)).save(tmp_path / "in.png")
    with pytest.raises(UsageError, match=words):
        plan(tmp_path / "in.png", tmp_path / output, overwrite=False, format=format)
