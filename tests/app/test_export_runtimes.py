"""`kind=onnx`, `kind=bundle` and `runtime=`: what leaves paints and is scored as the checkpoint is."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from commands import Cli
from styled import checkpoint, styled
from toonlab.app import evaluate, export, stylize
from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.export_quality import loss
from toonlab.engine.checkpoint import load_generator, write_imported
from toonlab.errors import UsageError
from toonlab.inference import litert_file, onnx_file
from toonlab.networks.unet import UNet

NODE = {"_target_": "toonlab.networks.unet.UNet", "width": 4, "blocks": 1}
PAINTING = {"output_filter": {"radius": 1, "eps": 5e-3}, "direction": "to_cartoon"}


def run(task: ModuleType, *arguments: object) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        name = task.__name__.rpartition(".")[2].replace("evaluate", "eval")
        task.run(compose(name, [str(a) for a in arguments]))


@pytest.fixture
def whitebox(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "whitebox.ckpt"
    origin = {"file": "x.npz", "sha256": "0" * 64, "kind": "whitebox", "channels": "rgb", "licence": "CC0"}
    write_imported(
        path,
        UNet(width=4, blocks=1).state_dict(),
        painting=PAINTING,
        config={"method": {"generator": NODE}},
        origin=origin,
    )
    return path


@pytest.fixture(scope="module")
def traced() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
def _traced_once(traced: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes seconds: the same network in the same precision is traced once for all tests."""
    known = onnx_file.trace

    def trace(generator: nn.Module, multiple: int, *, half: bool = False) -> Any:
        sums = [f"{p.double().sum():.9f}" for p in generator.parameters()]
        key = f"{generator} {multiple} {half} {sums}"
        if key not in traced:
            traced[key] = known(generator, multiple, half=half)
        return copy.deepcopy(traced[key])

    monkeypatch.setattr(onnx_file, "trace", trace)


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., np.ndarray]:
    source, target = tmp_path / "photo.png", tmp_path / "painted.png"
    values = torch.rand(37, 50, 3, generator=torch.Generator().manual_seed(3)) * 255
    Image.fromarray(values.byte().numpy()).save(source)

    def painted(*arguments: object) -> np.ndarray:
        words = (f"input={source}", f"output={target}", "overwrite=true", "device=cpu")
        run(stylize, *arguments, *words, f"cache_dir={tmp_path / 'cache'}")
        return np.array(Image.open(target)).astype(int)

    return painted


def test_an_onnx_file_paints_as_its_checkpoint(tmp_path: Path, whitebox: Path, paint, caplog) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    caplog.set_level("INFO")
    file = tmp_path / "model.onnx"
    run(export, "kind=onnx", f"ckpt={whitebox}", f"output={file}")
    assert "UNet in fp32" in caplog.text
    assert "licence: CC0" in caplog.text
    for extra in ([], ["strength=0.3"], ["runtime=onnxruntime"]):
        wanted = paint(f"ckpt={whitebox}", *[e for e in extra if not e.startswith("runtime")])
        assert abs(paint(f"ckpt={file}", *extra) - wanted).max() <= 1
    assert "run by onnxruntime" in caplog.text
    about = onnx_file.read_about(file)
    assert json.loads(about["painting"]) == PAINTING
    assert json.loads(about["origin"])["before"]["file"] == "x.npz"


