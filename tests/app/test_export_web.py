"""`kind=web` writes a folder that is all a browser needs, and paints as `stylize` does in a real one."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from chromium import chromium
from styled import checkpoint as adapted_checkpoint
from styled import styled
from toonlab import images
from toonlab.app import export
from toonlab.app.cli import CONF, register_resolvers
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.inference.web.runtime import runtime_files
from web_site import FILTER, FLAGS, KNOWN, Page, as_file, fake_runtime, served, tiny_checkpoint

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install -e .[onnx]")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e .[onnx]")
TILE = 160
TIMES = "\u00d7"


def config(*arguments: object) -> Any:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("export", ["kind=web", *[str(a) for a in arguments]])


def run(*arguments: object, runtime: dict[str, str] | None = None) -> None:
    cfg = config(*arguments)
    if runtime:
        OmegaConf.update(cfg, "web", {"version": "0.0.0"})
        cfg.web.runtime = runtime
    export.run(cfg)


@pytest.fixture(scope="session")
def runtime(request: pytest.FixtureRequest) -> list[str] | None:
    """What makes `export` use the real runtime: fetched once for all test runs; None if that fails."""
    cache = request.config.cache.mkdir("onnxruntime-web")
    cfg = config("ckpt=x", "output=y")
    try:
        runtime_files(dict(cfg.web.runtime), version=cfg.web.version, cache_dir=cache, folder=None)
    except UsageError:
        return None
    return [f"cache_dir={cache}"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("run") / "tiny.ckpt")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, runtime: list[str] | None, checkpoint: Path) -> Path:
    """The page of the tiny network, with the real runtime if there is one."""
    root = tmp_path_factory.mktemp("web")
    pretended = [f"ort={fake_runtime(root / 'package')}", f"cache_dir={root / 'cache'}"]
    logging.disable(logging.INFO)  # the tracer tells pytest thousands of details
    try:
        common = f"ckpt={{Tiny: {checkpoint}}}", f"output={root / 'site'}", f"web.tile={TILE}"
        run(*common, *(runtime or pretended), runtime=None if runtime else KNOWN)
    finally:
        logging.disable(logging.NOTSET)
    return root / "site"


@pytest.fixture(scope="module")
def browser(runtime: list[str] | None) -> Iterator[Any]:
    if runtime is None:
        pytest.skip("no onnxruntime-web: needs npm and a network once")
    with chromium(*FLAGS) as browser:
        yield browser


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Page:
    return Page(browser, address, permissions=["camera"])


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """The page with its settings as they were, and nothing to complain of afterwards."""
    if (
        opened.tab.input_value("#size") != "512"
    ):  # choosing it paints again, which the test must not take for its own
        before, shown = opened.last(), opened.tab.is_visible("#download")
        opened.tab.select_option("#size", "512")
        if shown:
            opened.wait_beyond(before)
    opened.tab.fill("#strength", "1")
    yield opened
    assert opened.trouble == []


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth random picture with an edge."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    array = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).copy()
    array[:, width // 2 :] //= 2
    return Image.fromarray(array)


def wanted(checkpoint: Path, picture: Image.Image, strength: float = 1.0) -> np.ndarray:
    """What `stylize` paints, `(H, W, 3)` bytes."""
    painter = Stylizer(
        load_generator(checkpoint).generator,
        multiple=4,
        output_filter=OutputFilter(**FILTER),
        strength=strength,
        tile=None,
    )
    return images.to_array(painter.paint(images.to_tensor(picture)[None])[0])


def same(one: np.ndarray, two: np.ndarray, mean: float = 0.2) -> None:
    """Weights are rounded to float16, so a level of 255 may be the next one."""
    assert one.shape == two.shape
    apart = np.abs(one.astype(int) - two.astype(int))
    assert apart.max() <= 2
    assert apart.mean() < mean


# The folder ----------------------------------------------------------------------------


def test_the_folder_is_whole(site: Path, runtime: list[str] | None, checkpoint: Path) -> None:
    told = json.loads((site / "networks.json").read_text())
    (network,) = told["networks"]
    content = (site / network["file"]).read_bytes()
    assert network["name"] == "Tiny"
    assert network["bytes"] == len(content)
    assert network["integrity"] == f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"
    assert network["filtered"]
    facts = dict(network["facts"])
    assert facts["Licence"] == "CC0-1.0"
    count = sum(p.numel() for p in load_generator(checkpoint).generator.parameters())
    assert facts["Parameters"] == f"{count:,}"
    assert facts["Weights"].startswith("tiny.pth, sha256 ")
    for name, size in told["runtime"]["files"].items():
        assert (site / name).stat().st_size == size
    page = (site / "index.html").read_text()
    scripts = [*re.findall(r'(?:src|href)="([^"#]+)"', page), "networks.json"]
    for script in site.glob("*.js"):
        scripts += re.findall(r'from "\./([^"]+)"', script.read_text())
    assert len(scripts) > 8
    assert all((site / name).is_file() for name in scripts)
    if runtime:
        assert len(told["runtime"]["files"]) == 7


def foreign(text: str) -> list[str]:
    return re.findall(r"(?:[a-z]+:)?//[\w.-]+\.[a-z]{2,}[^\s\"'`)]*", text)


def test_no_file_of_ours_names_a_host(site: Path) -> None:
    assert foreign('fetch("https://example.org/x.js")') == ["https://example.org/x.js"]
    assert foreign("import '//cdn.example.org/x'") == ["//cdn.example.org/x"]
    ours = [path for path in site.iterdir() if path.suffix in (".html", ".css", ".js", ".json")]
    assert len(ours) >= 9
    for path in ours:
        assert foreign(path.read_text()) == [], path.name
    for path in (site / "ort").glob("*.js"):  # one link, in advice about threads that it never follows
        assert {url.partition("/cross-origin")[0] for url in foreign(path.read_text())} <= {"https://web.dev"}


def test_weights_travel_as_float16(site: Path) -> None:
    onnx = pytest.importorskip("onnx")
    (file,) = (site / "networks").glob("*.onnx")
    model = onnx.load(str(file))
    kinds = {t.data_type for t in model.graph.initializer if np.prod(t.dims) >= 256}
    assert kinds == {onnx.TensorProto.FLOAT16}
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert said["toonlab.weights"] == "float16"
    assert 0 < float(said["toonlab.max_error"]) < 0.01


def test_weights_too_large_for_float16_are_refused() -> None:
    onnx = pytest.importorskip("onnx")
    from toonlab.inference.web.network import half_weights

    tensor = onnx.numpy_helper.from_array(np.full(300, 1e6, dtype=np.float32), "heavy")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    with pytest.raises(UsageError, match=r"heavy holds weights beyond 65504; use web\.weights=float32"):
        half_weights(model)


def test_a_rounding_that_shows_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Path, checkpoint: Path
) -> None:
    from toonlab.inference.web import network

    (file,) = (site / "networks").glob("*.onnx")
    copied = Path(shutil.copy(file, tmp_path / "x.onnx"))
    style = network.Style("Tiny", load_generator(checkpoint).generator, OutputFilter(**FILTER), [])
    monkeypatch.setattr(network, "half_weights", spoiled)
    with pytest.raises(
        UsageError, match=r"web\.weights=float16: Tiny differs from PyTorch by .* use web.weights=float32"
    ):
        network._halve(copied, style, 4)
    assert not copied.exists()


def spoiled(model: Any) -> None:
    """Flip the sign of the largest array of weights."""
    onnx = pytest.importorskip("onnx")
    tensor = max(model.graph.initializer, key=lambda t: np.prod(t.dims))
    tensor.CopyFrom(onnx.numpy_helper.from_array(-3 * onnx.numpy_helper.to_array(tensor), tensor.name))


def test_what_is_there_is_not_touched(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    here = f"output={tmp_path / 'mine'}"
    with pytest.raises(UsageError, match="is there already; name another folder, or say overwrite=true"):
        run(f"ckpt={checkpoint}", here)
    with pytest.raises(
        UsageError, match="overwrite=true replaces pages of ours, and this folder holds something"
    ):
        run(f"ckpt={checkpoint}", here, "overwrite=true")
    with pytest.raises(UsageError, match="is a file or lies in one"):
        run(f"ckpt={checkpoint}", f"output={tmp_path / 'mine' / 'letter.txt' / 'x'}")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "letter.txt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["web.weights=int4"], "web.weights=int4: use one of float16, float32"),
        (["web.size=700"], r"web.size=700: use one of web.sizes"),
        (["web.tile=-4"], "web.tile=-4: has to be more than 0"),
        (["domain=a"], "domain=…: kind=web takes ort, packs, style instead"),
        (["style=a"], "style=a: this checkpoint's UNet has one style"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, checkpoint: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(f"ckpt={checkpoint}", f"output={tmp_path / 'x'}", *arguments)
    assert not (tmp_path / "x").exists()


def test_two_of_one_name(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(
        UsageError, match=r"two styles are called tiny; name them, .ckpt=\{NAME: RUN, OTHER: RUN\}"
    ):
        run(f"ckpt=[{checkpoint},{checkpoint}]", f"output={tmp_path / 'x'}")


def test_nothing_is_left_of_an_export_that_fails(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toonlab.inference.web import folder

    def broken(*_: object, **__: object) -> None:
        raise UsageError("no")

    monkeypatch.setattr(folder, "write_network", broken)
    fake = f"ort={fake_runtime(tmp_path / 'package')}", f"cache_dir={tmp_path / 'cache'}"
    with pytest.raises(UsageError, match="no"):
        run(f"ckpt={checkpoint}", f"output={tmp_path / 'out' / 'x'}", *fake, runtime=KNOWN)
    assert list((tmp_path / "out").iterdir()) == []


# The page in a browser ------------------------------------------------------------------


def test_the_page_paints_what_stylize_paints(page: Page, checkpoint: Path) -> None:
    picture = photo(90, 124)
    same(page.paint(as_file(picture)), wanted(checkpoint, picture))
    assert np.array_equal(page.pixels("before")[..., :3], np.asarray(picture))
    assert "one thread" in page.text("backend-now")
    assert page.text("download") == f"Download PNG, 124\u00a0{TIMES}\u00a090"
    shown = {}
    for strength in ("0", "0.5", "1"):
        page.tab.fill("#strength", strength)
        page.tab.wait_for_selector(f'html[data-strength="{strength}"]')
        shown[strength] = page.pixels()[..., :3].astype(int)
    same(shown["0"], wanted(checkpoint, picture, 0.0))
    same(shown["1"], wanted(checkpoint, picture, 1.0))
    same(shown["0.5"], wanted(checkpoint, picture, 0.5))
    assert np.abs(shown["0"] - shown["1"]).max() > 10
    # Mixed before it is clipped: a mean of the two finished pictures is another one.
    mean = (shown["0"] + shown["1"]) / 2
    assert np.abs(mean - wanted(checkpoint, picture, 0.5)).max() > 3


def test_the_download_is_the_painted_picture(page: Page) -> None:
    painted = page.paint(as_file(photo(40, 60), "holiday.jpeg.png"))
    with page.tab.expect_download() as download:
        page.tab.click("#download")
    assert download.value.suggested_filename == "holiday.jpeg_tiny.png"
    assert np.array_equal(np.asarray(Image.open(download.value.path()).convert("RGB")), painted)


def test_a_large_picture_in_tiles_equals_the_whole(page: Page, checkpoint: Path) -> None:
    picture = photo(251, 430, seed=1)
    same(page.paint(as_file(picture)), wanted(checkpoint, picture))
    assert re.search(r"Painted in \d+ tiles", page.text("note"))


@pytest.mark.parametrize(("height", "width"), [(3, 50), (1, 1), (50, 3)])
def test_small_pictures(page: Page, checkpoint: Path, height: int, width: int) -> None:
    picture = photo(height, width)
    same(page.paint(as_file(picture)), wanted(checkpoint, picture))


def test_a_larger_one_is_shrunk_with_a_word(page: Page) -> None:
    assert page.paint(as_file(photo(300, 1024))).shape == (150, 512, 3)
    assert f"1024 {TIMES} 300 pixels was shrunk to 512 {TIMES} 150" in page.text("note")
    before = page.last()
    page.tab.select_option("#size", "full")
    page.wait_beyond(before)
    assert page.pixels().shape == (300, 1024, 4)
    assert "shrunk" not in page.text("note")


def test_orientation_and_alpha(page: Page, checkpoint: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    assert page.paint(as_file(photo(40, 60), "turned.jpg", exif=exif)).shape == (60, 40, 3)
    clear = photo(32, 32).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((32, 32)))
    page.paint(as_file(clear))
    shown = page.pixels().astype(float)
    assert np.array_equal(shown[..., 3], np.asarray(clear)[..., 3])
    # Canvases store colours multiplied by alpha, so what hardly shows is coarse; what is seen is not.
    apart = np.abs(shown[..., :3] - wanted(checkpoint, clear.convert("RGB")))
    assert (apart * shown[..., 3:] / 255).max() <= 6


def test_a_file_that_is_no_picture(page: Page, site: Path) -> None:
    for content in (b"not a picture", b"", as_file(photo(90, 90))["buffer"][:60]):
        page.tab.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": content})
        page.tab.wait_for_selector("#error:not([hidden])")
        assert "x.png cannot be read as a picture" in page.text("error")
        assert not page.tab.is_visible("#working")
        page.paint(as_file(photo(20, 20)))  # and goes on
        assert page.text("error") == ""


def test_the_camera(page: Page) -> None:
    page.tab.click(".camera-start >> visible=true")
    page.tab.wait_for_function("() => document.getElementById('fps').textContent.includes('fps')")
    frame = page.pixels("frame")
    assert max(frame.shape) in (128, 160, 192, 256, 320, 384, 512, 640)
    assert frame[..., :3].std() > 3
    before = page.last()
    page.tab.click("#snap")
    page.wait_beyond(before)
    assert page.pixels().shape[1] == 512
    assert page.tab.evaluate("document.getElementById('video').srcObject === null")  # its lamp is off


def test_nothing_is_asked_of_another_host(page: Page, address: str) -> None:
    assert len(page.asked) > 8
    assert [url for url in page.asked if not url.startswith((address, f"blob:{address}", "data:"))] == []
    # And could not be: the policy holds on the page, and in its worker, which has the pictures.
    elsewhere = "fetch('http://127.0.0.1:9/').catch(error => String(error))"
    name = "securitypolicyviolation"
    heard = f"new Promise(done => addEventListener('{name}', e => done(e.effectiveDirective)))"
    for place in (page.tab, page.tab.workers[0]):
        assert place.evaluate(f"Promise.all([{heard}, {elsewhere}])") == [
            "connect-src",
            "TypeError: Failed to fetch",
        ]


def test_every_control_has_a_name_and_keys_work(page: Page) -> None:
    page.paint(as_file(photo(40, 40)))
    nameless = page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas, progress')].filter(e =>
            !e.hidden && !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []
    page.tab.focus("#divider")
    page.tab.press("#divider", "Home")
    assert page.tab.evaluate("getComputedStyle(before).clipPath") == "inset(0px 100% 0px 0px)"
    for _ in range(3):
        page.tab.press("#divider", "ArrowRight")
    assert page.tab.evaluate("getComputedStyle(before).clipPath") == "inset(0px 97% 0px 0px)"


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_window(page: Page, width: int) -> None:
    page.tab.set_viewport_size({"width": width, "height": 800})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture
def copied(site: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(site, tmp_path / "copied"))


def test_a_network_that_changed_on_its_way_is_refused(browser: Any, copied: Path) -> None:
    (file,) = (copied / "networks").glob("*.onnx")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with served(copied) as address:
        page = Page(browser, address)
        page.tab.set_input_files("#file", as_file(photo(20, 20)))
        page.tab.wait_for_selector("#error:not([hidden])")
        assert "or is not the file that was exported" in page.text("error")


PRETEND = """
export const env = {{ wasm: {{}}, webgpu: {{}} }};
export class Tensor {{ constructor(type, data, dims) {{ Object.assign(this, {{ data, dims }}); }} }}
export const InferenceSession = {{ create: async () => ({{
  release() {{}},
  async run({{ photo }}, names) {{
    if (photo.dims[2] * photo.dims[3] > {area}) throw new Error("{words}");
    const result = {{ getData: async () => photo.data }};
    return {{ cartoon: result, raw: result, filtered: result }};
  }} }}) }};
