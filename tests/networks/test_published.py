"""Published generators through our networks paint what an independent reading of their code paints."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import peer_networks as peers
from toonlab.engine.checkpoint import build
from toonlab.errors import UsageError
from toonlab.networks.arrays import read_arrays
from toonlab.networks.layers import LegacyUpsample, SameConv
from toonlab.networks.published import KINDS, Imported, convert

PEERS = Path(__file__).resolve().parents[2] / ".." / "shared" / "peers"


def floats(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in arrays.items()}


def generator(imported: Imported) -> nn.Module:
    network = build(imported.node)
    network.load_state_dict(imported.state)
    return network.eval().requires_grad_(False)


def photo(height: int = 24, width: int = 32) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, height, width, generator=rng) * 2 - 1


def cyclegan_arrays(blocks: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(peers.CycleGAN(4, blocks).state_dict())


def bgr(paint: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: paint(x.flip(1)).flip(1)


WHITEBOX = floats(peers.drawn(peers.whitebox_shapes(4, 2)))
CARTOONGAN = floats(peers.drawn(peers.cartoongan_shapes(4)))
ANIMEGAN = floats(peers.drawn(peers.animegan_v2_shapes(4)))
ARRAYS = {
    "whitebox": WHITEBOX,
    "cartoongan": CARTOONGAN,
    "cyclegan": cyclegan_arrays(),
    "animegan_v2": ANIMEGAN,
}


def cyclegan(x: Tensor) -> Tensor:
    network = peers.CycleGAN(4, 2)
    network.load_state_dict(ARRAYS["cyclegan"])
    with torch.no_grad():
        return network(x)


REFERENCES = {
    "whitebox": bgr(lambda x: peers.whitebox(x, WHITEBOX)),
    "cartoongan": bgr(lambda x: peers.cartoongan(x, CARTOONGAN)),
    "cyclegan": cyclegan,
    "animegan_v2": lambda x: peers.animegan_v2(x, ANIMEGAN, align_corners=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_paints_what_the_published_network_paints(kind: str) -> None:
    imported = convert(ARRAYS[kind])
    assert imported.kind == kind  # recognised
    wanted = REFERENCES[kind](photo())
    assert wanted.std() > 0.05  # a flat picture would prove nothing
    torch.testing.assert_close(generator(imported)(photo()), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["whitebox", "cartoongan"])
def test_the_other_channel_order_is_another_picture(kind: str) -> None:
    as_rgb = generator(convert(ARRAYS[kind], channels="rgb"))(photo())
    assert (as_rgb - REFERENCES[kind](photo())).abs().mean() > 0.02
    swapped = bgr(REFERENCES[kind])(photo())  # the network's own order
    torch.testing.assert_close(as_rgb, swapped, rtol=0, atol=2e-5)


def test_a_wrong_epsilon_shows_where_the_photo_is_flat() -> None:
    sky = (0.5 + 0.002 * photo()).double()
    right = generator(convert(CARTOONGAN)).double()(sky)
    reference = bgr(lambda x: peers.cartoongan(x, CARTOONGAN))(sky)
    torch.testing.assert_close(right, reference, rtol=0, atol=1e-8)
    wrong = bgr(lambda x: peers.cartoongan(x, CARTOONGAN, eps=1e-5))(sky)
    assert (right - wrong).abs().mean() > 0.05


@pytest.mark.parametrize("align_corners", [False, True])
def test_animegans_resizing_can_be_chosen(align_corners: bool) -> None:
    painted = generator(convert(ANIMEGAN, align_corners=align_corners))(photo())
    wanted = peers.animegan_v2(photo(), ANIMEGAN, align_corners=align_corners)
    torch.testing.assert_close(painted, wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("blocks", [6, 9])
def test_cyclegan_of_old_pytorch_and_several_gpus(blocks: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = peers.CycleGAN(4, blocks, statistics=True).train()
    network(photo())  # running statistics that must not be used
    wrapped = nn.DataParallel(network)
    torch.save(wrapped.state_dict(), tmp_path / "latest_net_G_A.pth")
    plain = peers.CycleGAN(4, blocks)
    plain.load_state_dict(
        {k: v for k, v in network.state_dict().items() if k.split(".")[-1][:3] not in ("run", "num")}
    )
    imported = convert(read_arrays(tmp_path / "latest_net_G_A.pth"))
    assert imported.node["blocks"] == blocks
    assert len(imported.ignored) == 3 * (5 + 2 * blocks)
    with torch.no_grad():
        torch.testing.assert_close(generator(imported)(photo()), plain(photo()), rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_unexpected_or_misshapen_is_named(kind: str) -> None:
    arrays = ARRAYS[kind]
    last = list(arrays)[-1]
    with pytest.raises(UsageError, match=rf"kind={kind}: 1 arrays missing: {last}$"):
        convert({name: value for name, value in arrays.items() if name != last})
    with pytest.raises(UsageError, match=r"1 arrays unexpected: extra.weight$"):
        convert({**arrays, "extra.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match=rf"1 arrays of another shape: {last} \(7,\) for \("):
        convert({**arrays, last: torch.zeros(7)})


def test_a_batch_norm_is_not_taken_for_an_instance_norm() -> None:
    norm = {f"model.2.{what}": torch.zeros(4) for what in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(UsageError, match=r"4 arrays unexpected: model\.2\.weight"):
        convert(ARRAYS["cyclegan"] | norm)


def test_an_unknown_network_a_wrong_kind_and_a_strange_setting() -> None:
    with pytest.raises(UsageError, match=r"fc.weight …\) are of no kind we know; kind= one of whitebox"):
        convert({"fc.weight": torch.zeros(2, 2)})
    with pytest.raises(UsageError, match=r"model\.1\.weight is missing"):
        convert(WHITEBOX, kind="cyclegan")
    with pytest.raises(UsageError, match=r"kind=whitbox: use one of .*did you mean 'whitebox'"):
        convert(WHITEBOX, kind="whitbox")
    with pytest.raises(UsageError, match="align_corners=True: kind=whitebox has no such setting"):
        convert(WHITEBOX, align_corners=True)


def test_legacy_doubling_by_hand() -> None:
    row = torch.tensor([1.0, 3.0, 7.0])
    doubled = LegacyUpsample()(row.reshape(1, 1, 1, 3))
    assert doubled.tolist() == [[[[1, 2, 3, 5, 7, 7], [1, 2, 3, 5, 7, 7]]]]


def test_same_padding_by_hand() -> None:
    conv = SameConv(1, 1, 3, 2)
    nn.init.ones_(conv.weight)
    nn.init.zeros_(conv.bias)
    # Windows of an even size begin at the first pixel and end one behind the last; of an odd one, one before.
    assert conv(torch.ones(1, 1, 4, 4)).tolist() == [[[[9, 6], [6, 4]]]]
    assert conv(torch.ones(1, 1, 3, 3)).tolist() == [[[[4, 4], [4, 4]]]]


def shared(name: str) -> dict[str, Tensor]:
    if not (PEERS / name).is_file():
        pytest.skip(f"no {name} beside the repository")
    return read_arrays(PEERS / name)


@pytest.mark.parametrize("style", ["hayao", "shinkai"])
def test_cartoongans_own_weights(style: str) -> None:
    arrays = shared(f"cartoongan/cartoongan_{style}_fp16.npz")
    network, x = generator(convert(arrays)), photo(64, 64)[:1]
    assert sum(p.numel() for p in network.parameters()) == 11_129_667
    with torch.no_grad():
        torch.testing.assert_close(
            network(x), bgr(lambda x: peers.cartoongan(x, arrays))(x), rtol=0, atol=1e-4
        )


def test_whiteboxs_own_weights() -> None:
    arrays = shared("whitebox/whitebox_generator_fp16.npz")
    network, x = generator(convert(arrays)), photo(64, 64)[:1]
    assert sum(p.numel() for p in network.parameters()) == 1_467_075
    torch.testing.assert_close(network(x), bgr(lambda x: peers.whitebox(x, arrays))(x), rtol=0, atol=1e-4)


def test_the_random_arrays_are_laid_out_as_the_published_ones() -> None:
    assert {k: v.shape for k, v in shared("whitebox/whitebox_generator_fp16.npz").items()} == {
        k: torch.Size(v) for k, v in peers.whitebox_shapes(32, 4).items()
    }
    assert {k: v.shape for k, v in shared("cartoongan/cartoongan_hayao_fp16.npz").items()} == {
        k: torch.Size(v) for k, v in peers.cartoongan_shapes(64).items()
    }