def test_a_runtime_exports_once_and_again_for_other_weights(
    tmp_path: Path, whitebox: Path, paint, monkeypatch
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    wanted = paint(f"ckpt={whitebox}")
    assert abs(paint(f"ckpt={whitebox}", "runtime=openvino") - wanted).max() <= 1
    (kept,) = (tmp_path / "cache" / "onnx").iterdir()
    before = kept.stat().st_mtime_ns
    paint(f"ckpt={whitebox}", "runtime=onnxruntime")
    assert kept.stat().st_mtime_ns == before
    other = load_generator(whitebox).generator
    for parameter in other.parameters():
        parameter.data *= 1.1
    config = {"method": {"generator": NODE}}
    write_imported(whitebox, other.state_dict(), painting=PAINTING, config=config, origin={})
    wanted = paint(f"ckpt={whitebox}")
    assert abs(paint(f"ckpt={whitebox}", "runtime=openvino") - wanted).max() <= 1
    assert len(list((tmp_path / "cache" / "onnx").iterdir())) == 2


def test_what_loses_too_much_is_refused_with_its_numbers(tmp_path: Path, whitebox: Path, caplog) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    caplog.set_level("INFO")
    folder, file = tmp_path / "photos", tmp_path / "model.onnx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        small = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
        small.resize((64, 48)).save(folder / f"{i}.png")
    words = ("kind=onnx", f"ckpt={whitebox}", f"output={file}", "precision=int8", f"photos={folder}")
    with pytest.raises(UsageError, match=r"precision=int8 loses too much.*PSNR .* dB.*least_psnr=0") as error:
        run(export, *words, "least_psnr=200")
    assert "\n" not in str(error.value)
    assert not file.exists()
    run(export, *words, "least_psnr=0")
    found = json.loads(onnx_file.read_about(file)["quality"])
    assert found["photos"] == 1  # the other one gave the ranges
    assert 20 < found["psnr"] < 80
    assert f"PSNR {found['psnr']:.1f} dB" in caplog.text


def test_a_file_is_compared_with_its_networks_full_quality(tmp_path: Path, whitebox: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    state, config = load_generator(whitebox).generator.state_dict(), {"method": {"generator": NODE}}
    write_imported(whitebox, state, painting=PAINTING | {"quality": "broad"}, config=config, origin={})
    run(export, "kind=onnx", f"ckpt={whitebox}", f"output={tmp_path / 'model.onnx'}")
    photo = (
        torch.rand(3, 482, 484, generator=torch.Generator().manual_seed(0)) * 2 - 1
    )  # large enough for broad
    assert loss(tmp_path / "model.onnx", load_generator(whitebox), [photo])["psnr"] > 60


def test_a_bundle_paints_bit_by_bit_and_is_scored(tmp_path: Path, whitebox: Path, paint) -> None:
    bundle = tmp_path / "bundle"
    run(export, "kind=bundle", f"ckpt={whitebox}", f"output={bundle}")
    assert sorted(p.name for p in bundle.iterdir()) == ["model.safetensors", "toonlab.json"]
    wanted = paint(f"ckpt={whitebox}")
    for path in (bundle, bundle / "toonlab.json", bundle / "model.safetensors"):
        assert (paint(f"ckpt={path}") == wanted).all()
    assert load_generator(bundle).origin["licence"] == "CC0"
    with pytest.raises(UsageError, match="is there already"):
        run(export, "kind=bundle", f"ckpt={whitebox}", f"output={bundle}")
    run(export, "kind=bundle", f"ckpt={bundle}", f"output={bundle}", "overwrite=true")  # of itself
    assert (paint(f"ckpt={bundle}") == wanted).all()
    assert not list(tmp_path.glob(".*"))


def test_a_bundle_of_half_the_size(
    tmp_path: Path, whitebox: Path, paint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run(export, "kind=bundle", f"ckpt={whitebox}", f"output={tmp_path / 'full'}")
    run(export, "kind=bundle", f"ckpt={whitebox}", f"output={tmp_path / 'half'}", "dtype=float16")
    full, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.7 * full
    apart = abs(paint(f"ckpt={tmp_path / 'half'}").astype(int) - paint(f"ckpt={whitebox}"))
    assert apart.max() <= 2
    assert "moves scikit-image's photos by at most 0." in caplog.text


@pytest.mark.parametrize(
    ("factor", "words"), [(1e6, "holds numbers that it cannot"), (300.0, "moves pictures by")]
)
def test_a_rounding_that_shows_is_not_written(
    tmp_path: Path, whitebox: Path, factor: float, words: str
) -> None:
    network = load_generator(whitebox).generator
    state = network.state_dict()
    last = list(state)[-2]  # a head that multiplies what rounding has done to the layers before it
    state[last] *= factor
    origin = {"file": "x", "sha256": "0" * 64, "kind": "x", "channels": "rgb", "licence": "CC0"}
    loud = tmp_path / "loud.ckpt"
    config = {"method": {"generator": NODE}}
    write_imported(loud, state, painting={}, config=config, origin=origin)
    with pytest.raises(UsageError, match=f"dtype=float16: .*{words}"):
        run(export, "kind=bundle", f"ckpt={loud}", f"output={tmp_path / 'half'}", "dtype=float16")
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("kind", ["parallel", "series"])
def test_a_bundle_of_a_style(tmp_path: Path, paint, kind: str) -> None:
    path = checkpoint(tmp_path / "x.ckpt", styled("a", "b", kind=kind))
    run(export, "kind=bundle", f"ckpt={path}", "style={a: 0.7, b: 0.3}", f"output={tmp_path / 'bundle'}")
    wanted = paint(f"ckpt={path}", "style={a: 0.7, b: 0.3}")
    assert abs(paint(f"ckpt={tmp_path / 'bundle'}") - wanted).max() <= 1
    with pytest.raises(UsageError, match="holds 2 styles, a, b"):
        run(export, "kind=bundle", f"ckpt={path}", f"output={tmp_path / 'other'}")


def tamper(bundle: Path, how: str) -> None:
    """Spoil a bundle in one of the ways in which files are spoilt."""
    says, weights = bundle / "toonlab.json", bundle / "model.safetensors"
    if how == "bit":
        content = weights.read_bytes()
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "other weights":
        save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    elif how == "no weights":
        weights.unlink()
    elif how == "cut":
        says.write_text(says.read_text()[:-20])
    elif how == "text":
        says.write_text("hello")
    elif how == "list":
        says.write_text("[]")
    else:
        said = json.loads(says.read_text())
        if how == "network":
            said["toonlab"]["config"]["method"]["generator"]["_target_"] = "os.system"
        elif how == "newer":
            said["version"] = 2
        says.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("bit", "not the file that toonlab.json describes"),
        ("other weights", "not the file that toonlab.json describes"),
        ("no weights", "cannot be read"),
        ("cut", "not a bundle's, or damaged"),
        ("text", "not a bundle's, or damaged"),
        ("list", "not a bundle's, or damaged"),
        ("network", "was changed after it was written"),
        ("newer", "of a newer toonlab"),
    ],
)
def test_a_bundle_that_was_tampered_with(tmp_path: Path, whitebox: Path, paint, how: str, words: str) -> None:
    run(export, "kind=bundle", f"ckpt={whitebox}", f"output={tmp_path / 'bundle'}")
    tamper(tmp_path / "bundle", how)
    with pytest.raises(UsageError, match=words) as error:
        paint(f"ckpt={tmp_path / 'bundle'}")
    assert "\n" not in str(error.value)


def test_mistakes_get_one_line_and_no_file(tmp_path: Path, whitebox: Path, paint) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for arguments, words in {
        ("kind=onnx", "output=model.pt"): "ends in .onnx",
        ("kind=onnx", "output=model.onnx", "precision=fp8"): "precision=fp8: use one of fp32, fp16, int8",
        (
            "kind=onnx",
            "output=model.onnx",
            "precision=int8",
            "photos=nowhere",
        ): "photos=nowhere: no such folder",
        ("kind=onnx", "output=model.onnx", "precision=int8", f"photos={tmp_path}/full"): "0 usable pictures",
        ("kind=bundle", "output=x.safetensors"): "writes a folder",
        ("kind=bundle", f"output={tmp_path}/full", "overwrite=true"): "holds thesis.txt",
        ("kind=bundle", f"output={whitebox}/x"): "lies in a file",
        ("kind=bundle", "output=x", "precision=fp16"): "kind=bundle takes dtype, packs, style instead",
        ("kind=tflite", "output=x.tflite", "tflite.size=[64,66]"): r"tflite.size=\[64, 66\].* multiples of 4",
        ("kind=tflite", "output=x.onnx"): "name one that ends in .tflite",
    }.items():
        with pytest.raises(UsageError, match=words) as error:
            run(export, f"ckpt={whitebox}", *arguments)
        assert "\n" not in str(error.value)
    for arguments, words in {
        ("runtime=tensorrt",): "runtime=tensorrt: use one of auto, torch, winograd, onnxruntime, openvino",
        ("runtime=openvino", "device=cuda"): "paints on the processor; leave device=cuda out",
    }.items():
        with pytest.raises(UsageError, match=words):
            run(stylize, f"ckpt={whitebox}", f"input={tmp_path}/photo.png", "output=y", *arguments)
    with pytest.raises(UsageError, match="an ONNX file paints in one way"):
        run(stylize, "ckpt=x.onnx", "style=a", f"input={tmp_path}/photo.png", "output=y")
    with pytest.raises(UsageError, match=r"runtime=torch: cannot run ckpt=x.onnx"):
        run(stylize, "ckpt=x.onnx", "runtime=torch", f"input={tmp_path}/photo.png", "output=y")
    with pytest.raises(UsageError, match=r"x.onnx: no such file"):
        run(stylize, "ckpt=x.onnx", f"input={tmp_path}/photo.png", "output=y")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "photo.png", "whitebox.ckpt"]


