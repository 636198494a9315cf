"""`src/prepare.py collage`, `frames` and `split`: what lies in the output, after one call or several."""

import csv
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from commands import Cli
from scenes import collage, grid, panned, scene, write_film
from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.prepare import collage as collage_task
from toonlab.app.prepare import frames as frames_task
from toonlab.app.prepare import split as split_task
from toonlab.errors import UsageError

RUN = {"collage": collage_task.run, "frames": frames_task.run, "split": split_task.run}
Task = Callable[..., DictConfig]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Run a task in this process, on paths below the test's folder."""
    register_resolvers()

    def run(name: str, *arguments: str) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(f"prepare_{name}", [a.replace("@", f"{tmp_path}/") for a in arguments])
        RUN[name](cfg)

    return run


def save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=92)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# collage


@pytest.fixture
def collages(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for seed in range(3):
        save(collage(seed, 150, gap=4 * seed), folder / "deep" / f"{seed}.jpg")
    save(collage(7, 150), folder / "a.png")
    save(collage(8, 150), folder / "a.jpg")
    save(grid([scene(s, 150, 150) for s in range(4)]), folder / "four.jpg")
    save(scene(1, 300, 300), folder / "photo.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_collages_become_pairs_and_the_others_are_told_why(task, tmp_path: Path, collages: Path) -> None:
    before = tree(collages)
    task("collage", "source=@in", "output=@out")
    out = tmp_path / "out"
    names = {"a.png", "a.png.png", "deep/0.png", "deep/1.png", "deep/2.png"}
    for side in ("photos", "cartoons"):
        assert {str(p.relative_to(out / side)) for p in (out / side).rglob("*.png")} == names
    # The photo is the top left segment, the cartoon the bottom right one, less a hundredth all around.
    photo, cartoon = (
        np.asarray(Image.open(out / s / "a.png.png")).astype(int) for s in ("photos", "cartoons")
    )
    true = collage(7, 150).astype(int)
    assert photo.shape == cartoon.shape == (146, 146, 3)
    assert np.array_equal(photo, true[2:148, 2:148])
    assert np.array_equal(cartoon, true[152:298, 152:298])
    table = {row["file"]: (row["verdict"], row["reason"]) for row in rows(out / "report.csv")}
    assert table["four.jpg"] == ("rejected", "the segments show different things")
    assert table["photo.jpg"][1].startswith("no vertical seam")
    assert table["broken.jpg"] == ("unreadable", "not an image")
    assert sum(verdict == "collage" for verdict, _ in table.values()) == 5
    assert (out / "sheet.png").is_file()
    assert tree(collages) == before


def test_collages_are_cut_once_and_again_if_they_change(
    task, tmp_path: Path, collages: Path, monkeypatch
) -> None:
    task("collage", "source=@in", "output=@out", "cartoon=[top_right,bottom_left]")
    out = tmp_path / "out"
    assert (out / "photos" / "deep" / "0_top_right.png").is_file()
    before = tree(out)
    judged = []
    judge = collage_task.find
    monkeypatch.setattr(collage_task, "find", lambda page, limits: judged.append(1) or judge(page, limits))
    (out / "cartoons" / "deep" / "1_top_right.png").unlink()
    table = (out / "report.csv").read_text().splitlines(keepends=True)
    (out / "report.csv").write_text("".join(table[:-1]) + table[-1][:20])  # killed while it wrote a line
    save(collage(9, 150), collages / "deep" / "0.jpg")
    task("collage", "source=@in", "output=@out", "cartoon=[top_right,bottom_left]")
    assert len(judged) == 3
    after = tree(out)
    assert {name for name in before if before[name] != after[name]} >= {"photos/deep/0_top_right.png"}
    assert after["cartoons/deep/1_top_right.png"] == before["cartoons/deep/1_top_right.png"]
    with pytest.raises(UsageError, match=r"name another output=DIR"):
        task("collage", "source=@in", "output=@out", "trim=0.02", "cartoon=[top_right,bottom_left]")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("photo=topleft", "did you mean 'top_left'"),
        ("cartoon=top_left", "other than photo=top_left"),
        ("trim=0.6", "trim=0.6: a share"),
        ("output=@in/out", "hold each other"),
        ("source=@nowhere", "does not exist"),
        ("workers=0", "workers=0: a whole number"),
        ("limits.seams=1", "seams"),
    ],
)
def test_collage_mistakes(task, collages: Path, argument: str, words: str) -> None:
    with pytest.raises(Exception, match=words):
        task("collage", "source=@in", "output=@out", argument)


# frames


@pytest.fixture
def films(tmp_path: Path) -> Path:
    def shots_of(*seeds: int) -> list[np.ndarray]:
        return [frame for s in seeds for frame in panned(scene(s, 120, 190), 12, 120, 160)]

    write_film(tmp_path / "films" / "one.mp4", shots_of(1, 2, 3))
    write_film(tmp_path / "films" / "sub" / "two.mkv", shots_of(4, 2, 5))  # one shot of them is in both
    return tmp_path / "films"


