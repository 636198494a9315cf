"""What differs, from command lines and from configs."""

from pathlib import Path

from reported import run_folder
from toonlab.reports.record import read_run
from toonlab.reports.summary import Summary
from toonlab.reports.swept import swept


def test_command_lines(tmp_path: Path) -> None:
    same = ["iterations=60", "hydra.launcher.x=1"]
    one = run_folder(
        tmp_path, "0", "method.weights.tv=0.1", "++method.optimizer.lr=1e-3", "outputs_dir=a", *same
    )
    two = run_folder(
        tmp_path, "1", "method.weights.tv=0.2", "method.optimizer.lr=1e10", "outputs_dir=b", *same
    )
    found = swept([read_run(one), read_run(two)])
    assert found == {"method.weights.tv": [0.1, 0.2], "method.optimizer.lr": [0.001, 1e10]}


def test_who_was_not_told_has_the_default(tmp_path: Path) -> None:
    plain = run_folder(tmp_path, "0", seed=7, method={"weights": {"tv": 0.5}})
    told = run_folder(tmp_path, "1", "seed=3", "method=cartoongan", "method.weights.tv=2", "+new=x")
    found = swept([read_run(plain), read_run(told)])
    assert found == {
        "seed": [7, 3],
        "method": ["whitebox", "cartoongan"],
        "method.weights.tv": [0.5, 2],
        "new": [None, "x"],
    }


def test_configs_where_the_command_lines_agree(tmp_path: Path) -> None:
    white = {"_target_": "toonlab.methods.whitebox.WhiteBox", "weights": {"tv": 1}}
    gan = {"_target_": "toonlab.methods.cartoongan.CartoonGAN", "weights": {"adversarial": 1}}
    runs = [
        read_run(run_folder(tmp_path, "0", method=white, size=64, cache_dir="a")),
        read_run(run_folder(tmp_path, "1", method=gan, size=128, cache_dir="b")),
    ]
    assert swept(runs) == {"method": ["WhiteBox", "CartoonGAN"], "size": [64, 128]}
    assert swept(runs[:1]) == {}


def test_a_config_that_cannot_be_read_makes_no_difference_and_is_named(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path, str(i), size=size) for i, size in enumerate((64, 128, 64))]
    (folders[2] / "config.yaml").write_text("a: [1")
    runs = [read_run(folder) for folder in folders]
    assert swept(runs) == {"size": [64, 128, None]}
    told = Summary("s", runs, [None] * 3, [""] * 3).warnings
    assert told == [f"Cannot be read: {folders[2] / 'config.yaml'}."]
