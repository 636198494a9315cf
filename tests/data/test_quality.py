from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marked import scene
from toonlab.data.bars import find_bars, reduced
from toonlab.data.quality import Facts, examine, outliers, same_pictures
from toonlab.data.verdicts import bars, broken, doubles, grey, odd, tiny


def write(folder: Path, name: str, pixels: np.ndarray, **options) -> Facts:
    folder.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels).save(folder / name, **options)
    return examine(folder / name)


def boxed(pixels: np.ndarray, thickness: int, colour: int = 0) -> np.ndarray:
    out = pixels.copy()
    out[:thickness] = out[-thickness:] = colour
    return out


@pytest.mark.parametrize("colour", [0, 255])
def test_bars_are_measured_through_jpeg(tmp_path: Path, colour: int) -> None:
    facts = write(tmp_path, "a.jpg", boxed(scene(1), 16, colour), quality=90)
    assert facts.bars == pytest.approx((0, 2 / 15, 0, 2 / 15), abs=0.01)


def test_each_side_is_measured_for_itself() -> None:
    pixels = scene(2)
    pixels[:, :16] = 0
    pixels[-6:] = 0
    assert find_bars(pixels) == pytest.approx((0.1, 0, 0, 0.05), abs=1e-9)


def test_what_is_flat_without_a_straight_end_is_no_bar() -> None:
    sky = scene(3)
    for x in range(160):
        sky[: 20 + int(15 * np.sin(x / 9)), x] = 230  # a flat sky over hills
    fade = np.repeat(np.linspace(255, 0, 120)[:, None], 160, 1)[..., None].repeat(3, 2).astype(np.uint8)
    for picture in (scene(4), sky, fade, np.full((90, 120, 3), 40, np.uint8)):
        assert not find_bars(picture).any


def test_a_logo_on_a_bar_does_not_hide_it_and_scale_does_not_matter() -> None:
    pixels = boxed(scene(5, width=1200, height=900), 90)
    pixels[20:60, 1120:1180] = 200
    assert find_bars(reduced(pixels)) == pytest.approx((0, 0.1, 0, 0.1), abs=0.01)


def test_facts_survive_their_table_and_name_what_is_broken(tmp_path: Path) -> None:
    facts = write(tmp_path, "a.png", boxed(scene(1), 12))
    assert Facts.from_row({key: str(value) for key, value in facts.row().items()}) == facts
    assert (facts.width, facts.height, facts.kind, facts.grey) == (160, 120, "PNG", False)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    bad = examine(tmp_path / "bad.jpg")
    assert bad.reason
    assert "bad.jpg" in broken([bad], 2).files[0]
    assert broken([], 2).level == "ok"


def test_doubles_are_told_from_leaks_and_from_pairs(tmp_path: Path) -> None:
    one = write(tmp_path / "photos", "one.png", scene(1))
    other = write(tmp_path / "photos", "other.png", scene(2))
    again = write(tmp_path / "photos", "again.png", scene(1))
    smaller = np.asarray(Image.fromarray(scene(2)).resize((80, 60)))
    leak = write(tmp_path / "val", "leak.jpg", smaller, quality=70)
    pair = write(tmp_path / "cartoons", "one.jpg", scene(1), quality=90)
    same = write(tmp_path / "cartoons", "other.png", scene(2))
    files = {"photos": [one, other, again], "val_photos": [leak], "cartoons": [pair, same]}
    within, leaks, mixed = doubles(files, near=6)
    assert [(p.one.file, p.two.file, p.exact) for p in within.pairs] == [(one.file, again.file, True)]
    assert [(p.one.file, p.two.file, p.exact) for p in leaks.pairs] == [(other.file, leak.file, False)]
    assert [(p.one.file, p.two.file) for p in mixed.pairs] == [(other.file, same.file)]  # not mere likeness
    assert [verdict.level for verdict in (within, leaks, mixed)] == ["look", "mend", "mend"]


def test_flat_pictures_of_other_colours_are_no_doubles(tmp_path: Path) -> None:
    flat = [write(tmp_path, f"{c}.png", np.full((40, 40, 3), c, np.uint8)) for c in (0, 60, 120, 180)]
    assert not list(same_pictures(flat, 6))
    assert len(list(same_pictures([*flat, flat[0]], 6))) == 1


def test_grey_is_listed_and_serious_where_it_tells_the_domains_apart(tmp_path: Path) -> None:
    colours = [write(tmp_path / "c", f"{i}.png", scene(i)) for i in range(4)]
    greys = [write(tmp_path / "g", f"{i}.jpg", scene(i)[..., :1].repeat(3, 2), quality=80) for i in range(4)]
    assert grey({"photos": colours, "cartoons": colours}).level == "ok"
    few = grey({"photos": [*colours, greys[0]], "cartoons": colours})
    assert (few.level, list(few.files)) == ("look", [greys[0].file])
    assert grey({"photos": greys, "cartoons": colours}).level == "mend"


def test_outliers_are_far_on_a_logarithmic_scale() -> None:
    assert outliers([100, 110, 90, 105, 95, 100, 102, 98, 1000]) == [8]
    assert outliers([100, 110, 90, 105, 95, 100, 102, 98, 150]) == []  # less than twice
    assert outliers([5] * 9) == []
    assert outliers([1, 100]) == []  # too few to say


def fake(i: int, **changes) -> Facts:
    facts = examine(Path(f"{i}.png"))  # there is none: all fields are there
    return facts._replace(reason="", width=300, height=200, size=60_000, kind="PNG", **changes)


def test_bars_of_one_domain_are_serious_and_cut_off() -> None:
    from toonlab.data.bars import Bars

    none, thick = Bars(0, 0, 0, 0), Bars(0, 0.1, 0, 0.12)
    photos = [fake(i, bars=none) for i in range(100)]
    cartoons = [fake(i, bars=thick if i < 30 else none) for i in range(100)]
    verdict, box = bars({"photos": photos, "cartoons": cartoons})
    assert verdict.level == "mend"
    assert box == pytest.approx((0, 0.106, 1, 0.874))
    assert bars({"photos": photos, "cartoons": photos})[0].level == "ok"
    both, box = bars({"photos": cartoons, "cartoons": cartoons})
    assert both.level == "look"
    assert box is not None
    single, box = bars({"photos": photos, "cartoons": [*photos, fake(0, bars=thick)]})
    assert (single.level, box) == ("look", None)


def test_tiny_and_formats() -> None:
    files = {
        "photos": [fake(0, bars=None)],
        "cartoons": [fake(1, bars=None)._replace(kind="JPEG", height=90)],
    }
    assert [row.partition(" ")[2] for row in tiny(files, 128).files] == ["(300x90)"]
    assert any(verdict.title == "formats" for verdict in odd(files))
