"""Frozen feature networks: against an independent implementation, by hand, and when weights are missing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.functional import normalize

from toonlab import images
from toonlab.errors import UsageError
from toonlab.networks import efficientnet_lite, frozen
from toonlab.networks.efficientnet_lite import SameConv2d
from toonlab.networks.frozen import EfficientNetLite0, Features, ResNet50, Tap, Vgg16, Vgg19

CONF = Path(__file__).parents[2] / "conf" / "features"
TORCHVISION = {
    "vgg19": (Vgg19, models.vgg19),
    "vgg16": (Vgg16, models.vgg16),
    "resnet50": (ResNet50, models.resnet50),
}


def photo(picture: np.ndarray, size: int) -> Tensor:
    top, left = ((n - size) // 2 for n in picture.shape[:2])
    crop = picture[top : top + size, left : left + size].copy()
    return images.from_uint8(torch.from_numpy(crop).permute(2, 0, 1)).unsqueeze(0)


@pytest.fixture(scope="module")
def cat() -> Tensor:
    return photo(data.chelsea(), 256)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Random state dicts with torchvision's keys; the classifiers' large matrices share one stored number."""
    folder, generator = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    for name, (_, build) in TORCHVISION.items():
        with torch.device("meta"):
            shapes = build().state_dict()
        state = {}
        for key, value in shapes.items():
            if key.startswith(("classifier.", "fc.")):
                state[key] = torch.zeros(()).expand(value.shape)
            elif key.endswith("running_var"):
                state[key] = torch.ones(value.shape)
            elif key.endswith("num_batches_tracked"):
                state[key] = torch.tensor(1)
            else:
                fan_in = max(value[0].numel(), 1)
                state[key] = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
        torch.save(state, folder / f"{name}.pth")
    yield {name: folder / f"{name}.pth" for name in TORCHVISION}
    shutil.rmtree(folder)  # 230 MB, which pytest would keep for three runs


def construct(name: str, weights: dict[str, Path], **arguments: object) -> Features:
    if name == "efficientnet_lite0":
        return EfficientNetLite0(**arguments)
    return TORCHVISION[name][0](weights=str(weights[name]), **arguments)


NETWORKS = {"efficientnet_lite0": EfficientNetLite0, **{name: cls for name, (cls, _) in TORCHVISION.items()}}


# What the networks compute


def test_equals_the_independent_implementation(cat: Tensor) -> None:
    reference_package = pytest.importorskip("efficientnet_lite_pytorch", reason="dev extra")
    reference = reference_package.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(efficientnet_lite.weight_file())
    ).eval()
    features = EfficientNetLite0(taps=list(EfficientNetLite0.TAPS))
    for size in (224, 256):  # at others the package's padding, fixed for 224, is not TensorFlow's
        picture = cat[..., :size, :size]
        with torch.no_grad():
            ours = features(picture)
            x = reference._swish(reference._bn0(reference._conv_stem(picture)))
            for i, block in enumerate(reference._blocks):
                x = block(x)
                torch.testing.assert_close(ours[f"block{i}"], x, rtol=0, atol=1e-5)
            head = reference._swish(reference._bn1(reference._conv_head(x)))
            torch.testing.assert_close(ours["head"], head, rtol=0, atol=1e-5)


