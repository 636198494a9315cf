"""Adapters: counted, against layers that run them literally, folded, mixed, installed."""

from __future__ import annotations

import copy
import hashlib
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from toonlab.networks.adapters import Adapted
from toonlab.networks.discriminators import AnimeDiscriminator, EdgeDiscriminator
from toonlab.networks.layers import Residual
from toonlab.networks.resnet import ResnetGenerator

SITE = "encoder.11.body.0"
KINDS = ["parallel", "series", "low_rank", "norm"]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def trunk(**settings) -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(**{"width": 4, "blocks": 2, **settings})


def adapted(kind: str = "parallel", *, domains=("a", "b"), learnt: bool = True, **settings) -> Adapted:
    """A network of random styles, as after training; as at its start if not `learnt`."""
    more = {name: settings.pop(name) for name in ("where", "own", "rank") if name in settings}
    network = Adapted(trunk=trunk(**settings), domains=domains, kind=kind, **{"rank": 3, **more})
    if learnt:
        rng = torch.Generator().manual_seed(1)
        for parameter in network.styles.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return network


def photos(height: int = 20, width: int = 28) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1


# Counts (reference: methods.md, section 7) -----------------------------------


@pytest.fixture(scope="module")
def published() -> ResnetGenerator:
    return ResnetGenerator()


@pytest.mark.parametrize(
    ("settings", "parameters", "share"),
    [
        ({"kind": "parallel"}, 1_058_048, 0.095),
        ({"kind": "parallel", "where": "all"}, 1_242_368, 0.112),
        ({"kind": "series"}, 1_066_240, 0.096),
        ({"kind": "low_rank", "rank": 32}, 271_616, 0.024),
        ({"kind": "norm"}, 9_472, 0.0009),
        ({"kind": "parallel", "own": ["decoder.10"]}, 1_058_048 + 9_411, 0.096),
    ],
    ids=["parallel", "all", "series", "low_rank", "norm", "own_head"],
)
def test_generators_styles_cost_what_the_reference_says(published, settings, parameters, share) -> None:
    network = Adapted(trunk=copy.deepcopy(published), domains=["a", "b"], **settings)
    for domain in ("a", "b"):
        assert count(network.style(domain)) == parameters
        assert network.share(domain) == parameters / 11_129_667
        assert network.share(domain) == pytest.approx(share, abs=0.0005 if share > 0.001 else 5e-5)
    own = 9_411 if "own" in settings else 0
    assert count(network) == 11_129_667 - 9_472 - own + 2 * parameters  # nothing stands twice


def test_a_discriminators_style_costs_what_the_reference_says() -> None:
    network = Adapted(trunk=EdgeDiscriminator(), domains=["a"], where="inner", own=["last"])
    assert len(network.sites) == 5
    assert count(network.style("a")) == 124_928 + 1_280 + 2_305 == 128_513
    assert network.share("a") == pytest.approx(0.114, abs=0.0005)


# What they compute ---------------------------------------------------------------


