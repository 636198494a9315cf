"""What the served page is made of, without a server: offers, networks in memory, limits, room, films."""

from __future__ import annotations

import base64
import io
import os
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from marked import scene
from served import bomb, filtered
from shipped import trained_generator
from styled import checkpoint, styled
from toonlab.app.serving import shelf as shelves
from toonlab.app.serving.calls import paths_in
from toonlab.app.serving.limits import check_film, check_picture
from toonlab.app.serving.offers import given, offers
from toonlab.app.serving.room import GRACE, Room, room
from toonlab.app.serving.shelf import Shelf, Wish
from toonlab.app.serving.work import Studio, frame_of, plain_name
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.inference.fast import Fast
from toonlab.inference.onnx_file import write_onnx
from toonlab.inference.runtimes import OnnxNetwork
from toonlab.inference.stylizer import Stylizer

Composed = Callable[..., DictConfig]


def run(folder: Path, name: str, **about: Any) -> Path:
    filtered(folder / name / "checkpoints" / "last.ckpt", **about)
    return folder / name


def preset(folder: Path, name: str | None) -> None:
    (folder / "config.yaml").write_text("preset: null\n" if name is None else f"preset: {{name: {name}}}\n")


def offered(composed: Composed, ckpt: str) -> dict[str, list[str]]:
    return {name: list(offer.variants) for name, offer in offers(composed(ckpt, config="serve")).items()}


def test_runs_that_differ_in_their_preset_are_one_model(tmp_path: Path, composed: Composed) -> None:
    for number, (name, texture) in enumerate([(None, 1.0), ("more_texture", 3.0), ("without_surface", 1.0)]):
        preset(run(tmp_path, f"{number}_whitebox", texture=texture), name)
    found = offered(composed, f"ckpt={tmp_path}")
    assert found == {"whitebox": ["balanced", "more texture", "without surface"]}


def test_without_presets_the_weights_that_differ_name_them(tmp_path: Path, composed: Composed) -> None:
    runs = [run(tmp_path, f"{n}_whitebox", texture=t) for n, t in enumerate((1.0, 0.25, 4.0))]
    ckpt = f"ckpt=[{','.join(map(str, runs))}]"
    assert offered(composed, ckpt) == {"whitebox": ["texture 1", "texture 0.25", "texture 4"]}


def test_seeds_and_other_methods_are_models_of_their_own(tmp_path: Path, composed: Composed) -> None:
    runs = [run(tmp_path, f"{n}_whitebox", seed=n) for n in range(2)]
    other = checkpoint(tmp_path / "styles.ckpt", styled("a", "b"))
    found = offered(composed, f"ckpt=[{','.join(map(str, [*runs, other]))}]")
    assert found == {"whitebox": [""], "1_whitebox": [""], "adapted_cartoongan": [""]}
    named = offered(composed, f"ckpt={{one: {runs[0]}, two: {runs[1]}}}")
    assert named == {"one": [""], "two": [""]}


def test_a_sweep_is_read_in_its_own_order_and_twice_one_name_is_refused(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"{n}_whitebox") for n in (10, 9, 1)]
    assert [path.parents[1].name for _, path in given(str(tmp_path))] == [
        "1_whitebox",
        "9_whitebox",
        "10_whitebox",
    ]
    with pytest.raises(UsageError, match="cannot all be called a"):
        given({"a": str(tmp_path)})
    assert [name for name, _ in given({"a": str(runs[0])})] == ["a"]
    with pytest.raises(UsageError, match="no such file"):
        given([str(tmp_path / "nowhere")])
    with pytest.raises(UsageError, match="names no checkpoint"):
        given({"a": None})