def test_same_padding_puts_the_odd_pixel_last() -> None:
    conv = SameConv2d(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    even, odd = torch.arange(4.0).view(1, 1, 1, 4), torch.arange(5.0).view(1, 1, 1, 5)
    assert conv(even).flatten().tolist() == [3, 5]  # 0+1+2, 2+3+pad
    assert conv(odd).flatten().tolist() == [1, 6, 7]  # pad+0+1, 1+2+3, 3+4+pad


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
def test_same_padding_at_any_size(height: int, width: int, kernel: int, stride: int) -> None:
    utils = pytest.importorskip("efficientnet_lite_pytorch.utils", reason="dev extra")
    ours = SameConv2d(2, 3, kernel, stride=stride)
    theirs = utils.Conv2dDynamicSamePadding(2, 3, kernel, stride, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height * 31 + width))
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tap_has_its_documented_stride_and_channels(name: str, weights: dict[str, Path]) -> None:
    cls, (height, width) = NETWORKS[name], (67, 45)
    with torch.no_grad():
        found = construct(name, weights, taps=list(cls.TAPS))(torch.zeros(1, 3, height, width))
    for tap, (stride, channels) in cls.TAPS.items():
        down = name.startswith("vgg")  # pooling drops the last row; padding keeps it
        size = [n // stride if down else -(-n // stride) for n in (height, width)]
        assert list(found[tap].shape) == [1, channels, *size], tap


@pytest.mark.parametrize(("name", "tap", "index"), [("vgg19", "conv4_4", 25), ("vgg16", "conv4_3", 21)])
def test_vgg_is_read_before_the_relu(name: str, tap: str, index: int, weights: dict[str, Path]) -> None:
    with torch.device("meta"):
        layers = TORCHVISION[name][1]().features
    state = torch.load(weights[name], weights_only=True)
    layers.load_state_dict(
        {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}, assign=True
    )
    assert isinstance(layers[index], nn.Conv2d)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = layers[: index + 1](normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        # The next stage begins with torchvision's in-place ReLU, which must not reach this tap.
        found = construct(name, weights, taps=[tap, "conv5_1"])(x * 2 - 1)
    assert (expected < 0).any()
    torch.testing.assert_close(found[tap], expected, rtol=1e-4, atol=1e-5)


def test_resnet_taps_equal_torchvision(weights: dict[str, Path]) -> None:
    with torch.device("meta"):
        reference = models.resnet50()
    reference.load_state_dict(torch.load(weights["resnet50"], weights_only=True), assign=True)
    reference.eval()
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen: dict[str, Tensor] = {}
    for tap in ResNet50.TAPS:
        reference.get_submodule(tap).register_forward_hook(
            lambda _module, _inputs, output, tap=tap: seen.__setitem__(tap, output.clone())
        )
    with torch.no_grad():
        reference(normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        found = construct("resnet50", weights, taps=list(ResNet50.TAPS))(x * 2 - 1)
    for tap in ResNet50.TAPS:
        torch.testing.assert_close(found[tap], seen[tap], rtol=1e-4, atol=1e-4 * float(seen[tap].abs().max()))


def test_preprocessing_of_known_colours(weights: dict[str, Path]) -> None:
    vgg = construct("vgg19", weights, taps=["conv1_1"])
    white, black = (vgg.prepare(torch.full((1, 3, 1, 1), value)).flatten().tolist() for value in (1.0, -1.0))
    assert white == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rel=1e-5)
    assert black == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-5)
    grey = torch.zeros(1, 3, 2, 2)
    assert EfficientNetLite0(taps=["block0"]).prepare(grey) is grey


# What makes them frozen


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg19", "resnet50"])
def test_a_frozen_network_is_a_constant(name: str, weights: dict[str, Path]) -> None:
    tap = {"efficientnet_lite0": "block4", "vgg19": "conv2_2", "resnet50": "layer1"}[name]
    parent = nn.Module()
    parent.features = construct(name, weights, taps=[tap])
    parent.train()
    assert list(parent.parameters()) == []
    assert parent.state_dict() == {}
    assert not any(module.training for module in parent.features.modules())
    assert not any(value.requires_grad for value in parent.buffers())
    before = {key: value.clone() for key, value in parent.named_buffers()}
    x = torch.full((2, 3, 33, 35), 1.5, requires_grad=True)  # outside [-1, 1]: nothing may clip its gradient
    parent.features(x)[tap].square().mean().backward()
    assert (x.grad != 0).float().mean() > 0.9
    assert all(torch.equal(value, before[key]) for key, value in parent.named_buffers())
    assert {value.dtype for value in parent.double().buffers()} <= {torch.float64, torch.int64}


def test_runs_no_deeper_than_the_deepest_tap() -> None:
    features = EfficientNetLite0(taps=["block2", "block0"])
    assert list(features.stages) == ["stem", "block0", "block1", "block2"]
    assert list(features(torch.zeros(1, 3, 16, 16))) == ["block2", "block0"]  # in the order asked for


# What the user hears


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"taps": ["blok4"]}, r"no tap 'blok4' \(did you mean 'block4'\?\); .*block0, .*head"),
        ({"taps": []}, r"features\.taps is empty; .*block0"),
        ({"taps": ["block4"], "scale": 0.0}, r"features\.scale must be positive"),
        ({"taps": ["block4"], "scale": float("nan")}, r"features\.scale must be positive"),
    ],
)
def test_impossible_arguments_are_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        EfficientNetLite0(**arguments)
    assert "\n" not in str(caught.value)


def test_one_tap_may_be_given_without_a_list() -> None:
    assert EfficientNetLite0(taps="block4").taps == ("block4",)


def test_absent_published_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_arguments: object, **_options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UsageError) as caught:
        Vgg19(taps=["conv4_4"])
    message, file = str(caught.value), tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"
    url = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
    for part in (
        "features=vgg19",
        str(file),
        url,
        "Name or service not known",
        "features=efficientnet_lite0",
    ):
        assert part in message
    assert "\n" not in message


def test_published_weights_come_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, Path]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg16-397923af.pth").symlink_to(weights["vgg16"])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_: pytest.fail("no download was due"))
    x = torch.zeros(1, 3, 8, 8)
    cached = Vgg16(taps=["conv1_2"])(x)["conv1_2"]
    assert torch.equal(cached, construct("vgg16", weights, taps=["conv1_2"])(x)["conv1_2"])


