"""Quicker convolutions compute what PyTorch's do, and leave weights, gradients and everything else alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from toonlab.inference import convolutions
from toonlab.inference.convolutions import can_be_quicker, quicker
from toonlab.inference.stylizer import Stylizer
from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.layers import SameConv
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

GENERATORS = {
    "unet": UNet,
    "same_zeros": lambda: UNet(padding="same_zeros", upsampling="legacy_bilinear"),
    "cartoongan": lambda: ResnetGenerator(blocks=1),
    "cyclegan": lambda: CycleResnet(blocks=1),
    "v1": AnimeGeneratorV1,
    "v2": AnimeGeneratorV2,
}
nnpack = pytest.mark.skipif(not can_be_quicker(), reason="this PyTorch has no NNPACK")


def kinds(network: nn.Module) -> set[str]:
    return {type(m).__name__ for m in network.modules() if isinstance(m, nn.Conv2d)}


@nnpack
@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [(1, 3, 60, 76), (2, 3, 36, 44)])
def test_pictures_are_those_of_the_plain_network(name: str, size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = GENERATORS[name]().eval()
    photos = torch.rand(size) * 2 - 1
    quick = quicker(plain)
    assert kinds(quick) - kinds(plain), "nothing was made quicker"
    with torch.inference_mode():
        wanted, got = plain(photos), quick(photos)
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=0)
    assert (got - wanted).abs().mean() < 5e-5


@nnpack
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    batch=st.integers(1, 2),
    padding=st.sampled_from(
        [(0, "zeros"), (1, "zeros"), (1, "reflect"), (2, "replicate"), ("same", "zeros")]
    ),
    bias=st.booleans(),
    channels_last=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_winograd_at_any_size_padding_and_layout(
    height: int, width: int, batch: int, padding: tuple, bias: bool, channels_last: bool
) -> None:
    amount, mode = padding
    height, width = (max(n, 3 if amount == 0 else 2) for n in (height, width))
    conv = nn.Conv2d(64, 128, 3, padding=amount, padding_mode=mode, bias=bias)
    x = torch.randn(batch, 64, height, width)
    if channels_last:
        conv, x = (each.to(memory_format=torch.channels_last) for each in (conv, x))
    quick = quicker(nn.Sequential(conv))
    assert kinds(quick) == {"WinogradConv2d"}
    with torch.inference_mode():
        torch.testing.assert_close(quick(x), conv(x), atol=2e-4, rtol=0)


@given(
    rows=st.sampled_from([5, 7]),
    columns=st.sampled_from([5, 7, 9]),
    outputs=st.integers(1, 4),
    height=st.integers(9, 20),
    width=st.integers(9, 20),
    bias=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_heads_in_two_steps(
    rows: int, columns: int, outputs: int, height: int, width: int, bias: bool
) -> None:
    conv = nn.Conv2d(
        6, outputs, (rows, columns), padding=(rows // 2, columns // 2), padding_mode="reflect", bias=bias
    ).double()
    x = torch.randn(2, 6, height, width).double()
    quick = quicker(nn.Sequential(conv))
    assert kinds(quick) == {"SplitConv2d"}
    with torch.inference_mode():
        torch.testing.assert_close(quick.float()(x.float()), conv(x).float(), atol=1e-5, rtol=0)


def test_a_split_head_by_hand() -> None:
    conv = nn.Conv2d(1, 1, (5, 5), bias=False)
    with torch.no_grad():
        conv.weight.zero_()[0, 0, 3, 1] = 2.0  # twice the pixel three down and one right
    x = torch.arange(49.0).view(1, 1, 7, 7)
    assert torch.equal(quicker(nn.Sequential(conv))(x)[0, 0], 2 * x[0, 0, 3:6, 1:4])


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(128, 128, 3, stride=2),
        nn.Conv2d(128, 128, 3, dilation=2),
        nn.Conv2d(128, 128, 3, groups=128),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 3, 7, stride=2),
        nn.Conv2d(32, 5, 7),
        nn.ConvTranspose2d(128, 128, 3),
    ],
    ids=str,
)
def test_others_stay_as_they_are(conv: nn.Module) -> None:
    assert type(quicker(nn.Sequential(conv))[0]) is type(conv)


@nnpack
@pytest.mark.parametrize("strip", [1, 64 * 50 * 12, 64 * 50 * 18])
def test_strips_bound_the_memory_and_do_not_show(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = nn.Conv2d(64, 128, 3, padding=1), torch.randn(2, 64, 40, 48)
    quick = quicker(nn.Sequential(conv))
    with torch.inference_mode():
        whole = quick(x)
        monkeypatch.setattr(convolutions, "AT_ONCE", strip)
        assert torch.equal(quick(x), whole)


@nnpack
def test_the_weights_and_the_network_given_stay() -> None:
    plain = nn.Sequential(SameConv(96, 96, 3), nn.Conv2d(96, 3, 7))
    before = copy.deepcopy(plain)
    quick = quicker(plain)
    assert kinds(plain) == kinds(before)
    assert kinds(quick) == {"WinogradSameConv", "SplitConv2d"}
    assert list(quick.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(quick.parameters(), plain.parameters(), strict=True))
    assert kinds(copy.deepcopy(quick)) == kinds(quick)
    # Weights of another style, as adapters give them.
    x = torch.randn(1, 96, 20, 20)
    other = {key: value * 2 for key, value in plain.state_dict().items()}
    with torch.inference_mode():
        got, wanted = (torch.func.functional_call(each, other, (x,)) for each in (quick, plain))
    torch.testing.assert_close(got, wanted, atol=1e-2, rtol=1e-4)
    # A style's probe of how far it looks needs gradients.
    x.requires_grad_()
    slopes = [torch.autograd.grad(each(x).square().sum(), x)[0] for each in (quick, plain)]
    torch.testing.assert_close(*slopes, atol=1e-3, rtol=1e-3)


@nnpack
def test_lower_precision_is_computed_as_ever() -> None:
    conv, x = nn.Conv2d(128, 128, 3, padding=1), torch.randn(1, 128, 12, 12)
    quick = quicker(nn.Sequential(conv))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quick(x), conv(x))
    with torch.inference_mode():
        assert torch.equal(quick.double()(x.double()), conv.double()(x.double()))


def test_without_nnpack_only_heads_are_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutions, "can_be_quicker", lambda: False)
    assert kinds(quicker(UNet())) == {"Conv2d", "SplitConv2d"}


@nnpack
@pytest.mark.parametrize("name", ["unet", "same_zeros", "cartoongan"])
def test_tiles_are_exact_with_it(name: str) -> None:
    torch.manual_seed(0)
    generator = GENERATORS[name]().eval()
    photo = F.interpolate(torch.rand(1, 3, 20, 30), (301, 403), mode="bicubic") * 2 - 1
    whole, tiled = (
        Stylizer(quicker(generator), multiple=4, output_filter=None, tile=tile).paint(photo)
        for tile in (None, 256)
    )
    torch.testing.assert_close(tiled, whole, atol=1e-3, rtol=0)  # an eighth of a level of 8 bits


def test_activations_overwrite_only_what_nobody_else_sees() -> None:
    conv = nn.Conv2d(3, 3, 1)
    quick = quicker(nn.Sequential(nn.ReLU(), conv, nn.LeakyReLU(), nn.Identity(), nn.ReLU()))
    assert [getattr(module, "inplace", None) for module in quick] == [False, None, True, None, False]
    x = torch.randn(1, 3, 4, 4)
    given = x.clone()
    quick(x)
    assert torch.equal(x, given)
