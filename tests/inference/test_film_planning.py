"""Folders of photos and films: each becomes its own kind, and none is lost or painted over."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from toonlab.errors import UsageError
from toonlab.inference.film.formats import parts_of
from toonlab.inference.film.planning import plan_with_films
from toonlab.inference.planning import Plan, plan


def planned(source: Path, target: Path, *, overwrite: bool = False) -> Plan:
    return plan_with_films(
        source, target, overwrite=overwrite, photos=lambda a, b: plan(a, b, overwrite=overwrite)
    )


def targets(found: Plan, below: Path) -> list[str]:
    return sorted(str(job.target.relative_to(below)) for job in found.jobs)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("a.MP4", "a.avi", "sub/b.webm", "sub/c.mpg", ".hidden.mp4", "old.mp4.part/00000.mkv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"film")
    Image.new("RGB", (9, 7)).save(folder / "photo.png")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_a_mixed_folder(mixed: Path, tmp_path: Path) -> None:
    found = planned(mixed, tmp_path / "out")
    assert targets(found, tmp_path / "out") == ["a.MP4", "a.mp4", "photo.png", "sub/b.webm", "sub/c.mp4"]
    assert len({job.target for job in found.jobs}) == 5


def test_a_folder_of_films_alone(mixed: Path, tmp_path: Path) -> None:
    (mixed / "photo.png").unlink()
    assert len(planned(mixed, tmp_path / "out").jobs) == 4


def test_what_is_finished_stays_and_what_is_begun_goes_on(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    for name in ("a.MP4", "sub/b.webm"):
        (out / name).write_bytes(b"painted")
    parts_of(out / "sub" / "b.webm").mkdir()
    found = planned(mixed, out)
    assert targets(found, out) == ["a.mp4", "photo.png", "sub/b.webm", "sub/c.mp4"]
    assert [job.target.name for job in found.existing] == ["a.MP4"]
    assert len(planned(mixed, out, overwrite=True).jobs) == 5


def test_one_film(mixed: Path, tmp_path: Path) -> None:
    film, out = mixed / "a.avi", tmp_path / "out"
    assert planned(film, out).jobs[0].target == out / "a.mp4"
    assert planned(film, tmp_path / "x.mkv").jobs[0].target == tmp_path / "x.mkv"
    for name, why in [("x.avi", r"x\.mp4, say"), ("x.png", "a film becomes a film")]:
        with pytest.raises(UsageError, match=why):
            planned(film, tmp_path / name)
    with pytest.raises(UsageError, match="would overwrite films"):
        planned(mixed / "a.MP4", mixed)
    with pytest.raises(UsageError, match="does not exist"):
        planned(tmp_path / "none.mp4", out)


def test_a_photo_does_not_become_a_film_nor_a_folder_a_file(mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a folder"):
        planned(mixed, tmp_path / "x.mp4")
    with pytest.raises(UsageError):
        planned(mixed, mixed)
