"""Published weights become checkpoints that paint and can be scored."""

import hashlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

import peer_networks as peers
from commands import PROJECT, Cli
from toonlab import images
from toonlab.app import evaluate, import_weights, stylize
from toonlab.app.cli import register_resolvers
from toonlab.engine.checkpoint import load_generator, read
from toonlab.errors import UsageError
from toonlab.representations.surface import guided_filter


def whitebox(path: Path) -> Path:
    np.savez(path, **{k: v.numpy() for k, v in peers.drawn(peers.whitebox_shapes(4, 1)).items()})
    return path


def run(*arguments: object, task: ModuleType = import_weights, config: str = "import_weights") -> None:
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        task.run(compose(config, [str(a) for a in arguments]))


def test_the_command_writes_a_checkpoint_with_its_origin(cli: Cli, tmp_path: Path) -> None:
    weights = whitebox(tmp_path / "published.npz")
    result = cli("import_weights", "weights=published.npz", "output=peer")
    assert result.returncode == 0, result.stderr
    for words in (
        "whitebox, fed with BGR: UNet with",
        "licence of the weights: CC BY-NC-SA 4.0",
        "ckpt=peer",
    ):
        assert words in result.stderr
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    origin = {"file": "published.npz", "sha256": digest, "kind": "whitebox", "channels": "bgr"}
    assert load_generator(tmp_path / "peer").origin == {**origin, "licence": "CC BY-NC-SA 4.0"}


def test_imported_weights_paint_as_published_and_are_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOONLAB_OUTPUTS", str(tmp_path / "outputs"))
    caplog.set_level("INFO")
    register_resolvers()
    peer, photos, cartoons = tmp_path / "peer", tmp_path / "photos", tmp_path / "cartoons"
    run(f"weights={whitebox(tmp_path / 'w.npz')}", f"output={peer}")
    rng = np.random.default_rng(0)
    for folder in (photos, cartoons):
        folder.mkdir()
        for i in range(8):
            small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            small.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    caplog.clear()
    painted = ["input=" + str(photos), "output=" + str(tmp_path / "painted"), "device=cpu"]
    run(f"ckpt={peer}", *painted, task=stylize, config="stylize")
    assert caplog.text.count("weights of w.npz (whitebox, sha256") == 1
    assert caplog.text.count("licence: CC BY-NC-SA 4.0") == 1

    # The published inference, filter included, computed apart from our networks.
    arrays = {name: value.float() for name, value in peers.drawn(peers.whitebox_shapes(4, 1)).items()}
    with Image.open(photos / "3.png") as picture:
        photo = images.to_tensor(picture)[None]
    wanted = guided_filter(photo, peers.whitebox(photo.flip(1), arrays).flip(1), 1, 5e-3)
    with Image.open(tmp_path / "painted" / "3.png") as picture:
        assert (images.to_tensor(picture)[None] - wanted.clamp(-1, 1)).abs().max() < 1.2 / 127.5

    folders = ["data=unpaired", f"photos={photos}", f"cartoons={cartoons}", "data.size=48", "data.workers=0"]
    run(f"ckpt={peer}", *folders, "device=cpu", task=evaluate, config="eval")
    (report,) = (peer / "eval").glob("*/report.json")
    assert json.loads(report.read_text())["scores"]
    with pytest.raises(UsageError, match="imported and exported weights have no data: add data=unpaired"):
        run(f"ckpt={peer}", task=evaluate, config="eval")


def test_a_file_as_output_and_a_licence_of_the_users(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(peers.CycleGAN(4, 6).state_dict(), tmp_path / "latest_net_G.pth")
    path = tmp_path / "folder" / "cycle.ckpt"
    run(f"weights={tmp_path / 'latest_net_G.pth'}", f"output={path}", "licence=ours")
    about = read(path)["toonlab"]
    assert about["origin"]["licence"] == "ours"
    assert about["painting"] == {}
    assert about["iteration"] == 0
    assert [p.name for p in path.parent.iterdir()] == ["cycle.ckpt"]  # no leftovers


@pytest.mark.parametrize("output", ["peer", "peer.ckpt"])
def test_nothing_is_overwritten(tmp_path: Path, output: str) -> None:
    weights, target = whitebox(tmp_path / "w.npz"), tmp_path / output
    run(f"weights={weights}", f"output={target}")
    before = (target if target.is_file() else target / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(UsageError, match=rf"output=.*{output}: is there already"):
        run(f"weights={weights}", f"output={target}")
    assert (target if target.is_file() else target / "checkpoints" / "last.ckpt").read_bytes() == before
    with pytest.raises(UsageError, match=r"output=.*w\.npz/x: lies in or is a file"):
        run(f"weights={weights}", f"output={weights / 'x'}")


def test_a_mistake_names_the_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    arrays = {k: v.numpy() for k, v in peers.drawn(peers.whitebox_shapes(4, 1)).items()}
    del arrays["generator/Conv_9/bias"]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(
        UsageError, match=r"weights=.*w\.npz: kind=whitebox: 1 arrays missing: generator/Conv_9/bias"
    ):
        run(f"weights={tmp_path / 'w.npz'}", f"output={tmp_path / 'peer'}")
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]