@pytest.mark.parametrize("kind", ["absent", "folder", "empty", "text", "truncated", "list", "other network"])
def test_bad_weight_files_are_one_line(kind: str, tmp_path: Path, weights: dict[str, Path]) -> None:
    path = tmp_path / "weights.pth"
    if kind == "folder":
        path.mkdir()
    elif kind in ("empty", "text"):
        path.write_text("" if kind == "empty" else "<html>\n<b>404</b>\n</html>\n")
    elif kind == "truncated":
        with weights["vgg16"].open("rb") as whole:
            path.write_bytes(whole.read(100_000))
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "other network":
        path = weights["resnet50"]
    with pytest.raises(UsageError) as caught:
        Vgg16(taps=["conv4_3"], weights=str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: no weights that fit (")
    assert re.search(
        r"get https://\S+/vgg16-397923af\.pth.*features\.weights=.*features=efficientnet_lite0", message
    )
    assert "\n" not in message
    assert len(message) < 500


# How they are scaled


class Linear(Features):
    """A tap that is 3 times the image, and another that is 15 times."""

    name, TAPS = "linear", {"triple": Tap(1, 3), "fifteen": Tap(1, 3)}

    def __init__(self, *, taps: list[str], scale: float | None = None) -> None:
        super().__init__(taps=taps, scale=scale)
        self.mount({"triple": self.times(3), "fifteen": self.times(5)})

    @staticmethod
    def times(factor: float) -> nn.Module:
        conv = nn.Conv2d(3, 3, 1, bias=False)
        conv.weight.data = factor * torch.eye(3).view(3, 3, 1, 1)
        return conv


@pytest.mark.parametrize(
    ("taps", "scale"),
    [(["triple"], 1 / 3), (["fifteen"], 1 / 15), (["triple", "fifteen"], 1 / 9)],  # (3 + 15) / 2 = 9
)
def test_calibration_of_linear_features(taps: list[str], scale: float) -> None:
    noise = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1  # flat nowhere
    assert Linear(taps=taps).calibrate(noise) == pytest.approx(scale, rel=1e-5)


def test_calibrated_features_pull_as_hard_as_pixels() -> None:
    photos = torch.cat([photo(data.chelsea(), 96), photo(data.coffee(), 96)])
    features = EfficientNetLite0(taps=["block2", "block4"])
    with torch.no_grad():  # it may be called from setup hooks
        scale = features.calibrate(photos)
    assert (features.scale, features.calibrated) == (scale, True)

    arrays = [picture.permute(1, 2, 0).numpy() for picture in photos]
    blurred = [cv2.blur(array, (5, 5), borderType=cv2.BORDER_REFLECT_101) for array in arrays]
    x = torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2).requires_grad_()
    soft, sharp = features(x), features(photos)
    content = sum((soft[tap] - sharp[tap]).abs().mean(dim=(1, 2, 3)).sum() for tap in features.taps) / 2
    (by_features,) = torch.autograd.grad(content, x)  # of a sum over photos: each photo's own gradient
    (by_pixels,) = torch.autograd.grad((x - photos).abs().mean(dim=(1, 2, 3)).sum(), x)
    norms = by_features.flatten(1).norm(dim=1).mean().item(), by_pixels.flatten(1).norm(dim=1).mean().item()
    # OpenCV rounds the blur otherwise, which turns a few signs where both images are nearly equal.
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)


def test_calibration_forgets_an_earlier_scale(cat: Tensor) -> None:
    fresh, scaled = EfficientNetLite0(taps=["block0"]), EfficientNetLite0(taps=["block0"], scale=7.0)
    assert (fresh.calibrated, scaled.calibrated) == (False, True)
    small = cat[..., :64, :64]
    assert fresh.calibrate(small) == scaled.calibrate(small) == fresh.calibrate(small)


def test_flat_photos_cannot_calibrate() -> None:
    with pytest.raises(ValueError, match="linear cannot be calibrated on 2 flat photos"):
        Linear(taps=["triple"]).calibrate(torch.zeros(2, 3, 16, 16))


def test_scale_multiplies_every_tap_and_equal_images_are_equal(cat: Tensor) -> None:
    taps, small = ["block0", "block4"], cat[..., :64, :64]
    features = EfficientNetLite0(taps=taps)
    plain, scaled = features(small), EfficientNetLite0(taps=taps, scale=2.5)(small)
    assert features.scale == 1.0
    for tap in taps:
        assert torch.equal(scaled[tap], plain[tap] * 2.5)
        assert torch.equal(features(small.clone())[tap], plain[tap])


def test_shipped_scale_is_that_of_the_shipped_tap() -> None:
    """Measured on other photographs: the margin of 1.5 is far below the factor of 2 to 7 between taps."""
    config = yaml.safe_load((CONF / "efficientnet_lite0.yaml").read_text())
    measured = EfficientNetLite0(taps=config["taps"]).calibrate(
        torch.cat([photo(picture, 128) for picture in (data.astronaut(), data.chelsea(), data.coffee())])
    )
    assert 1 / 1.5 < measured / config["scale"] < 1.5


@pytest.mark.parametrize("name", NETWORKS)
def test_configs_name_real_classes_and_taps(name: str, weights: dict[str, Path]) -> None:
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    cls = getattr(frozen, config.pop("_target_").removeprefix("toonlab.networks.frozen."))
    assert cls is NETWORKS[name]
    if "weights" in config:
        assert config["weights"] is None  # torchvision's own
        config["weights"] = str(weights[name])
    assert cls(**config).taps == tuple(config["taps"])