def test_a_damaged_checkpoint_is_found_at_the_start(tmp_path: Path, composed: Composed) -> None:
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match=f"ckpt={bad}"):
        offers(composed(f"ckpt={bad}", config="serve"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three checkpoints of White-box and one of two styles."""
    folder = tmp_path_factory.mktemp("trained")
    paths = {f"m{n}": filtered(folder / f"{n}.ckpt", seed=n) for n in range(3)}
    paths["s"] = checkpoint(folder / "s.ckpt", styled("a", "b"))
    return ", ".join(f"{name}: {path}" for name, path in paths.items())


READ: dict[str, Any] = {}


@pytest.fixture
def shelf(trained: str, composed: Composed) -> Shelf:
    """Two networks are kept in memory."""
    cfg = composed(f"ckpt={{{trained}}}", "keep=2", "tile=160", config="serve")
    if trained not in READ:  # what they are is read once for all tests
        READ[trained] = offers(cfg)
    return Shelf(cfg, READ[trained], torch.device("cpu"))


def test_networks_are_read_when_asked_for_and_few_are_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    load = shelves.load
    monkeypatch.setattr(shelves, "load", lambda cfg, path: reads.append(path) or load(cfg, path))
    assert shelf.held() == 0
    for model in ("m0", "m1", "m0", "m2", "m0", "m1"):
        shelf.stylizer(Wish(model))
        assert shelf.held() <= 2
    assert [path.stem for path in reads] == ["0", "1", "2", "1"]
    for strength in np.linspace(0, 1, 11):  # of one network, whatever the slider says
        shelf.stylizer(Wish("m1", strength=float(strength)))
    assert len(reads) == 4


def test_a_network_that_was_put_away_is_not_held_by_a_painter(shelf: Shelf) -> None:
    import gc
    import weakref

    gone = weakref.ref(shelf.stylizer(Wish("m0")).generator)
    for model in ("m1", "m2"):
        shelf.stylizer(Wish(model))
    gc.collect()
    assert gone() is None


def test_styles_are_mixed_by_their_shares(shelf: Shelf) -> None:
    photo = torch.rand(1, 3, 40, 40) * 2 - 1
    a, b, both = (
        shelf.stylizer(Wish("s", style=style)).paint(photo)
        for style in ((("a", 1.0),), (("b", 1.0),), (("a", 0.5), ("b", 0.5)))
    )
    assert not torch.equal(a, b)
    assert not torch.equal(both, a)
    assert torch.equal(shelf.stylizer(Wish("s")).paint(photo), a)  # the first, if none is chosen
    with pytest.raises(UsageError, match="style="):
        shelf.stylizer(Wish("s", style=(("nobody", 1.0),)))


def test_two_jobs_never_paint_at_once(shelf: Shelf) -> None:
    from concurrent.futures import ThreadPoolExecutor

    busy: list[int] = []
    most: list[int] = []

    def watched(module: torch.nn.Module, *_: Any) -> None:
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.01)

    stylizers = [shelf.stylizer(Wish(model)) for model in ("m0", "m1")]
    for each in stylizers:
        each.generator.register_forward_pre_hook(watched)
        each.generator.register_forward_hook(lambda *_: busy.clear())
    photo = torch.zeros(1, 3, 32, 32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: stylizers[n % 2].paint(photo), range(12)))
    assert set(most) == {1}
    assert len(most) == 12


def test_colours_and_quality_reach_the_painter(shelf: Shelf) -> None:
    made = shelf.stylizer(Wish("m0", extras=(("keep_color", 0.5), ("quality", "fast"))))
    assert (made.keep_color, made.small) == (0.5, Fast())
    assert shelf.stylizer(Wish("m0", extras=(("quality", "auto"),))).small is None
    with pytest.raises(UsageError, match="quality=best"):
        shelf.stylizer(Wish("m0", extras=(("quality", "best"),)))


@pytest.mark.slow
def test_an_onnx_file_and_a_runtime_paint_what_the_checkpoint_does(
    tmp_path: Path, composed: Composed
) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = trained_generator(tmp_path / "net.ckpt")
    generator = load_generator(checkpoint).generator
    write_onnx(tmp_path / "net.onnx", generator)
    torch.manual_seed(0)
    photo = torch.rand(1, 3, 33, 50) * 2 - 1
    expected = Stylizer(generator, multiple=4, output_filter=None, tile=None).paint(photo)
    for ckpt, runtime in ((tmp_path / "net.onnx", "auto"), (checkpoint, "onnxruntime")):
        cfg = composed(
            f"ckpt={ckpt}", f"runtime={runtime}", f"cache_dir={tmp_path / 'cache'}", config="serve"
        )
        shelf = Shelf(cfg, offers(cfg), torch.device("cpu"))
        (name,) = shelf.offered
        made = shelf.stylizer(Wish(name))
        assert isinstance(made.generator, OnnxNetwork)
        torch.testing.assert_close(made.paint(photo), expected, atol=2e-3, rtol=0)


def encoded(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_pictures_are_known_by_their_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(encoded(Image.fromarray(scene(0, width=30, height=20)), kind))
    assert check_picture(path, max_pixels=600) == (30, 20)
    with pytest.raises(UsageError, match="too large: 30x20"):
        check_picture(path, max_pixels=599)


@pytest.mark.parametrize("kind", ["PDF", "EPS", "ICO", "PPM"])
def test_other_formats_of_pillow_are_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(Image.fromarray(scene(0, width=32, height=32)), kind))
    with pytest.raises(UsageError, match="not a picture"):
        check_picture(path, max_pixels=10**6)


def test_an_animation_counts_all_its_frames(tmp_path: Path) -> None:
    frames = [Image.fromarray(scene(n, width=30, height=20)) for n in range(9)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert check_picture(path, max_pixels=1400) == (30, 20)
    with pytest.raises(UsageError, match="9 frames of 30x20"):
        check_picture(path, max_pixels=1300)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(30_000))
    begun = time.process_time()
    with pytest.raises(UsageError, match="too large"):
        check_picture(path, max_pixels=10**7)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a frame"),
        ("http://127.0.0.1/x.png", "not a frame"),
        ("file:///etc/passwd", "not a frame"),
        ("data:text/html;base64,PGI+", "not a frame"),
        ("data:image/png;base64,????", "not a frame"),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "not a frame"),
        (
            "data:image/png;base64," + base64.b64encode(bomb(3000)).decode(),
            "large",
        ),
    ],
)
def test_a_cameras_frame_is_a_small_picture_or_nothing(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        frame_of(url, max_pixels=10**6)


def test_a_cameras_frame_is_decoded() -> None:
    picture = Image.fromarray(scene(0, width=30, height=20))
    url = "data:image/png;base64," + base64.b64encode(encoded(picture, "PNG")).decode()
    assert np.array_equal(np.asarray(frame_of(url, max_pixels=600)), np.asarray(picture))


def test_names_are_kept_plain() -> None:
    assert plain_name(Path("/x/my dog (2).png")) == "my dog _2_"
    assert plain_name(Path("/x/..png")) == "picture"
    assert plain_name(Path("/x/Großvater é.jpg")) == "Großvater é"
    assert plain_name(Path("/x/a<b>\"c'&.jpg")) == "a_b__c__"
    assert len(plain_name(Path("/x/" + "a" * 200 + ".jpg"))) == 80


def film(path: Path, *, frames: int = 12, size: tuple[int, int] = (64, 48)) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height = size
        for n in range(frames):
            picture = scene(n, width=size[0], height=size[1])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def test_films_are_looked_at_first(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    check_film(path, max_pixels=64 * 48, max_frames=12)
    with pytest.raises(UsageError, match="12 frames, this page takes 11"):
        check_film(path, max_pixels=10**6, max_frames=11)
    with pytest.raises(UsageError, match="too large: 64x48"):
        check_film(path, max_pixels=100, max_frames=12)
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:200])
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name, words in (("cut.mp4", "not a film"), ("empty.mp4", "empty")):
        with pytest.raises(UsageError, match=words):
            check_film(tmp_path / name, max_pixels=10**6, max_frames=100)


def test_a_playlist_is_no_film(tmp_path: Path) -> None:
    """Else a text file would have FFmpeg read any file of this machine, or ask another one."""
    film(tmp_path / "secret.ts")
    lists = {
        "x.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n",
        "x.ffconcat": f"ffconcat version 1.0\nfile {tmp_path}/secret.ts\n",
        "x.mp4": f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n",
        "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match="not a film"):
            check_film(tmp_path / name, max_pixels=10**6, max_frames=100)


@pytest.fixture
def studio(shelf: Shelf, tmp_path: Path) -> Studio:
    own = tmp_path / "room"
    own.mkdir()
    return Studio(shelf.cfg, shelf, Room(own, budget=10**8, seconds=60))


def fake_film(monkeypatch: pytest.MonkeyPatch, paint: Callable[..., Any]) -> None:
    monkeypatch.setattr("toonlab.app.serving.work.paint_film", paint)


def test_a_film_is_handed_to_its_painter(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def paint(stylizer: Any, source: Path, target: Path, *, temporal: str, on_frame: Any) -> Any:
        seen.update(stylizer=stylizer, source=source, temporal=temporal)
        for n in range(3):
            on_frame(n + 1, 3)
        target.write_bytes(b"film")
        return types.SimpleNamespace(missing=None)

    fake_film(monkeypatch, paint)
    parts: list[tuple[int, int | None]] = []
    source = film(tmp_path / "my film.mp4")
    target, line = studio.film(source, Wish("m0"), "flow", lambda *part: parts.append(part), lambda: False)
    assert (target.name, target.read_bytes()) == ("my film-cartoon.mp4", b"film")
    assert studio.room.holds(target)
    assert parts == [(0, None), (1, 3), (2, 3), (3, 3)]
    assert (seen["source"], seen["temporal"]) == (source, "flow")
    assert seen["stylizer"] is studio.shelf.stylizer(Wish("m0"))
    assert line.startswith("painted in ")


def test_a_film_that_fails_or_takes_too_long_says_so_without_folders(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "a.mp4")

    def fails(stylizer: Any, source: Path, target: Path, **_: Any) -> None:
        raise UsageError(f"{source}: damaged after frame 3\nand more")

    fake_film(monkeypatch, fails)
    with pytest.raises(UsageError, match=r"^a\.mp4: damaged after frame 3$"):
        studio.film(source, Wish("m0"), "none", lambda *_: None, lambda: False)

    def endless(stylizer: Any, source: Path, target: Path, *, on_frame: Any, **_: Any) -> None:
        while True:
            on_frame(1, None)

    fake_film(monkeypatch, endless)
    studio.cfg.time_limit = 0.05
    with pytest.raises(UsageError, match=r"stopped after 0\.05 s"):
        studio.film(source, Wish("m0"), "none", lambda *_: None, lambda: False)
    studio.cfg.time_limit = 60
    asked = iter([False, False, True])
    with pytest.raises(UsageError, match="stopped; nothing of it was kept"):
        studio.film(source, Wish("m0"), "none", lambda *_: None, lambda: next(asked))
    assert next(asked, None) is None
    studio.end()
    with pytest.raises(UsageError, match="the server was ended"):
        studio.film(source, Wish("m0"), "none", lambda *_: None, lambda: False)


def test_the_end_waits_for_the_frame_that_is_being_painted(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the room is deleted under a film that writes into it, which is a traceback in the log."""
    begun, wrote = threading.Event(), []

    def slow(stylizer: Any, source: Path, target: Path, *, on_frame: Any, **_: Any) -> None:
        on_frame(1, 9)
        begun.set()
        time.sleep(0.5)
        wrote.append(target.parent.is_dir())
        on_frame(2, 9)

    fake_film(monkeypatch, slow)
    path = film(tmp_path / "a.mp4")
    told: list[str] = []

    def job() -> None:
        with pytest.raises(UsageError) as error:
            studio.film(path, Wish("m0"), "none", lambda *_: None, lambda: False)
        told.append(str(error.value))

    thread = threading.Thread(target=job)
    thread.start()
    assert begun.wait(20)
    studio.end()
    assert wrote == [True]
    thread.join(20)
    assert told == ["the server was ended"]


def test_a_large_picture_tells_of_its_tiles_and_ends_in_time(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scene(0, width=300, height=200)).save(path)
    parts: list[tuple[int, int | None]] = []
    studio.picture(path, Wish("m0"), "auto", lambda *part: parts.append(part))
    assert parts[0] == (0, None)
    assert parts[-1][0] == parts[-1][1] > 1
    studio.end()
    with pytest.raises(UsageError, match="ended"):
        studio.picture(path, Wish("m0"), "auto", lambda *_: None)


def aged(path: Path, size: int, seconds: float) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_the_room_keeps_to_its_budget_and_takes_the_oldest_first(tmp_path: Path) -> None:
    own = Room(tmp_path, budget=1000, seconds=3600)
    oldest, old, new = (aged(tmp_path / str(n) / "f", 300, n * 100 + GRACE * (n > 0)) for n in (2, 1, 0))
    assert own.reserve(100)
    assert oldest.exists()
    assert own.reserve(200)
    assert (oldest.exists(), old.exists(), new.exists()) == (False, True, True)
    assert not own.reserve(500)  # what is new may be on its way to somebody
    assert new.exists()
    own.release(300)
    assert own.reserve(700)


def test_the_room_deletes_what_is_too_old(tmp_path: Path) -> None:
    own = Room(tmp_path, budget=1000, seconds=600)
    old, new = aged(tmp_path / "a" / "f", 1, 601), aged(tmp_path / "b" / "f", 1, 599)
    os.utime(tmp_path / "a", (0, 0))
    own.sweep()
    assert (old.exists(), new.exists()) == (False, True)
    assert own.folder().is_dir()


def test_the_room_is_private_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "toonlab-serve-dead"
    aged(dead / ".lock", 0, 0)
    (tmp_path / "toonlab-serve-link").symlink_to(tmp_path.parent)
    with room(budget=10, seconds=60) as first, room(budget=10, seconds=60) as second:
        assert not dead.exists()
        assert first.path != second.path  # neither takes the other's for one that was left
        assert first.path.is_dir()
        assert first.path.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["toonlab-serve-link"]
    assert tmp_path.parent.is_dir()


def test_paths_are_found_however_deep() -> None:
    deep: Any = {"path": "a"}
    for _ in range(100_000):
        deep = [deep]
    assert paths_in(deep) == ["a"]
    assert sorted(paths_in({"data": [{"path": "x", "url": "y"}, {"n": {"path": "z"}}], "path": 3})) == [
        "x",
        "z",
    ]
