"""Settings of `stylize.py` beyond what is painted: formats, workers, precision, fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image
from torch import nn

from commands import Cli
from toonlab.app.painter import stylizer
from toonlab.app.painting import check_counts, encoding, painting_settings
from toonlab.app.precision import is_native
from toonlab.engine.checkpoint import Loaded
from toonlab.errors import UsageError
from toonlab.inference.broad import Broad
from toonlab.inference.fast import Fast


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    ramp = np.linspace(0, 255, 60 * 41 * 3).reshape(41, 60, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "in" / "a.png")
    frames = [Image.fromarray(np.roll(ramp, 9 * i, 1)) for i in range(3)]
    first, *others = frames
    first.save(tmp_path / "in" / "moving.gif", save_all=True, append_images=others, duration=80, loop=0)
    return tmp_path / "in"


@pytest.mark.slow  # most of the 30 s of processor of this file, on a busy machine
def test_one_command_with_every_setting(cli: Cli, tmp_path: Path, photos: Path) -> None:
    result = cli(
        *("stylize", "method=flow", "input=in", "output=out", "format=webp", "file_quality=60"),
        *("keep_color=0.5", "quality=fast", "fast.side=32", "workers=2", "batch=2"),
    )
    assert result.returncode == 0, result.stderr
    assert "2 painted, 0 failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.webp", "moving.webp"]
    with Image.open(tmp_path / "out" / "moving.webp") as moving:
        assert moving.n_frames == 3
        assert moving.size == (60, 41)


def test_a_mistake_is_one_line_and_paints_nothing(cli: Cli, tmp_path: Path, photos: Path) -> None:
    result = cli("stylize", "method=flow", "input=in", "output=out", "quality=best")
    assert result.returncode == 2
    assert "quality=best: use one of auto, full, fast, broad" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("workers=-1", "workers=-1: a whole number, 0 or more"),
        ("batch=0", "batch=0: a whole number, 1 or more"),
        ("precision=fp12", "precision=fp12: use one of fp32"),
        ("fast.radius=0", r"fast.radius=0 \(1 or more\)"),
        ("bits=12", "bits=12: use one of auto"),
    ],
)
def test_mistakes_name_key_and_remedy(composed: Callable[..., DictConfig], setting: str, words: str) -> None:
    given = ("method=flow", "input=in", "output=out", "quality=fast", setting)
    cfg = composed(*given, config="stylize")

    def taken() -> None:
        check_counts(cfg)
        encoding(cfg)
        painting_settings(cfg, torch.device("cpu"))

    with pytest.raises(UsageError, match=words):
        taken()


@pytest.mark.skipif(is_native("bf16"), reason="this CPU computes in bf16")
def test_bf16_on_a_processor_without_it_is_refused(composed: Callable[..., DictConfig]) -> None:
    cfg = composed("method=flow", "input=in", "output=out", "precision=bf16", config="stylize")
    with pytest.raises(UsageError, match="precision=bf16: this CPU has no such arithmetic"):
        painting_settings(cfg, torch.device("cpu"))


def test_settings_reach_the_painting(composed: Callable[..., DictConfig]) -> None:
    words = ("keep_color=0.5", "quality=fast", "fast.side=32", "file_quality=60", "tiles=sampled")
    cfg = composed("method=flow", "input=in", "output=out", *words, config="stylize")
    settings = painting_settings(cfg, torch.device("cpu"))
    drawn = stylizer(Loaded(nn.Identity(), {}, {}, 0), device=torch.device("cpu"), tile=None, **settings)
    assert drawn.small == Fast(side=32)  # the others as in conf/stylize.yaml
    assert (settings["keep_color"], settings["tiles"]) == (0.5, "sampled")
    assert encoding(cfg).file_quality == 60
    cfg = composed("method=flow", "input=in", "output=out", config="stylize")
    settings = painting_settings(cfg, torch.device("cpu"))
    for wish, small in (({}, None), ({"quality": "broad"}, Broad())):
        loaded = Loaded(nn.Identity(), wish, {}, 0)
        assert stylizer(loaded, device=torch.device("cpu"), tile=None, **settings).small == small
        told = settings | {"quality": "full"}
        assert stylizer(loaded, device=torch.device("cpu"), tile=None, **told).small is None
