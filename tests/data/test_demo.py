from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toonlab import images as im
from toonlab.app.cli import CONF, register_resolvers
from toonlab.data import demo
from toonlab.data.demo import Box, make_demo, regions, tiles
from toonlab.data.modules import DemoData
from toonlab.errors import UsageError


class Invert:
    def __repr__(self) -> str:
        return type(self).__name__

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return -images


class Darken(Invert):
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return (images - 1) / 2


DRAW = Invert()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    make_demo(cache / "demo", DRAW)
    return cache


def paint(shape: tuple[int, int], boxes: list[Box]) -> np.ndarray:
    seen = np.zeros(shape, dtype=int)
    for box in boxes:
        seen[box.top : box.bottom, box.left : box.right] += 1
    return seen


@given(width=st.integers(50, 800), height=st.integers(50, 800), held_out=st.sampled_from(["right", "bottom"]))
def test_regions_share_no_pixel_and_leave_none(width: int, height: int, held_out: str) -> None:
    parts = regions(width, height, held_out=held_out)
    assert (paint((height, width), list(parts.values())) == 1).all()
    area = {part: (b.right - b.left) * (b.bottom - b.top) / width / height for part, b in parts.items()}
    assert area == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.02)


@given(width=st.integers(50, 800), height=st.integers(50, 800))
def test_tiles_are_distinct_squares_inside(width: int, height: int) -> None:
    boxes = tiles(width, height)
    assert len(boxes) == len(set(boxes)) == 16
    assert all(b.right - b.left == b.bottom - b.top for b in boxes)
    assert min(b.left for b in boxes) == min(b.top for b in boxes) == 0
    assert max(b.right for b in boxes) <= width
    assert max(b.bottom for b in boxes) <= height


def test_there_is_enough_to_score(cache: Path) -> None:
    for part in ("val", "test"):
        for domain in ("photos", "cartoons"):
            files = list((cache / "demo" / part / domain).glob("*.png"))
            assert len(files) >= 48
            assert min(min(Image.open(f).size) for f in files) >= 96


def test_photos_are_pixels_of_the_photograph_and_cartoons_of_others(cache: Path) -> None:
    astronaut = im.decode(demo._find("skimage/data/astronaut.png")).rgb
    box = regions(*astronaut.size, held_out="right")["train"]
    written = im.decode(cache / "demo" / "train" / "photos" / "astronaut_00.png").rgb
    assert written.tobytes() == astronaut.crop(box).tobytes()
    sources = [
        {file.stem.rsplit("_", 1)[0] for file in (cache / "demo").glob(f"*/{domain}/*.png")}
        for domain in ("photos", "cartoons")
    ]
    assert not sources[0] & sources[1]


def test_written_once_and_again_for_another_version(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, calls, write = cache / "demo", list[Path](), demo._write

    def spy(part: Path, draw: object) -> None:
        calls.append(part)
        write(part, draw)

    monkeypatch.setattr(demo, "_write", spy)
    before = {file: file.read_bytes() for file in root.rglob("*.png")}
    make_demo(root, DRAW)
    assert calls == []
    (root / "VERSION").write_text("0")
    (root / "train" / "photos" / "old.png").touch()
    make_demo(root, DRAW)
    assert len(calls) == 1
    assert {file: file.read_bytes() for file in root.rglob("*.png")} == before  # deterministic, old one gone
    assert [path.name for path in cache.iterdir()] == ["demo"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(part: Path, draw: object) -> None:
        part.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", DRAW)
    assert list(tmp_path.iterdir()) == []


def test_a_slower_process_accepts_the_faster_ones_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(part: Path, draw: object) -> None:
        part.mkdir()
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "VERSION").write_text(f"{demo.VERSION} {draw!r}")
        (tmp_path / "demo" / "theirs.png").touch()

    monkeypatch.setattr(demo, "_write", slow)
    make_demo(tmp_path / "demo", DRAW)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert (tmp_path / "demo" / "theirs.png").exists()


def test_a_folder_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "holiday.png").touch()
    with pytest.raises(UsageError, match="is not a demo data set"):
        make_demo(tmp_path / "demo", DRAW)
    assert (tmp_path / "demo" / "holiday.png").exists()


def test_a_missing_package_names_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"reinstall .* scikit-image"):
        demo._find("skimage/data/absent.png")


def test_cartoons_are_flatter_and_outlined(cache: Path) -> None:
    """By the shipped drawing: `data=demo` takes its cartoons from flow-based abstraction."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        draw = instantiate(compose("eval", ["ckpt=x", "data=demo"]).data.draw)
    photo = im.decode(demo._find("sklearn/datasets/images/flower.jpg")).rgb.crop((0, 0, 300, 300))
    cartoon = im.to_picture(draw(im.to_tensor(photo)[None])[0])
    before, after = (np.asarray(p, dtype=float) for p in (photo, cartoon))
    steps = [np.abs(np.diff(a.mean(-1), axis=1)) for a in (before, after)]
    assert np.median(steps[1]) < np.median(steps[0])  # flat areas
    edge = (slice(None), slice(1, None))
    strong = steps[0] > np.quantile(steps[0], 0.98)
    assert after.mean(-1)[edge][strong].mean() < before.mean(-1)[edge][strong].mean()  # dark lines at edges


def test_another_drawing_replaces_the_pictures(cache: Path, tmp_path: Path) -> None:
    make_demo(tmp_path / "demo", draw=Darken())
    assert (tmp_path / "demo" / "VERSION").read_text().endswith("Darken")
    photo = sorted((tmp_path / "demo" / "val" / "photos").iterdir())[0]
    assert photo.read_bytes() == (cache / "demo" / "val" / "photos" / photo.name).read_bytes()
    cartoon = sorted((tmp_path / "demo" / "val" / "cartoons").iterdir())[0]
    assert cartoon.read_bytes() != (cache / "demo" / "val" / "cartoons" / cartoon.name).read_bytes()


def test_the_data_module_serves_it(cache: Path) -> None:
    data = DemoData(
        cache_dir=cache,
        draw=DRAW,
        size=32,
        batch_size=2,
        eval_batch_size=16,
        workers=0,
        seed=0,
        zoom=(1, 2.5),
        flip=0.5,
    )
    batch = next(iter(data.train_dataloader()))
    assert batch["photo"].shape == batch["cartoon"].shape == (2, 3, 32, 32)
    assert sum(len(b["photo"]) for b in data.test_dataloader()[0]) == 64
    assert data.panel(4).shape == (4, 3, 32, 32)


def test_styles_of_the_demo_are_drawn_once_each_and_only_when_asked_for(tmp_path: Path) -> None:
    common = {"size": 32, "batch_size": 2, "eval_batch_size": 16, "workers": 0, "seed": 0}
    common |= {"zoom": (1.0, 1.0), "flip": 0.0, "cache_dir": tmp_path, "draw": DRAW}
    plain = DemoData(**common, styles={"same": DRAW, "dark": Darken()})
    plain.setup()
    assert plain.domains == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
    data = DemoData(**common, styles={"same": DRAW, "dark": Darken()}, extras=["domain"])
    same, dark = (torch.cat([b["cartoon"] for b in data.val_dataloader(name)[1]]) for name in data.domains)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "demo_dark"]
    assert torch.equal(same, torch.cat([b["cartoon"] for b in plain.val_dataloader()[1]]))
    assert len(same) == len(dark) == 48
    assert dark.mean() < same.mean()