class Beside(nn.Module):
    """`W * x + A * x`, as two convolutions."""

    def __init__(self, conv: nn.Conv2d, adapter: Tensor) -> None:
        super().__init__()
        self.conv = conv
        self.adapter = nn.Conv2d(conv.in_channels, conv.out_channels, 1, conv.stride, bias=False)
        self.adapter.weight.data = adapter[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.adapter(x)


class Behind(nn.Module):
    """`v + A * IN(v)` with `v = W * x`, the norm written out."""

    def __init__(self, conv: nn.Conv2d, adapter: Tensor, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.conv, self.scale, self.shift = conv, scale, shift
        self.adapter = nn.Conv2d(conv.out_channels, conv.out_channels, 1, bias=False)
        self.adapter.weight.data = adapter[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        v = self.conv(x)
        variance, mean = torch.var_mean(v, dim=(2, 3), correction=0, keepdim=True)
        normed = (v - mean) / torch.sqrt(variance + 1e-5)
        return v + self.adapter(normed * self.scale[:, None, None] + self.shift[:, None, None])


def literal(network: Adapted, plain: nn.Module, domain: str) -> nn.Module:
    """The plain trunk with modules of its own for each adapter, read from the raw tensors."""
    tensors = {
        key.replace("/", "."): value.detach() for key, value in network.style(domain).named_parameters()
    }
    for name, module in list(plain.named_modules()):
        if isinstance(module, nn.InstanceNorm2d):
            module.weight.data, module.bias.data = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if not isinstance(module, nn.Conv2d):
            continue
        if network.kind == "series" and f"{name}.adapter" in tensors:
            norm = [tensors[f"{name}.norm.{part}"] for part in ("weight", "bias")]
            new = Behind(module, tensors[f"{name}.adapter"], *norm)
        elif f"{name}.adapter" in tensors:
            new = Beside(module, tensors[f"{name}.adapter"])
        elif f"{name}.down" in tensors:
            new = Beside(module, torch.einsum("or,ri->oi", tensors[f"{name}.up"], tensors[f"{name}.down"]))
        else:
            continue
        parent, _, last = name.rpartition(".")
        setattr(plain.get_submodule(parent), last, new)
    return plain


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("where", ["residual", "inner", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_style_is_what_separate_layers_compute(kind: str, where: str, padding: str) -> None:
    network = adapted(kind, where=where, scaling_padding=padding).double()
    if where == "all" and kind != "norm":
        strides = {network.trunk.get_submodule(site) for site in network.sites}
        assert {(getattr(m, "conv", m)).stride for m in strides} == {(1, 1), (2, 2)}
    for domain in network.domains:
        reference = literal(network, trunk(scaling_padding=padding).double(), domain).double()
        x = photos().double()
        torch.testing.assert_close(network(x, domain), reference(x), rtol=0, atol=1e-9)
    assert (network(x, "a") - network(x, "b")).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_domain_starts_as_the_trunk_to_the_bit(kind: str) -> None:
    network = adapted(kind, learnt=False, where="all")
    for domain in network.domains:
        assert torch.equal(network(photos(), domain), trunk()(photos()))


def test_a_later_domain_starts_from_the_one_it_is_like() -> None:
    network = adapted()
    network.add("c", like="b")
    norms = {name: value for name, value in network.style("b").tensors().items() if "adapter" not in name}
    for name, value in network.style("c").tensors().items():
        assert torch.equal(value, norms.get(name, torch.zeros_like(value))), name


def test_a_fresh_head_is_drawn_anew_and_the_rest_is_copied() -> None:
    torch.manual_seed(0)
    network = Adapted(trunk=EdgeDiscriminator(width=8), domains=["a"], where="inner", own=["last"])
    network.add("b", fresh_own=True)
    a, b = (network.style(domain).tensors() for domain in ("a", "b"))
    assert [name for name in a if not torch.equal(a[name], b[name])] == ["last.weight"]
    assert b["last.weight"].std().item() == pytest.approx(0.02, rel=0.2)
    assert network(photos(), "b").shape == (2, 1, 5, 7)


def test_residual_means_the_convolutions_of_residual_blocks() -> None:
    network = adapted()
    blocks = [name for name, module in network.trunk.named_modules() if isinstance(module, Residual)]
    assert network.sites == [f"{block}.body.{i}" for block in blocks for i in (0, 3)]


# Folding ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [(20, 28), (21, 35), (9, 14)])
@pytest.mark.parametrize("kind", KINDS)
def test_folded_equals_unfolded(kind: str, size: tuple[int, int]) -> None:
    network = adapted(kind, where="all", blocks=1)
    for domain in network.domains:
        folded = network.fold(domain)
        torch.testing.assert_close(folded(photos(*size)), network(photos(*size), domain), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["parallel", "low_rank", "norm"])
def test_what_is_folded_is_the_plain_network(kind: str) -> None:
    network = adapted(kind)
    folded, plain = network.fold("b"), trunk()
    assert type(folded) is ResnetGenerator
    plain.load_state_dict(folded.state_dict(), strict=True)
    assert torch.equal(plain(photos()), folded(photos()))
    assert count(folded) == count(plain)
    assert {name for name, _ in folded.named_modules()} == {name for name, _ in plain.named_modules()}
    for parameter in folded.parameters():
        parameter.data.zero_()  # a copy: what it came from stays
    torch.testing.assert_close(network(photos(), "b"), plain(photos()))


def test_a_folded_network_compiles() -> None:
    folded = adapted(blocks=1).fold({"a": 0.5, "b": 0.5}).eval()
    compiled = torch.compile(folded, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(photos(8, 8)), folded(photos(8, 8)))


# Training ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_trunk_and_the_asked_style_only(kind: str) -> None:
    network = adapted(kind)
    network(photos(), "b").square().mean().backward()
    assert all(p.grad is None for p in network.style("a").parameters())
    for name, parameter in [*network.style("b").named_parameters(), *network.trunk.named_parameters()]:
        assert parameter.grad is not None, name
    reached = [p for p in network.style("b").parameters() if p.grad.abs().max() > 0]
    assert len(reached) > 0.9 * len(list(network.style("b").parameters()))


@pytest.mark.parametrize("kind", ["parallel", "series", "low_rank"])
def test_an_adapter_at_zero_learns(kind: str) -> None:
    network = adapted(kind, learnt=False)
    network(photos(), "a").square().mean().backward()
    last = "up" if kind == "low_rank" else "adapter"
    gradients = [p.grad for name, p in network.style("a").named_parameters() if name.endswith(f"/{last}")]
    assert len(gradients) == 4
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_freezing_all_but_one_trains_that_one() -> None:
    network = adapted()
    network.freeze_all_but("b")
    assert {id(p) for p in network.parameters() if p.requires_grad} == {
        id(p) for p in network.style("b").parameters()
    }


class Normed(nn.Sequential):
    """A trunk with statistics of its own."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3))


def test_batch_norms_statistics_are_per_domain() -> None:
    network = Adapted(trunk=Normed(), domains=["a", "b"], where="all").train()
    before = copy.deepcopy(network.style("b").tensors())
    x = photos() + 3
    network(x, "a")
    a, b = (network.style(domain).tensors() for domain in ("a", "b"))
    assert all(torch.equal(b[name], before[name]) for name in before)
    seen = network.trunk[0](x)
    torch.testing.assert_close(a["1.running_mean"], 0.1 * seen.mean((0, 2, 3)))
    torch.testing.assert_close(a["1.running_var"], 0.9 + 0.1 * seen.var((0, 2, 3)))
    assert (a["1.num_batches_tracked"], b["1.num_batches_tracked"]) == (1, 0)
    network.eval()
    assert torch.equal(network.fold("a")(x), network(x, "a"))
    plain = Normed()
    plain.load_state_dict(network.fold("a").state_dict())
    assert network.fold({"a": 0.5, "b": 0.5})[1].running_mean.tolist() == pytest.approx(
        (a["1.running_mean"] / 2).tolist()
    )


# Mixing --------------------------------------------------------------------------


@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("kind", KINDS)
def test_a_style_mixed_with_itself_is_itself_to_the_bit(kind: str, shares: list[float]) -> None:
    if not sum(shares):
        shares = [1.0, *shares[1:]]
    network = SAME[kind]
    total = sum(shares)
    mixed = network.mix({name: share / total for name, share in zip("abcd", shares, strict=False)})
    for name, value in network._parts("a").items():
        assert torch.equal(mixed[name], value), name


def _same(kind: str) -> Adapted:
    network = adapted(kind, domains=["a"])
    for name in "bcd":
        network.install(name, network.style("a").tensors())
    return network


SAME = {kind: _same(kind) for kind in KINDS}


def test_a_mixture_is_the_mean_of_the_tensors() -> None:
    network = adapted()
    mixed, a, b = network.mix({"a": 0.25, "b": 0.75}), network._parts("a"), network._parts("b")
    for name in a:
        torch.testing.assert_close(mixed[name], 0.25 * a[name] + 0.75 * b[name])
    weight, site = network.fold({"a": 0.25, "b": 0.75}), network.sites[0]
    wanted = network.trunk.get_parameter(f"{site}.weight").clone()
    wanted[:, :, 1, 1] += 0.25 * a[f"{site}.adapter"] + 0.75 * b[f"{site}.adapter"]
    torch.testing.assert_close(weight.get_parameter(f"{site}.weight"), wanted)


def test_the_ends_of_a_mixture_are_its_styles_to_the_bit() -> None:
    network = adapted("low_rank")
    for end, shares in {"a": {"a": 1, "b": 0}, "b": {"a": 0.0, "b": 1.0}}.items():
        assert torch.equal(network.fold(shares)(photos()), network(photos(), end))


def test_styles_of_other_kinds_mix_as_if_they_had_adapters_of_zeros() -> None:
    network, other = adapted("parallel"), adapted("norm", domains=["n"])
    network.install("n", other.style("n").tensors())
    for order in (("a", "n"), ("n", "a")):
        mixed = network.mix(dict.fromkeys(order, 0.5))
        torch.testing.assert_close(
            mixed[f"{network.sites[0]}.adapter"], network._parts("a")[f"{network.sites[0]}.adapter"] / 2
        )


# Mistakes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({}, "add up to 0"),
        ({"a": 0.7, "b": 0.2}, r"\{'a': 0.7, 'b': 0.2\} add up to 0.9: they have to add up to 1"),
        ({"a": 1.5, "b": -0.5}, "share 1.5 of a: a number from 0 to 1"),
        ({"a": float("nan"), "b": 1.0}, "share nan of a"),
        ({"a": "half", "b": 0.5}, "share 'half' of a"),
        ({"a": True}, "share True of a"),
        ({"a": 0.5, "c": 0.5}, r"domain 'c': not in this network; it holds \['a', 'b'\]"),
    ],
)
def test_shares_that_cannot_be(shares, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        adapted().mix(shares)


def test_unknown_and_doubled_domains() -> None:
    network = adapted(domains=["wesnoth", "bbb"])
    with pytest.raises(ValueError, match=r"'wesnot': not in this network \(did you mean 'wesnoth'\?\)"):
        network(photos(), "wesnot")
    with pytest.raises(ValueError, match="'bbb' is in this network already"):
        network.add("bbb")
    with pytest.raises(ValueError, match="'a' is in this network already"):
        adapted(domains=["a", "a"])
    with pytest.raises(ValueError, match="'c': not in this network"):
        network.add("d", like="c")
    assert network.domains == ["wesnoth", "bbb"]


@pytest.mark.parametrize("name", ["a.b", "", "../x", "a/b", "-a", "a b", "a\n", "@a", "é", 3, None])
def test_names_that_no_file_or_key_should_have(name) -> None:
    with pytest.raises(ValueError, match=r"letters, digits, - and _"):
        adapted(domains=[name])


@pytest.mark.parametrize("name", ["pop", "values", "train", "keys", "forward", "2nd", "a-b_c"])
def test_names_of_methods_are_names(name: str) -> None:
    network = adapted(domains=["a", name])
    assert network.domains == ["a", name]
    again = adapted(domains=["a", name], learnt=False)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.train()(photos(), name), network(photos(), name))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "paralel"}, "kind=paralel.*did you mean 'parallel'"),
        ({"where": "everywhere"}, "where=everywhere: use one of residual, inner, all"),
        (
            {"where": "residual"},
            "where=residual: EdgeDiscriminator has no 3x3 convolution there; try where=all",
        ),
        ({"where": "all", "own": ["lats"]}, "own=lats: EdgeDiscriminator has no such module"),
        ({"where": "all", "kind": "low_rank", "rank": 0}, "rank=0: a whole number, 1 or more"),
    ],
)
def test_settings_that_cannot_be(settings, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Adapted(trunk=EdgeDiscriminator(width=4), domains=["a"], **settings)


def test_spectral_norm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"AnimeDiscriminator: body\.\d+ is spectrally normalised"):
        Adapted(trunk=AnimeDiscriminator(norm="instance", width=4), domains=["a"], where="all")


# States ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_independent(kind: str) -> None:
    network = adapted(kind)
    twin = copy.deepcopy(network)
    before = network(photos(), "a")
    assert torch.equal(twin(photos(), "a"), before)
    for parameter in twin.parameters():
        parameter.data += 1
    assert torch.equal(network(photos(), "a"), before)
    twin.add("c")
    assert network.domains == ["a", "b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_comes_back(kind: str) -> None:
    network = adapted(kind)
    again = adapted(kind, learnt=False)
    for parameter in again.parameters():
        parameter.data.fill_(7.0)
    state = dict(network.state_dict())  # plain, as a checkpoint gives it
    again.load_state_dict(state, strict=True)
    for domain in ("a", "b"):
        assert torch.equal(again(photos(), domain), network(photos(), domain))
        assert torch.equal(again.fold(domain)(photos()), network(photos(), domain))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*@b"):
        adapted(kind, domains=["a"]).load_state_dict(state)


def test_a_state_with_statistics_comes_back_from_a_checkpoint() -> None:
    network, again = (Adapted(trunk=Normed(), domains=["a", "b"], where="all") for _ in range(2))
    network(photos(), "a")
    again.load_state_dict(dict(network.state_dict()), strict=True)
    assert torch.equal(again.eval()(photos(), "a"), network.eval()(photos(), "a"))
    holder = nn.ModuleDict({"generator": again})
    holder.load_state_dict({f"generator.{k}": v for k, v in network.state_dict().items()})
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict({k: v for k, v in network.state_dict().items() if "running_mean" not in k})


def test_to_moves_and_casts_all_of_it() -> None:
    network = adapted("series").to(torch.float64)
    network.add("c")
    assert network(photos().double(), "c").dtype == torch.float64
    assert network.to("meta")(photos().double().to("meta"), "a").is_meta


def test_bf16_autocast_runs_forward_and_back() -> None:
    network = adapted("low_rank")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        painted = network(photos(), "a")
        painted.float().square().mean().backward()
    assert painted.dtype == torch.bfloat16
    torch.testing.assert_close(painted.float(), network(photos(), "a"), rtol=0, atol=0.1)
    assert all(p.grad.isfinite().all() for p in network.style("a").parameters())


def test_the_trunks_hash_is_of_its_weights_and_not_of_styles() -> None:
    network = adapted()
    before = network.trunk_hash()
    assert len(before) == 64
    assert adapted(domains=["x"], kind="low_rank", learnt=False).trunk_hash() == before
    for parameter in network.styles.parameters():
        parameter.data += 1
    network.add("c")
    assert network.trunk_hash() == before
    network.trunk.get_parameter("encoder.0.weight").data[0, 0, 0, 0] += 1e-6
    assert network.trunk_hash() != before
    assert adapted().to(torch.bfloat16).trunk_hash() != before


def test_the_trunks_hash_is_the_same_everywhere() -> None:
    network = Adapted(trunk=nn.Sequential(nn.Conv2d(1, 1, 3, bias=False)), domains=[], where="all")
    network.trunk[0].weight.data = torch.arange(9.0).reshape(1, 1, 3, 3) / 8
    network.trunk[0].weight.data[0, 0, 0, 0] = -0.0  # which an EMA of a frozen trunk turns into 0
    written = (
        b"0.weight" + b"torch.float32" + b"(1, 1, 3, 3)" + struct.pack("<9f", *(i / 8 for i in range(9)))
    )
    assert network.trunk_hash() == hashlib.sha256(written).hexdigest()


# Styles from elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_installed_style_paints_as_where_it_came_from(kind: str) -> None:
    source, target = adapted(kind), adapted(kind, domains=[])
    target.install("new", source.style("b").tensors())
    assert torch.equal(target(photos(), "new"), source(photos(), "b"))
    source.style("b").requires_grad_(False).get_parameter("encoder/1/bias").fill_(9.0)
    assert target.style("new").get_parameter("encoder/1/bias").max() < 9  # a copy
    target.install("mixed", source.mix({"a": 0.5, "b": 0.5}))
    torch.testing.assert_close(target(photos(), "mixed"), source.fold({"a": 0.5, "b": 0.5})(photos()))


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("parallel", lambda t: t.pop("encoder.1.weight"), r"1 tensors are missing, encoder\.1\.weight first"),
        ("parallel", lambda t: t.update({"encoder.1.weight": torch.zeros(5)}), "encoder.1.weight is 5; .* 4"),
        ("parallel", lambda t: t.update({"x.adapter": torch.zeros(4, 4)}), "x.adapter has no place"),
        ("parallel", lambda t: t.update({"encoder.0.adapter": torch.zeros(4, 3)}), "has no place"),
        ("parallel", lambda t: t.update({f"{SITE}.weight": torch.zeros(4, 3)}), "has no place"),
        ("parallel", lambda t: t.update({f"{SITE}.adapter": torch.zeros(4, 3)}), "4x3; this trunk .* 16x16"),
        ("low_rank", lambda t: t.pop(f"{SITE}.down"), "up is one of two matrices"),
        ("low_rank", lambda t: t.pop(f"{SITE}.up"), "down is one of two"),
        ("low_rank", lambda t: t.update({f"{SITE}.up": torch.zeros(16, 2)}), "16x2; this trunk wants 16x3"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(kind: str, change, words: str) -> None:
    network = adapted(kind)
    tensors = network.style("a").tensors()
    change(tensors)
    with pytest.raises(ValueError, match=words):
        network.install("c", tensors)
    assert network.domains == ["a", "b"]
