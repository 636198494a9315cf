"""An ONNX file paints as the checkpoint does, at any size, or is not written."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from toonlab.errors import UsageError
from toonlab.inference import onnx_file, onnx_graph, onnx_precision
from toonlab.inference.exportable import exportable
from toonlab.inference.onnx_file import differences, read_about, trace, write_onnx
from toonlab.inference.runtimes import OnnxNetwork
from toonlab.inference.sample_photos import crops, sample_photos
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.layers import LegacyUpsample, SameConv
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet
from toonlab.representations.surface import guided_filter

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

FILTER = OutputFilter(radius=1, eps=5e-3)


def unet(**changes: Any) -> UNet:
    torch.manual_seed(0)
    return UNet(width=4, blocks=1, **changes).eval()


@pytest.fixture(scope="module")
def core() -> Any:
    """The traced tiny UNet: tracing takes seconds, what is put around it does not."""
    return trace(unet(padding="same_zeros", upsampling="legacy_bilinear"), 4)


@pytest.fixture
def generator(core: Any, monkeypatch: pytest.MonkeyPatch) -> UNet:
    monkeypatch.setattr(onnx_file, "trace", lambda *_, **__: copy.deepcopy(core))
    return unet(padding="same_zeros", upsampling="legacy_bilinear")


@pytest.fixture
def written(tmp_path: Path, generator: UNet) -> Path:
    return write_onnx(tmp_path / "x.onnx", generator, output_filter=FILTER, about={"licence": "CC0"}).path


def noise(*size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def outputs(path: Path, photos: Tensor) -> dict[str, Tensor]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = {"photo": photos.numpy()}
    return dict(zip(names, map(torch.from_numpy, session.run(None, given)), strict=True))


def by_torch(generator: nn.Module, photos: Tensor, output_filter: OutputFilter | None = FILTER) -> Tensor:
    paints = Stylizer(copy.deepcopy(generator), multiple=4, output_filter=output_filter, tile=None)
    return paints.paint(photos)


def test_any_size_is_painted_as_by_pytorch(written: Path, generator: UNet) -> None:
    session = ort.InferenceSession(str(written), providers=["CPUExecutionProvider"])

    @given(batch=st.integers(1, 3), height=st.integers(1, 45), width=st.integers(1, 45))
    @settings(max_examples=25, deadline=None)
    def holds(batch: int, height: int, width: int) -> None:
        photos = noise(batch, 3, height, width)
        (ours,) = session.run(["cartoon"], {"photo": photos.numpy()})
        torch.testing.assert_close(torch.from_numpy(ours), by_torch(generator, photos), rtol=0, atol=1e-5)

    holds()


def test_further_outputs_are_what_strength_mixes(written: Path, generator: UNet) -> None:
    photos = noise(1, 3, 30, 41)
    found = outputs(written, photos)
    assert list(found) == ["cartoon", "raw", "filtered"]
    assert torch.equal(found["cartoon"], found["filtered"].clamp(-1, 1))
    filtered = guided_filter(photos, found["raw"], FILTER.radius, FILTER.eps)
    torch.testing.assert_close(found["filtered"], filtered, rtol=0, atol=1e-5)
    unfiltered = by_torch(generator, photos, None)
    torch.testing.assert_close(found["raw"].clamp(-1, 1), unfiltered, rtol=0, atol=1e-5)
    assert (found["cartoon"] - found["raw"]).abs().max() > 0.01


def test_a_file_says_what_it_is_and_nothing_of_this_machine(written: Path) -> None:
    about = read_about(written)
    assert about["licence"] == "CC0"
    assert (about["generator"], about["precision"], about["multiple"]) == ("UNet", "fp32", "4")
    assert json.loads(about["output_filter"]) == {"radius": 1, "eps": 5e-3}
    assert json.loads(about["checked"]) == [list(size) for size in onnx_file.SIZES]
    assert 0 <= float(about["mean_error"]) <= float(about["max_error"]) < 1e-4
    assert 8 <= int(about["reach"]) < 100
    content = written.read_bytes()
    assert b"site-packages" not in content
    assert str(Path(onnx_file.__file__).parent).encode() not in content
    model = onnx.load(written)
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim][2:] == ["height", "width"]


@pytest.mark.parametrize("fault", ["filter", "padding", "weights", "nan"])
def test_an_export_that_paints_otherwise_leaves_no_file(
    tmp_path: Path, generator: UNet, core: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Each part of the file is spoilt in turn; the old file stays."""
    path = tmp_path / "x.onnx"
    path.write_text("the old one")
    if fault == "filter":
        monkeypatch.setattr(onnx_graph, "_POOL", onnx_graph._POOL.replace("= 0", "= 1"))
    elif fault == "padding":
        monkeypatch.setattr(
            onnx_graph, "_AXIS", onnx_graph._AXIS.replace("pad_mirror{k}, pad", "pad_edge{k}, pad")
        )
    else:
        spoilt = copy.deepcopy(core)
        first = spoilt.graph.initializer[0]
        values = onnx.numpy_helper.to_array(first) + (np.nan if fault == "nan" else 0.05)
        first.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), first.name))
        monkeypatch.setattr(onnx_file, "trace", lambda *_, **__: spoilt)
    with pytest.raises(UsageError, match=r"x.onnx: not written: .* differs from PyTorch by") as error:
        write_onnx(path, generator, output_filter=FILTER)
    assert "\n" not in str(error.value)
    assert path.read_text() == "the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["x.onnx"]