QUICK = ("source=@films", "sampling.per_shot=1", "workers=1")


def test_frames_of_all_films_without_near_duplicates(task, tmp_path: Path, films: Path) -> None:
    task("frames", *QUICK, "output=@out")
    table = rows(tmp_path / "out" / "frames.csv")
    assert [row["film"] for row in table] == ["one"] * 3 + ["sub/two"] * 2
    assert [row["shot"] for row in table] == ["0", "1", "2", "0", "2"]
    for row in table:
        whole, _, rest = Path(row["file"]).stem.partition("_")
        assert int(whole) + int(rest) / 1000 == pytest.approx(float(row["seconds"]))
        assert Image.open(tmp_path / "out" / row["file"]).size == (160, 120)
    assert {"film": "sub/two", "reason": "near-duplicate", "count": "1"} in rows(
        tmp_path / "out" / "dropped.csv"
    )


def test_films_stopped_half_way_end_as_if_they_had_not(
    task, tmp_path: Path, films: Path, monkeypatch
) -> None:
    task("frames", *QUICK, "output=@whole")
    real = frames_task.take
    calls = []

    def stopped(film: Path, *rest: object) -> dict:
        calls.append(film)
        if len(calls) == 2:
            (tmp_path / "out" / ".films" / ".sub%2Ftwo.part").mkdir()
            raise KeyboardInterrupt
        return real(film, *rest)

    monkeypatch.setattr(frames_task, "take", stopped)
    with pytest.raises(KeyboardInterrupt):
        task("frames", *QUICK, "output=@out")
    monkeypatch.setattr(frames_task, "take", real)
    task("frames", *QUICK, "output=@out")
    whole = tree(tmp_path / "whole")
    assert tree(tmp_path / "out") == whole
    edited = tmp_path / "out" / rows(tmp_path / "out" / "frames.csv")[0]["file"]
    edited.unlink()
    save(scene(77), edited)
    mine = edited.read_bytes()
    monkeypatch.setattr(frames_task, "take", stopped)  # nothing is read again
    task("frames", *QUICK, "output=@out")
    assert edited.read_bytes() == mine
    (films / "one.mp4").unlink()
    task("frames", *QUICK, "output=@out")  # the shot that only `one` gave now comes from `two`
    assert [row["film"] for row in rows(tmp_path / "out" / "frames.csv")] == ["sub/two"] * 3


def test_a_broken_film_is_named_and_the_others_go_on(task, tmp_path: Path, films: Path, caplog) -> None:
    (films / "bad.mp4").write_bytes(b"no film" * 50)
    caplog.set_level(logging.INFO)
    with pytest.raises(SystemExit) as exit_status:
        task("frames", *QUICK, "output=@out", "format=jpg")
    assert exit_status.value.code == 1
    assert "bad.mp4: Invalid data" in caplog.text
    assert len(rows(tmp_path / "out" / "frames.csv")) == 5
    assert len(list((tmp_path / "out" / "frames" / "one").glob("*.jpg"))) == 3


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("subtitles=detekt", "did you mean 'detect'"),
        ("subtitles=0.7", "a share from 0 to 0.5"),
        ("near=64", "near=64: bits"),
        ("sampling.per_shot=0", "per_shot=0"),
        ("source=@films", "holds no film"),
        ("source=@nowhere", "does not exist"),
    ],
)
def test_frames_mistakes(task, tmp_path: Path, argument: str, words: str) -> None:
    (tmp_path / "films").mkdir()
    with pytest.raises(UsageError, match=words):
        task("frames", "source=@films", "output=@out", argument)
    assert not (tmp_path / "out").exists()


