"""Styles leave a checkpoint as packs, folded, or not at all, and paint elsewhere as they did there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from commands import Cli
from styled import NODE, checkpoint, styled
from toonlab import images
from toonlab.app import export, stylize
from toonlab.app.cli import CONF, register_resolvers
from toonlab.engine.checkpoint import load_generator, load_network, read, write_imported
from toonlab.errors import UsageError
from toonlab.networks.adapters import Adapted
from toonlab.networks.resnet import ResnetGenerator

KINDS = ["parallel", "series", "low_rank", "norm"]


def run(*arguments: object, task: ModuleType = export) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        task.run(compose(task.__name__.rpartition(".")[2], [str(a) for a in arguments]))


def photo() -> torch.Tensor:
    return torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "trained.ckpt", styled("a", "b"))


@pytest.fixture
def packs(tmp_path: Path, trained: Path) -> Path:
    run("kind=pack", f"ckpt={trained}", "domain=all", f"output={tmp_path / 'packs'}")
    return tmp_path / "packs"


@pytest.fixture
def trunk(tmp_path: Path, trained: Path) -> Path:
    run("kind=trunk", f"ckpt={trained}", f"output={tmp_path / 'trunk.ckpt'}")
    return tmp_path / "trunk.ckpt"


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., torch.Tensor]:
    """Run stylize on one photo and return what it wrote."""
    images.to_picture(photo()[0]).save(tmp_path / "photo.png")

    def painted(*arguments: object) -> torch.Tensor:
        output = tmp_path / "painted.png"
        output.unlink(missing_ok=True)
        common = f"input={tmp_path / 'photo.png'}", f"output={output}", "device=cpu"
        run(*arguments, *common, task=stylize)
        with Image.open(output) as picture:
            return images.to_tensor(picture)

    return painted


def about(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


# Loading (engine.checkpoint) -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapted_checkpoint_loads_folded(tmp_path: Path, kind: str) -> None:
    network = styled("a", "b", kind=kind)
    path = checkpoint(tmp_path / "x.ckpt", network)
    loaded = load_generator(path, average=False, style="b")
    torch.testing.assert_close(loaded.generator(photo()), network(photo(), "b"), rtol=0, atol=1e-5)
    assert loaded.style == {"b": 1.0}
    assert not any(p.requires_grad for p in loaded.generator.parameters())
    shares = {"a": 0.7, "b": 0.3}
    mixed = load_generator(path, average=False, style=shares)
    torch.testing.assert_close(mixed.generator(photo()), network.fold(shares)(photo()))
    assert mixed.style == shares
    average = load_generator(path, style="b").generator(photo())
    assert (average - network(photo(), "b")).abs().max() > 0.05


def test_the_only_style_needs_no_name(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.ckpt", styled("only"))
    assert load_generator(path).style == {"only": 1.0}


def test_the_network_comes_whole_when_asked_for(trained: Path) -> None:
    network = load_network(trained).generator
    assert isinstance(network, Adapted)
    assert network.domains == ["a", "b"]


@pytest.mark.parametrize(
    ("style", "words"),
    [
        (None, "holds 2 styles, a, b: choose one with style=a, or mix them with 'style={a: 0.5, b: 0.5}'"),
        ("c", r"style=c: domain 'c': not in this network; it holds \['a', 'b'\]"),
        ({"a": 0.7, "b": 0.2}, r"style=\{a: 0.7, b: 0.2\}: shares .* have to add up to 1"),
    ],
)
def test_a_style_that_cannot_be_loaded(trained: Path, style: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_generator(trained, style=style)


def plain(path: Path) -> Path:
    """A checkpoint without adapters, on the trunk of `styled`."""
    torch.manual_seed(0)
    network = ResnetGenerator(width=4, blocks=1)
    for parameter in network.parameters():
        parameter.data *= 5
    origin = {"file": "x.pth", "sha256": "1" * 64, "kind": "cartoongan", "channels": "rgb", "licence": "MIT"}
    config = {"method": {"generator": NODE}}
    write_imported(path, network.state_dict(), painting={}, config=config, origin=origin)
    return path


def test_a_style_of_a_checkpoint_without_styles(tmp_path: Path) -> None:
    path = plain(tmp_path / "plain.ckpt")
    assert load_generator(path).style is None
    with pytest.raises(UsageError, match="style=a: this checkpoint's ResnetGenerator has one style"):
        load_generator(path, style="a")


# Packs -----------------------------------------------------------------------------


def test_the_command_writes_packs_and_says_what_they_cost(cli: Cli, tmp_path: Path) -> None:
    network = styled("a", "b")
    checkpoint(tmp_path / "x.ckpt", network)
    result = cli("export", "kind=pack", "ckpt=x.ckpt", "domain=b", "output=b.safetensors")
    assert result.returncode == 0, result.stderr
    share = f"{100 * network.share('b'):.2f} %"
    assert f"b.safetensors: b, 656 parameters ({share} of the generator), 0.00 MB" in result.stderr
    assert f"trunk with sha256 {network.trunk_hash():.12}" in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_pack_is_the_style_without_the_trunk(tmp_path: Path, kind: str) -> None:
    network = styled("a", "b", kind=kind)
    path, pack = checkpoint(tmp_path / "x.ckpt", network, licence="CC-BY 4.0"), tmp_path / "b.safetensors"
    run("kind=pack", f"ckpt={path}", "domain=b", f"output={pack}", "average=false")
    tensors = load_file(pack)
    wanted = network.style("b").tensors()
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    said = about(pack)
    parameters = sum(p.numel() for p in network.style("b").parameters())
    expected = {"domain": "b", "trunk": network.trunk_hash(), "kind": kind, "parameters": str(parameters)}
    expected |= {"where": "residual", "rank": "2", "network": "ResnetGenerator", "dtype": "float32"}
    expected |= {"licence": "CC-BY 4.0", "iteration": "7", "weights": "last", "method": "adapted_cartoongan"}
    assert said | expected == said
    assert pack.stat().st_mode & 0o777 == path.stat().st_mode & 0o777


def test_the_ema_weights_are_what_is_packed(trained: Path, packs: Path) -> None:
    tensors, wanted = load_file(packs / "a.safetensors"), load_network(trained).generator.style("a").tensors()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert about(packs / "a.safetensors")["weights"] == "EMA"


def test_all_several_and_the_only_one(tmp_path: Path, trained: Path, packs: Path) -> None:
    assert sorted(p.name for p in packs.iterdir()) == ["a.safetensors", "b.safetensors"]
    run("kind=pack", f"ckpt={trained}", "domain=[b]", f"output={tmp_path / 'some'}")
    assert [p.name for p in (tmp_path / "some").iterdir()] == ["b.safetensors"]
    only = checkpoint(tmp_path / "only.ckpt", styled("only"))
    run("kind=pack", f"ckpt={only}", f"output={tmp_path / 'new' / 'folder' / 'x.safetensors'}")
    assert about(tmp_path / "new" / "folder" / "x.safetensors")["domain"] == "only"


def test_half_precision_is_half_the_size_and_nearly_the_style(
    tmp_path: Path, trained: Path, trunk: Path, paint
) -> None:
    pack = tmp_path / "a.safetensors"
    run("kind=pack", f"ckpt={trained}", "domain=a", f"output={pack}", "dtype=float16")
    assert {value.dtype for value in load_file(pack).values()} == {torch.float16}
    wanted = paint(f"ckpt={trained}", "style=a")
    assert (paint(f"ckpt={trunk}", f"packs={pack}") - wanted).abs().max() <= 2.01 / 127.5


def test_numbers_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    network = styled("a")
    network.style("a").get_parameter("encoder/1/weight").data[0] = 1e5
    path = checkpoint(tmp_path / "x.ckpt", network)
    with pytest.raises(UsageError, match=r"dtype=float16: a: encoder.1.weight holds numbers .*use float32"):
        run("kind=pack", f"ckpt={path}", f"output={tmp_path / 'a.safetensors'}", "dtype=float16")
    assert not (tmp_path / "a.safetensors").exists()


def test_nothing_is_overwritten_unless_asked_and_nothing_half_written(
    tmp_path: Path, trained: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packs / "a.safetensors").unlink()
    before = (packs / "b.safetensors").read_bytes()
    with pytest.raises(UsageError, match=r"b.safetensors: is there already"):
        run("kind=pack", f"ckpt={trained}", "domain=all", f"output={packs}")
    assert [p.name for p in packs.iterdir()] == ["b.safetensors"]  # not even the first
    run("kind=pack", f"ckpt={trained}", "domain=all", f"output={packs}", "overwrite=true")
    assert load_file(packs / "b.safetensors").keys()

    def full(self: Path, data: bytes) -> int:
        self.open("wb").write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"output=.*: cannot be written \(No space left on device\)"):
        run("kind=pack", f"ckpt={trained}", "domain=b", f"output={packs / 'b.safetensors'}", "overwrite=true")
    assert len((packs / "b.safetensors").read_bytes()) == len(before)
    assert sorted(p.name for p in packs.iterdir()) == ["a.safetensors", "b.safetensors"]  # no leftovers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kind=packs"], r"kind=packs: use one of .*, pack, .*did you mean 'pack'"),
        (["kind=pack"], "domain=NAME is required; the checkpoint holds a, b"),
        (["kind=pack", "domain=bb"], "domain=bb: not in the checkpoint .did you mean .b.*it holds a, b"),
        (["kind=pack", "domain=a", "style=a"], "style=….*: kind=pack takes domain, dtype instead"),
        (["kind=pack", "domain=all"], "several styles go into a folder"),
        (["kind=pack", "domain={a: 1}"], "a pack is of one style"),
        (["kind=pack", "domain=a", "dtype=int8"], "dtype=int8: use one of float32, float16"),
        (["kind=pack", "domain=a", "output=x.pt"], "output=x.pt: kind=pack writes a file.*in .safetensors"),
        (["kind=folded", "style=a", "domain=a", "output=x.ckpt"], "are the same here"),
        (["kind=folded", "output=x.ckpt"], "holds 2 styles, a, b"),
        (["kind=folded", "style=[a,b]", "output=x.ckpt"], "one name, or shares"),
        (["kind=folded", "style=a", "output=folder"], "ends in .ckpt"),
        (["kind=folded", "style=a", "dtype=float16", "output=x.ckpt"], "dtype=….*: kind=folded takes"),
        (["kind=folded", "style=a", "output=TRAINED", "overwrite=true"], "is the checkpoint itself"),
        (["kind=folded", "style=a", "output=TRAINED/x.ckpt"], "lies in a file"),
        (["kind=trunk", "domain=c", "output=x.ckpt"], "domain=c: domain 'c': not in this network"),
        (["kind=trunk", "ckpt=PLAIN", "output=x.ckpt"], "a ResnetGenerator; train one with method=adapted"),
        (["kind=folded", "ckpt=PLAIN", "output=x.ckpt"], "has no adapters to fold"),
        (["kind=trunk", "ckpt=nowhere", "output=x.ckpt"], "ckpt=nowhere: no such file"),
    ],
)
def test_mistakes_get_one_line_and_no_file(
    tmp_path: Path, trained: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "ckpt=PLAIN" in arguments:
        plain(tmp_path / "plain.ckpt")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    given = [a.replace("TRAINED", str(trained)).replace("PLAIN", "plain.ckpt") for a in arguments]
    names = {a.partition("=")[0] for a in given}
    given += [a for a in (f"ckpt={trained}", "output=x.safetensors") if a.partition("=")[0] not in names]
    with pytest.raises(UsageError, match=words) as error:
        run(*given)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# Packs in use ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_packs_on_a_trunk_paint_as_the_checkpoint_and_as_its_folds(tmp_path: Path, kind: str, paint) -> None:
    path = checkpoint(tmp_path / "x.ckpt", styled("a", "b", kind=kind))
    run("kind=pack", f"ckpt={path}", "domain=all", f"output={tmp_path / 'packs'}")
    run("kind=trunk", f"ckpt={path}", f"output={tmp_path / 'trunk.ckpt'}")
    assert load_network(tmp_path / "trunk.ckpt").generator.domains == []
    for i, style in enumerate(("style=b", "style={a: 0.7, b: 0.3}")):
        wanted = paint(f"ckpt={path}", style)
        assert torch.equal(
            paint(f"ckpt={tmp_path / 'trunk.ckpt'}", f"packs={tmp_path / 'packs'}", style), wanted
        )
        folded = tmp_path / f"folded{i}.ckpt"
        run("kind=folded", f"ckpt={path}", style, f"output={folded}")
        assert torch.equal(paint(f"ckpt={folded}"), wanted)
    assert not torch.equal(paint(f"ckpt={path}", "style=a"), wanted)


def test_a_pack_beside_the_checkpoints_own_styles(tmp_path: Path, trained: Path, packs: Path, paint) -> None:
    wanted = paint(f"ckpt={trained}", "style={a: 0.7, b: 0.3}")
    one = tmp_path / "one.ckpt"
    run("kind=trunk", f"ckpt={trained}", "domain=a", f"output={one}")
    mixed = paint(f"ckpt={one}", f"packs=[{packs / 'b.safetensors'}]", "style={a: 0.7, b: 0.3}")
    assert torch.equal(mixed, wanted)
    assert torch.equal(paint(f"ckpt={one}"), paint(f"ckpt={trained}", "style=a"))


@given(share=st.floats(0, 1))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pack_mixed_with_itself_paints_as_itself(trunk: Path, packs: Path, paint, share: float) -> None:
    twice = f"packs={{x: {packs / 'b.safetensors'}, y: {packs / 'b.safetensors'}}}"
    mixed = paint(f"ckpt={trunk}", twice, f"style={{x: {share}, y: {1 - share}}}")
    assert torch.equal(mixed, paint(f"ckpt={trunk}", f"packs={packs / 'b.safetensors'}"))


def test_a_name_that_both_have(tmp_path: Path, trained: Path, packs: Path, paint) -> None:
    wanted = paint(f"ckpt={trained}", "style=a")
    assert torch.equal(paint(f"ckpt={trained}", f"packs={packs}", "style=a"), wanted)  # identical
    other = checkpoint(tmp_path / "other.ckpt", styled("a", kind="low_rank"))
    run("kind=pack", f"ckpt={other}", f"output={tmp_path / 'a.safetensors'}")
    with pytest.raises(
        UsageError, match=r"another style that is called a too.*'packs=\{a2: .*a.safetensors\}'"
    ):
        paint(f"ckpt={trained}", f"packs={tmp_path / 'a.safetensors'}", "style=a")
    assert torch.equal(
        paint(f"ckpt={trained}", f"packs={{a2: {tmp_path / 'a.safetensors'}}}", "style=a2"),
        paint(f"ckpt={other}"),
    )
    with pytest.raises(UsageError, match=r"both hold a style called a; name them, 'packs=\{a: .*, a2: "):
        paint(
            f"ckpt={trained}", f"packs=[{packs / 'a.safetensors'}, {tmp_path / 'a.safetensors'}]", "style=a"
        )


def test_a_plain_checkpoint_takes_packs_that_were_made_on_it(tmp_path: Path, packs: Path, paint) -> None:
    path = plain(tmp_path / "plain.ckpt")
    wanted = paint(f"ckpt={path}")
    pack = f"packs={packs / 'b.safetensors'}"
    assert torch.equal(paint(f"ckpt={path}", pack, "style=base"), wanted)
    torch.testing.assert_close(
        paint(f"ckpt={path}", pack, "style=b"), paint(f"ckpt={tmp_path / 'trained.ckpt'}", "style=b")
    )
    with pytest.raises(UsageError, match="holds 2 styles, base, b"):
        paint(f"ckpt={path}", pack)


def test_a_pack_for_another_trunk_says_both_hashes(tmp_path: Path, packs: Path, paint) -> None:
    other = styled("c", seed=1)
    path = checkpoint(tmp_path / "other.ckpt", other)
    wanted = about(packs / "b.safetensors")["trunk"]
    with pytest.raises(UsageError, match="b is for a trunk with sha256") as error:
        paint(f"ckpt={path}", f"packs={packs / 'b.safetensors'}", "style=b")
    assert wanted[:12] in str(error.value)
    assert other.trunk_hash()[:12] in str(error.value)
    assert wanted[:12] != other.trunk_hash()[:12]


def tamper(path: Path, how: str) -> None:
    """Spoil a file in one of the ways in which files are spoilt."""
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-100])
    elif how == "header":
        path.write_bytes(content[:50])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("hello, this is no pack at all")
    elif how == "one bit":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "foreign":
        save_file({"x": torch.zeros(3)}, path)
    else:
        said, tensors = about(path), load_file(path)
        said |= {"trunk": {"trunk": "0" * 64}, "newer": {"version": "2"}, "none": {"version": "?"}}[how]
        save_file(tensors, path, said)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "not a safetensors file, or a damaged one"),
        ("header", "not a safetensors file, or a damaged one"),
        ("empty", "not a safetensors file, or a damaged one"),
        ("text", "not a safetensors file, or a damaged one"),
        ("one bit", "was changed after it was written"),
        ("trunk", "was changed after it was written"),
        ("foreign", "not a style pack; src/export.py kind=pack writes them"),
        ("newer", "written by a newer toonlab"),
        ("none", "written by a newer toonlab"),
    ],
)
def test_a_file_that_is_no_good_pack(trained: Path, packs: Path, paint, how: str, words: str) -> None:
    tamper(packs / "b.safetensors", how)
    with pytest.raises(UsageError, match=rf"packs=.*b.safetensors: {words}") as error:
        paint(f"ckpt={trained}", f"packs={packs}", "style=a")
    assert "\n" not in str(error.value)


def test_packs_that_are_not_there(tmp_path: Path, trained: Path, paint) -> None:
    with pytest.raises(UsageError, match=r"packs=nowhere.safetensors: no such file"):
        paint(f"ckpt={trained}", "packs=nowhere.safetensors", "style=a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"packs=.*empty: no .safetensors file"):
        paint(f"ckpt={trained}", f"packs={tmp_path / 'empty'}", "style=a")


def test_a_trunk_alone_asks_for_packs(trunk: Path, paint) -> None:
    with pytest.raises(UsageError, match="a trunk without a style: give packs=FILE as well"):
        paint(f"ckpt={trunk}")


def test_what_needs_no_checkpoint_has_no_styles(paint) -> None:
    for setting in ("style=a", "packs=x.safetensors"):
        with pytest.raises(UsageError, match=r"style=… and packs=… are for checkpoints"):
            paint("method=flow", setting)


# Folded checkpoints --------------------------------------------------------------------


def test_a_folded_checkpoint_is_a_plain_one(tmp_path: Path, trained: Path, caplog) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "folded.ckpt"
    run("kind=folded", f"ckpt={trained}", "domain=a", f"output={path}", "licence=CC0")
    about = read(path)["toonlab"]
    assert about["config"]["method"]["generator"] == NODE
    assert about["iteration"] == 7
    assert about["origin"]["kind"] == "style a"
    assert about["origin"]["licence"] == "CC0"
    loaded = load_generator(path)
    assert type(loaded.generator) is ResnetGenerator
    assert loaded.style is None
    assert "a as a ResnetGenerator with" in caplog.text
    wanted = load_network(trained).generator(photo(), "a")
    torch.testing.assert_close(loaded.generator(photo()), wanted, rtol=0, atol=1e-5)


def test_a_folded_series_style_is_a_checkpoint_of_that_style(tmp_path: Path) -> None:
    path, network = checkpoint(tmp_path / "x.ckpt", styled("a", "b", kind="series")), None
    run("kind=folded", f"ckpt={path}", "style={a: 0.5, b: 0.5}", f"output={tmp_path / 'mixed.ckpt'}")
    shutil.move(path, tmp_path / "gone.ckpt")
    network = load_network(tmp_path / "mixed.ckpt").generator
    assert network.domains == ["a-b"]
    wanted = load_generator(tmp_path / "gone.ckpt", style={"a": 0.5, "b": 0.5}).generator(photo())
    torch.testing.assert_close(load_generator(tmp_path / "mixed.ckpt").generator(photo()), wanted)


def test_packs_fold_into_a_plain_checkpoint(tmp_path: Path, trained: Path, trunk: Path, packs: Path) -> None:
    path, style = tmp_path / "mixed.ckpt", "style={a: 0.7, b: 0.3}"
    run("kind=folded", f"ckpt={trunk}", f"packs={packs}", style, f"output={path}")
    wanted = load_generator(trained, style={"a": 0.7, "b": 0.3}).generator.state_dict()
    state = load_generator(path).generator.state_dict()
    assert all(torch.equal(state[name], value) for name, value in wanted.items())


def test_a_folded_checkpoint_can_be_scored(tmp_path: Path, trained: Path, monkeypatch) -> None:
    from toonlab.app import evaluate

    monkeypatch.setenv("TOONLAB_OUTPUTS", str(tmp_path / "outputs"))
    data = ["data=synthetic", "data.size=32", "data.workers=0", "device=cpu", "data.count=20"]
    run("kind=folded", f"ckpt={trained}", "style=a", f"output={tmp_path / 'folded.ckpt'}")
    scores = []
    for name, which in {
        "folded": [f"ckpt={tmp_path / 'folded.ckpt'}"],
        "whole": [f"ckpt={trained}", "style=a"],
    }.items():
        register_resolvers()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            evaluate.run(compose("eval", [*data, *which, f"output={tmp_path / name}"]))
        scores.append(json.loads((tmp_path / name / "report.json").read_text())["scores"])
    assert scores[0] == scores[1]