def test_a_judge_can_refuse(tmp_path: Path, generator: UNet) -> None:
    def judge(path: Path) -> dict[str, str]:
        assert path.is_file()
        raise UsageError("too bad")

    with pytest.raises(UsageError, match="too bad"):
        write_onnx(tmp_path / "x.onnx", generator, judge=judge)
    assert not list(tmp_path.iterdir())


def test_int8_quantises_the_convolutions_and_measures_them(tmp_path: Path, generator: UNet) -> None:
    photos = sample_photos()[:1]
    path = write_onnx(
        tmp_path / "x.onnx", generator, output_filter=FILTER, precision="int8", photos=photos
    ).path
    model = onnx.load(path)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") > 5
    assert kinds.count("QuantizeLinear") >= kinds.count("Conv") - 2  # all but the first and the last
    weights = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8]
    assert weights
    about = read_about(path)
    assert about["precision"] == "int8"
    assert 1e-4 < float(about["mean_error"]) < 0.1
    assert len(onnx_precision.pieces(photos[0])) == 5


# As a network ------------------------------------------------------------------------


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_a_stylizer_paints_with_the_file_as_with_the_checkpoint(
    written: Path, generator: UNet, runtime: str, strength: float
) -> None:
    network = OnnxNetwork(written, runtime)
    assert network.output_filter == FILTER
    options: dict[str, Any] = {"multiple": 4, "output_filter": FILTER, "strength": strength, "tile": None}
    for size in [(2, 3, 21, 34), (1, 3, 1, 1)]:
        photos = noise(*size)
        ours = Stylizer(network, **options).paint(photos)
        wanted = Stylizer(copy.deepcopy(generator), **options).paint(photos)
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-5)


def test_results_are_kept_when_the_next_picture_is_painted(written: Path, runtime: str) -> None:
    network = OnnxNetwork(written, runtime)
    first = network(noise(1, 3, 16, 16))
    kept = first.clone()
    network(-noise(1, 3, 16, 16))
    assert torch.equal(first, kept)


def test_tiles_are_exact_without_norms_and_refused_with_them(written: Path) -> None:
    network = OnnxNetwork(written, "onnxruntime")
    photos = noise(1, 3, 200, 180)
    whole = Stylizer(network, multiple=4, output_filter=None, tile=None).paint(photos)
    tiled = Stylizer(network, multiple=4, output_filter=None, tile=128).paint(photos)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)
    network.about["reach"] = "picture"
    with pytest.raises(UsageError, match=r"look at the whole picture.*tile=null"):
        Stylizer(network, multiple=4, output_filter=None, tile=128).paint(photos)


def test_networks_with_norms_say_so() -> None:
    assert onnx_file._reach(ResnetGenerator(width=2, blocks=1), 4) == "picture"
    assert onnx_file._reach(AnimeGeneratorV2(width=2), 4) == "picture"
    assert isinstance(onnx_file._reach(unet(), 4), int)