def test_the_command_refuses_with_2_and_one_line(tmp_path: Path, whitebox: Path, cli: Cli) -> None:
    done = cli("export", "kind=tflite", f"ckpt={whitebox}", "output=x.tflite", "tflite.size=[10,10]")
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "multiples of 4" in said
    assert "Traceback" not in said


def test_without_its_converter_tflite_names_the_extra(
    tmp_path: Path, whitebox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(UsageError, match=r"kind=tflite: needs litert_torch.*\.\[tflite\]"):
        run(export, "kind=tflite", f"ckpt={whitebox}", f"output={tmp_path / 'x.tflite'}")
    assert not (tmp_path / "x.tflite").exists()


@pytest.mark.slow
def test_a_litert_file_paints_as_pytorch_and_one_that_does_not_is_refused(
    tmp_path: Path, whitebox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("litert_torch")
    small = "tflite.size=[48,64]"
    run(export, "kind=tflite", f"ckpt={whitebox}", f"output={tmp_path / 'x.tflite'}", small)
    said = json.loads((tmp_path / "x.tflite.json").read_text())
    assert float(said["max_error"]) < 2e-3
    assert "(1, 48, 64, 3)" in said["input"]
    monkeypatch.setattr(litert_file, "TOLERANCE", 0.0)
    with pytest.raises(UsageError, match="not written"):
        run(export, "kind=tflite", f"ckpt={whitebox}", f"output={tmp_path / 'y.tflite'}", small)
    assert not list(tmp_path.glob("*y.tflite*"))


@pytest.mark.slow
def test_exports_are_scored_like_their_checkpoint(tmp_path: Path, whitebox: Path) -> None:
    run(export, "kind=bundle", f"ckpt={whitebox}", f"output={tmp_path / 'bundle'}")
    run(export, "kind=onnx", f"ckpt={whitebox}", f"output={tmp_path / 'model.onnx'}")
    data = ["data=synthetic", "data.size=32", "data.workers=0", "device=cpu", "data.count=20", "resamples=0"]
    scores = {}
    for name in ("whitebox.ckpt", "bundle", "model.onnx"):
        output = tmp_path / "scores" / name
        run(evaluate, *data, f"ckpt={tmp_path / name}", f"output={output}")
        told = json.loads((output / "report.json").read_text())["scores"]
        scores[name] = {f"{metric} {key}": v for metric, row in told.items() for key, v in row.items()}
    assert scores["bundle"] == scores["whitebox.ckpt"]
    near = {
        key: pytest.approx(v, rel=0.02, abs=0.02) if isinstance(v, float) else v
        for key, v in scores["whitebox.ckpt"].items()
    }
    assert scores["model.onnx"] == near
