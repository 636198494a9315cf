"""Files in, files out, around a completion that paints the hole in plain colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference.batch import Outcome
from toonlab.inference.inpaint_files import InpaintFiles, Row, check_names
from toonlab.inference.inpainter import Inpainter
from toonlab.inference.masks import Masks
from toonlab.inference.planning import plan
from toonlab.inference.stylizer import Stylizer
from toonlab.representations.inpainting.completion import Completion, OnStep


class Plain:
    """Candidate i fills the hole with a grey of its own; keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.stop_after = 10**9

    def complete(
        self, photos: Tensor, known: Tensor, *, candidates: int, on_step: OnStep | None = None
    ) -> Completion:
        if len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen.append((photos, known))
        found = [torch.where(known > 0, photos, torch.full_like(photos, i / 10)) for i in range(candidates)]
        if on_step:
            on_step(candidates, candidates)
        return Completion(found[0], torch.stack(found, dim=1), torch.arange(candidates)[None].float())


PLAIN = Plain()


@pytest.fixture(autouse=True)
def plain() -> Plain:
    PLAIN.__init__()  # type: ignore[misc]
    return PLAIN


def photo(path: Path, size: tuple[int, int] = (40, 24), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    picture = Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    picture.save(path)
    return path


def run(
    source: Path,
    output: Path,
    mask: object,
    *,
    overwrite: bool = False,
    candidates: int = 2,
    largest: int = 512,
) -> tuple[Outcome, list[Row]]:
    rows: list[Row] = []
    files = InpaintFiles(
        Inpainter(PLAIN, multiple=4, largest=largest),
        Stylizer(nn.Identity(), multiple=4, output_filter=None, tile=None),
        Masks(
            str(mask), photos=source if source.is_dir() else source.parent, seed=0, resize=False, options={}
        ),
        candidates=candidates,
        measure=lambda ours, clean, known: {"off": float(((ours - clean).abs() * (1 - known)).max())},
        record=rows.append,
    )
    return files.all(plan(source, output, overwrite=overwrite, png=True), progress=False), rows


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [(40, 24), (41, 27), (5, 3), (1, 64), (3, 200)])
def test_any_size_is_padded_and_cropped_back(size: tuple[int, int]) -> None:
    width, height = size
    image = torch.rand(1, 3, height, width) * 2 - 1
    known = torch.ones(1, 1, height, width)
    known[..., : height // 2, : width // 2 + 1] = 0
    image = torch.where(known > 0, image, torch.full_like(image, torch.nan))
    done = Inpainter(PLAIN, multiple=4, largest=None).complete(image, known, candidates=3)
    assert (done.result.shape, done.candidates.shape) == (image.shape, (1, 3, *image.shape[1:]))
    assert torch.equal(done.scores, torch.tensor([[0.0, 1, 2]]))
    kept = known.expand_as(image) > 0
    assert torch.equal(done.result[kept], image[kept])
    seen, seen_known = PLAIN.seen[0]
    assert all(side % 4 == 0 and side >= 16 for side in seen.shape[-2:])
    assert seen.isfinite().all()  # nothing of the hole is shown
    assert ((seen_known == 0) | (seen_known == 1)).all()
    assert torch.equal(seen[seen_known.expand_as(seen) == 0].unique(), torch.zeros(1))


def test_a_made_up_hole_gives_everything(tmp_path: Path) -> None:
    source = photo(tmp_path / "in" / "a.jpg")
    outcome, rows = run(tmp_path / "in", tmp_path / "out", "box")
    assert (outcome.failed, len(outcome.painted)) == ({}, 1)
    assert names(tmp_path / "out") == ["a.png", "a_candidate_1.png", "a_candidate_2.png", "a_strip.png"]
    before = images.to_array(images.to_tensor(images.decode(source).rgb))
    after = np.asarray(Image.open(tmp_path / "out/a.png"))
    hole = np.zeros((24, 40), bool)
    hole[6:18, 10:30] = True
    assert (after[~hole] == before[~hole]).all()
    assert (after[hole] == 128).all()
    assert (np.asarray(Image.open(tmp_path / "out/a_candidate_2.png"))[hole] == 140).all()
    with Image.open(tmp_path / "out/a_strip.png") as strip:
        assert strip.width == 4 * 40 + 5 * 4  # photo, masked, result, clean cartoon
    (row,) = rows
    assert (row["photo"], row["mask"], row["missing"]) == ("a.jpg", "box", "0.2500")
    assert float(row["off"]) > 0.5


def test_a_painted_mask_has_no_clean_cartoon_and_alpha_stays(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", mode="RGBA")
    mask = np.zeros((24, 40), np.uint8)
    mask[:5, :5] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    _, rows = run(tmp_path / "in", tmp_path / "out", tmp_path / "mask.png")
    assert "off" not in rows[0]
    with Image.open(tmp_path / "out/a_strip.png") as strip, Image.open(tmp_path / "out/a.png") as cartoon:
        assert strip.width == 3 * 40 + 4 * 4
        assert cartoon.getchannel("A").getextrema() == (100, 100)


def test_the_colour_profile_stays_and_the_orientation_is_not_applied_twice(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.new("RGB", (40, 24), "red").save(tmp_path / "in" / "a.jpg", icc_profile=b"a profile", exif=turned)
    run(tmp_path / "in", tmp_path / "out", "box")
    with Image.open(tmp_path / "out/a.png") as cartoon:
        assert (cartoon.size, cartoon.info["icc_profile"]) == ((24, 40), b"a profile")
        assert 0x0112 not in cartoon.getexif()


def test_an_empty_mask_gives_the_plain_cartoon(tmp_path: Path) -> None:
    source = photo(tmp_path / "in" / "a.png")
    Image.new("L", (40, 24), 0).save(tmp_path / "mask.png")
    outcome, rows = run(source, tmp_path / "out", tmp_path / "mask.png")
    assert (outcome.failed, PLAIN.seen, rows[0]["missing"]) == ({}, [], "0.0000")
    assert (np.asarray(Image.open(tmp_path / "out/a.png")) == np.asarray(Image.open(source))).all()
    assert names(tmp_path / "out") == ["a.png", "a_strip.png"]


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "white.png", "wide.png", "z.png"):
        photo(tmp_path / "in" / name, (600, 24) if name == "wide.png" else (40, 24))
        size = (600, 24) if name == "wide.png" else (40, 24)
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = Image.new("L", size, 255 if name == "white.png" else 0)
        mask.paste(255, (0, 0, 9, 9))
        mask.save(tmp_path / "masks" / name)
    (tmp_path / "in" / "bad.png").write_text("no image")
    photo(tmp_path / "in" / "none.png")
    outcome, rows = run(tmp_path / "in", tmp_path / "out", tmp_path / "masks")
    reasons = {path.name: reason for path, reason in outcome.failed.items()}
    assert sorted(reasons) == ["bad.png", "none.png", "white.png", "wide.png"]
    assert reasons["bad.png"] == "not an image"
    assert "no mask for it" in reasons["none.png"]
    assert "white all over" in reasons["white.png"]
    assert "600x24 pixels are more than max_side=512" in reasons["wide.png"]
    assert [row["photo"] for row in rows] == ["a.png", "z.png"]
    assert "2 completed, 4 failed" in outcome.summary()


def test_an_interrupted_run_goes_on_and_writes_over_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "in" / name)
    PLAIN.stop_after = 1
    outcome, rows = run(tmp_path / "in", tmp_path / "out", "box")
    assert (outcome.interrupted, outcome.remaining, len(rows)) == (True, 2, 1)
    assert [name for name in names(tmp_path / "out") if name[0] != "a"] == []
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    PLAIN.stop_after = 10**9
    outcome, rows = run(tmp_path / "in", tmp_path / "out", "box")
    assert ([row["photo"] for row in rows], outcome.skipped_existing) == (["b.png", "c.png"], 1)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    outcome, rows = run(tmp_path / "in", tmp_path / "out", "box", overwrite=True, candidates=1)
    assert len(rows) == 3
    assert not [name for name in names(tmp_path / "out") if "candidate_2" in name]  # of the earlier run


def test_killed_before_the_last_file_the_row_is_there_and_the_photo_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "in" / "a.png")
    save = images.save

    def killed(picture: Image.Image, path: Path, **options: object) -> None:
        if path.name == "a.png":
            raise KeyboardInterrupt
        save(picture, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(images, "save", killed)
        assert [row["photo"] for row in run(tmp_path / "in", tmp_path / "out", "box")[1]] == ["a.png"]
    assert [row["photo"] for row in run(tmp_path / "in", tmp_path / "out", "box")[1]] == ["a.png"]


def test_names_that_collide(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        photo(tmp_path / "in" / name)
    jobs = plan(tmp_path / "in", tmp_path / "out", overwrite=False, png=True).jobs
    assert [job.target.name for job in jobs] == ["a.jpg.png", "a.png"]
    check_names(jobs, 4)
    photo(tmp_path / "in" / "a_candidate_2.webp")
    jobs = plan(tmp_path / "in", tmp_path / "out", overwrite=False, png=True).jobs
    check_names(jobs, 1)
    with pytest.raises(UsageError, match=r"would both write a_candidate_2.png: rename one"):
        check_names(jobs, 2)


def test_all_missing_is_refused() -> None:
    with pytest.raises(UsageError, match="hides the whole photo"):
        Inpainter(PLAIN, multiple=4, largest=None).complete(
            torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16), candidates=1
        )