def test_a_missing_package_is_named_with_its_remedy(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.import_module

    def missing(*names: str) -> Callable[..., Any]:
        def load(name: str, *more: Any) -> Any:
            if name.partition(".")[0] in names:
                raise ImportError(f"No module named {name!r}", name=name)
            return known(name, *more)

        return load

    monkeypatch.setattr(importlib, "import_module", missing("openvino"))
    with pytest.raises(UsageError, match=r"runtime=openvino: needs openvino.*pip install -e '.\[openvino\]'"):
        OnnxNetwork(written, "openvino")
    monkeypatch.setattr(importlib, "import_module", missing("openvino", "onnxruntime"))
    with pytest.raises(UsageError, match=r"neither is installed.*\.\[onnx\].*\.\[openvino\]"):
        OnnxNetwork(written)
    monkeypatch.setattr(importlib, "import_module", missing("onnx"))
    with pytest.raises(UsageError, match=r"kind=onnx: needs onnx.*pip install -e '.\[onnx\]'"):
        write_onnx(written, unet())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("text", "not an ONNX file, or a damaged one"),
        ("cut", "not an ONNX file, or a damaged one|cannot be run"),
        ("foreign", "none of toonlab's"),
        ("newer", "written by a newer toonlab"),
        ("gone", "no such file"),
    ],
)
def test_a_file_that_is_no_good(written: Path, how: str, words: str) -> None:
    if how == "text":
        written.write_text("hello, this is no network")
    elif how == "cut":
        written.write_bytes(written.read_bytes()[:-500])
    elif how == "gone":
        written.unlink()
    else:
        model = onnx.load(written)
        said = {"toonlab.format": "99"} if how == "newer" else {}
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, said)
        onnx.save(model, written)
    with pytest.raises(UsageError, match=words) as error:
        OnnxNetwork(written, "onnxruntime")
    assert "\n" not in str(error.value)


# Plainer operations ------------------------------------------------------------------


def test_plainer_operations_compute_the_same() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(SameConv(3, 4, 7), SameConv(4, 4, 3, 2), LegacyUpsample(), SameConv(4, 3, 3))
    plain = exportable(network)
    assert not any(isinstance(module, LegacyUpsample) for module in plain.modules())
    photos = noise(2, 3, 12, 20)
    assert torch.equal(plain(photos), network(photos))
    assert isinstance(network[2], LegacyUpsample)  # left as it was


def test_norms_of_a_half_network_stay_in_float() -> None:
    half = exportable(ResnetGenerator(width=2, blocks=1), half=True)
    assert {p.dtype for p in half.parameters()} == {torch.half, torch.float}
    for module in half.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.dtype == torch.half
        if isinstance(module, nn.InstanceNorm2d):
            assert module.weight.dtype == torch.float


def test_crops_have_their_size_and_range() -> None:
    photos = sample_photos()
    for size in onnx_file.SIZES:
        made = crops(photos, *size)
        assert made.shape == (size[0], 3, *size[1:])
        assert made.abs().max() <= 1
        assert made.std() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda: UNet(width=4, blocks=1, full_skip="concatenate", head="tanh"),
        lambda: ResnetGenerator(width=4, blocks=1),
        lambda: ResnetGenerator(
            width=4, blocks=1, upsampling="deconv", scaling_padding="zeros", norm_eps=1e-9
        ),
        lambda: AnimeGeneratorV1(width=4),
        lambda: AnimeGeneratorV2(width=4),
        lambda: AnimeGeneratorV2(width=4, align_corners=True),
        lambda: CycleResnet(width=4, blocks=1),
        lambda: CycleResnet(width=4, blocks=1, upsampling="resize"),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_generator_exports(tmp_path: Path, build: Callable[[], nn.Module], precision: str) -> None:
    torch.manual_seed(0)
    network = build().eval()
    path = write_onnx(tmp_path / "x.onnx", network, precision=precision).path
    sizes = ((1, 1, 1), (3, 40, 52), (1, 33, 71))
    errors = differences(path, network, multiple=4, output_filter=None, photos=sample_photos(), sizes=sizes)
    if any(isinstance(module, nn.InstanceNorm2d) for module in network.modules()):
        # Of a flat picture there is nothing but rounding to normalise, and each norm magnifies it.
        assert errors.pop((1, 1, 1))[0] <= 2  # finite, and of that size
    assert max(error[0] for error in errors.values()) < (2e-3 if precision == "fp32" else 0.1)