# split


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight folders of three pictures; the first picture of `f0` is in `f5` too, brighter."""
    folder = tmp_path / "pictures"
    for film in range(8):
        for i in range(3):
            save(scene(10 * film + i), folder / f"f{film}" / f"{i}.png")
    twin = (scene(0).astype(np.float32) * 0.9 + 12).astype(np.uint8)
    save(cv2.resize(twin, (120, 90)), folder / "f5" / "twin.png")
    return folder


HALVES = ("source=@pictures", "shares.train=0.5", "shares.val=0.25", "shares.test=0.25")


def test_a_source_and_its_near_duplicates_lie_in_one_part(task, tmp_path: Path, pictures: Path) -> None:
    before = tree(pictures)
    task("split", *HALVES, "output=@out")
    out = tmp_path / "out"
    table = rows(out / "split.csv")
    assert len(table) == 25
    parts: dict[str, set[str]] = {}
    for row in table:
        assert (out / row["part"] / row["file"]).read_bytes() == (pictures / row["file"]).read_bytes()
        parts.setdefault(row["file"].split("/")[0], set()).add(row["part"])
    assert all(len(part) == 1 for part in parts.values())
    assert parts["f0"] == parts["f5"]
    assert {row["part"] for row in table} == {"train", "val", "test"}
    assert sum(len(list((out / part).rglob("*.png"))) for part in ("train", "val", "test")) == 25
    assert "near-duplicates joined groups" in (out / "report.txt").read_text()
    assert (out / "near_duplicates.png").is_file()
    first = tree(out)
    task("split", *HALVES, "output=@out")
    assert tree(out) == first
    task("split", *HALVES, "output=@again")
    assert rows(tmp_path / "again" / "split.csv") == table
    assert tree(pictures) == before
    with pytest.raises(UsageError, match="other images or settings"):
        task("split", *HALVES, "output=@out", "seed=1")


def test_later_pictures_leave_the_earlier_ones_where_they_are(task, tmp_path: Path, pictures: Path) -> None:
    task("split", *HALVES, "output=@out")
    before = {row["file"]: row["part"] for row in rows(tmp_path / "out" / "split.csv")}
    edited = tmp_path / "out" / before["f1/0.png"] / "f1" / "0.png"
    edited.write_bytes(b"mine")
    for film in range(8, 12):
        save(scene(10 * film), pictures / f"f{film}" / "0.png")
    (pictures / "f3" / "broken.png").write_bytes(b"no")
    task("split", *HALVES, "output=@out")
    after = {row["file"]: row["part"] for row in rows(tmp_path / "out" / "split.csv")}
    assert before.items() <= after.items()
    assert len(after) == 29
    assert edited.read_bytes() == b"mine"
    assert [row["reason"] for row in rows(tmp_path / "out" / "left_out.csv")] == ["not an image"]
    part = {film: after[f"{film}/0.png"] for film in ("f1", "f2", "f3", "f4", "f6", "f7")}
    one, other = next((a, b) for a in part for b in part if part[a] != part[b])
    shutil.copy(pictures / one / "1.png", pictures / other / "leak.png")
    with pytest.raises(UsageError, match="new pictures join it"):
        task("split", *HALVES, "output=@out")


def test_pairs_stay_pairs_and_what_has_no_partner_is_listed(task, tmp_path: Path) -> None:
    for i in range(9):
        save(scene(i), tmp_path / "p" / f"{i}.jpg")
        save(scene(i) // 2, tmp_path / "c" / f"{i}.png")
    save(scene(50), tmp_path / "p" / "alone.jpg")
    pair = ("photos=@p", "cartoons=@c", "group=file")
    task("split", *pair, "output=@out", "link=hard", "shares.test=0")
    out = tmp_path / "out"
    assert not (out / "test").exists()
    for part in ("train", "val"):
        photos = {p.stem for p in (out / part / "photos").iterdir()}
        assert photos == {p.stem for p in (out / part / "cartoons").iterdir()}
        assert photos
    (row,) = rows(out / "left_out.csv")
    assert row == {"file": str(tmp_path / "p" / "alone.jpg"), "reason": "no file of this name in cartoons"}
    name = rows(out / "split.csv")[0]
    assert (out / name["part"] / "photos" / f"{name['file']}.jpg").samefile(
        tmp_path / "p" / f"{name['file']}.jpg"
    )
    task("split", *pair, "output=@symbolic", "link=symbolic")
    assert all(p.is_symlink() for p in (tmp_path / "symbolic" / "train" / "photos").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["source=@pictures", "group='('", "output=@out"], "neither folder"),
        (["source=@pictures", "photos=@pictures", "output=@out"], "give source=DIR, or photos="),
        (["source=@pictures", "group='f'", "output=@out"], "1 groups, too few for train, val, test"),
        (["source=@pictures", "shares.train=-1", "output=@out"], "shares.train=-1"),
        (["source=@pictures", "shares.val=0.6", "output=@out"], "val=0.6, test=0.1 are more than 1 together"),
        (["source=@pictures", "link=sym", "output=@out"], "link=sym: use one of"),
    ],
)
def test_split_mistakes_leave_nothing_behind(
    task, tmp_path: Path, pictures: Path, arguments, words: str
) -> None:
    with pytest.raises(Exception, match=words):
        task("split", *arguments)
    assert not (tmp_path / "out").exists()


def test_in_processes_from_the_command_line(cli: Cli, tmp_path: Path, films: Path) -> None:
    (films / "bad.mp4").write_bytes(b"no film" * 50)
    result = cli("prepare", "frames", "source=films", "output=frames", "workers=2", "sampling.per_shot=1")
    assert result.returncode == 1, result.stderr
    assert "bad.mp4: Invalid data" in result.stderr
    assert [row["film"] for row in rows(tmp_path / "frames" / "frames.csv")] == ["one"] * 3 + ["sub/two"] * 2