"""


def test_too_little_memory_means_smaller_tiles(browser: Any, copied: Path) -> None:
    (copied / "ort" / "ort.wasm.min.js").write_text(PRETEND.format(area=300**2, words="std::bad_alloc"))
    told = json.loads((copied / "networks.json").read_text())
    (copied / "networks.json").write_text(json.dumps(told | {"tile": 1024}))
    picture = photo(400, 500)
    with served(copied) as address:
        page = Page(browser, address)
        page.tab.select_option("#size", "full")
        assert np.array_equal(page.paint(as_file(picture)), np.asarray(picture))
        assert "Painted in" in page.text("note")
        (copied / "ort" / "ort.wasm.min.js").write_text(PRETEND.format(area=9, words="std::bad_alloc"))
        page.tab.reload()
        page.tab.wait_for_selector("html[data-loaded]")
        page.tab.set_input_files("#file", as_file(picture))
        page.tab.wait_for_selector("#error:not([hidden])")
        assert "Not enough memory for this picture. Choose a smaller painted size" in page.text("error")


LOST = (
    PRETEND.format(area=10**9, words="")
    + """
env.webgpu.device = { lost: new Promise((resolve) => setTimeout(() => resolve({ reason: "unknown" }), 300)) };
const whole = InferenceSession.create;
InferenceSession.create = async () => ({ ...(await whole()), run: () => new Promise(() => {}) });
"""
)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(PRETEND.format(area=0, words="no shader"), id="fails"),
        pytest.param(LOST, id="is lost", marks=pytest.mark.slow),
    ],
)
def test_a_graphics_card_is_left_for_the_processor(
    browser: Any, copied: Path, checkpoint: Path, script: str
) -> None:
    (copied / "ort" / "ort.webgpu.min.js").write_text(script)
    picture = photo(40, 60)
    with served(copied) as address:
        page = Page(browser, address, "?runs=webgpu")
        page.tab.wait_for_selector('html[data-backend="webgpu"]')
        same(page.paint(as_file(picture)), wanted(checkpoint, picture))
        assert page.tab.get_attribute("html", "data-backend") == "wasm"
        assert page.tab.input_value("#backend") == "wasm"


@pytest.mark.slow
def test_on_a_graphics_card(browser: Any, address: str, checkpoint: Path) -> None:
    """In software here: slow, but through the same shaders."""
    picture = photo(40, 60)
    page = Page(browser, address, "?runs=webgpu")
    page.tab.wait_for_selector('html[data-backend="webgpu"]')
    same(page.paint(as_file(picture)), wanted(checkpoint, picture))
    assert page.tab.get_attribute("html", "data-backend") == "webgpu"
    assert [url for url in page.asked if not url.startswith((address, f"blob:{address}"))] == []


@pytest.mark.slow
def test_threads_where_the_server_allows_them(browser: Any, site: Path, checkpoint: Path) -> None:
    picture = photo(90, 124)
    with served(site, isolated=True) as address:
        page = Page(browser, address)
        same(page.paint(as_file(picture)), wanted(checkpoint, picture))
        assert re.search(r"\d+ threads", page.text("backend-now"))


@pytest.mark.slow
def test_styles_whose_norms_see_the_whole_picture(
    browser: Any, runtime: list[str], checkpoint: Path, tmp_path: Path
) -> None:
    """Two styles of one checkpoint beside another network: not to be tiled, and without an output filter."""
    both = adapted_checkpoint(tmp_path / "both.ckpt", styled("a", "b"))
    ckpt = f"ckpt={{Plain: {checkpoint}, Both: {both}}}"
    whole = ["web.weights=float32", "web.whole_pixels=20000"]  # norms magnify what rounding weights does
    run(ckpt, f"output={tmp_path / 'site'}", *whole, "average=false", *runtime)
    picture = photo(100, 150)
    with served(tmp_path / "site") as address:
        page = Page(browser, address)
        assert page.tab.locator("#network option").all_inner_texts() == [
            "Plain",
            "Both \u00b7 a",
            "Both \u00b7 b",
        ]
        assert page.tab.is_visible("#strength")
        page.paint(as_file(picture))
        before = page.last()
        page.tab.select_option("#network", "Both \u00b7 b")
        page.wait_beyond(before)
        assert not page.tab.is_visible("#strength")
        network = load_generator(both, average=False, style="b").generator
        painter = Stylizer(network, multiple=4, output_filter=None, tile=None)
        painted = images.to_array(painter.paint(images.to_tensor(picture)[None])[0])
        same(page.pixels()[..., :3], painted)
        before = page.last()
        page.tab.set_input_files("#file", as_file(photo(200, 400)))
        page.wait_beyond(before)
        assert page.pixels().shape == (100, 200, 4)
        assert "This style has to see the whole picture at once" in page.text("note")
