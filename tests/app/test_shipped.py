"""Networks that come with toonlab: small, with a card, and painting where none is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from skimage import data

from commands import Cli
from toonlab import images as im
from toonlab.app import painter
from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.voting.entrants import entrants, loading
from toonlab.cards import CARD, read_card
from toonlab.engine.bundle import SAYS, WEIGHTS
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.metrics.content import edge_f1, edges
from toonlab.shipped import DEFAULT, FOLDER, shipped

NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def test_the_default_is_among_them() -> None:
    assert DEFAULT in shipped()
    assert sorted(shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_tells_whose_pictures_it_saw(name: str) -> None:
    files = {path.name: path for path in (FOLDER / name).iterdir()}
    assert set(files) == {SAYS, WEIGHTS, CARD, "README.md"}
    assert sum(path.stat().st_size for path in files.values()) <= 3 * 2**20  # halves, or 6 MB in fp32
    said = files["README.md"].read_text(encoding="utf-8")
    for word in ("CC-BY", "David Revoy", "Recipe", "Scores", "Fails"):
        assert word in said, word
    assert "/tmp/" not in files[SAYS].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_its_recipe_and_its_evaluation_compose(name: str) -> None:
    card = read_card(FOLDER / name / CARD)
    assert card.name == name
    assert {"kid_effnetlite0", "content_effnetlite0"} <= set(card.scores)
    assert all(0 < each.tolerance < abs(each.value) for each in card.scores.values())
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        trained = compose("train", [*card.recipe, "pictures=DIR"])
        compose("eval", ["ckpt=RUN", "data=unpaired", *card.evaluation])
    # Weights that have been changed without their card, or a recipe without its weights, differ here.
    loaded = load_generator(FOLDER / name)
    assert loaded.iteration == trained.iterations
    assert loaded.painting.get("quality", "full") == trained.method.quality
    assert loaded.config["method"]["generator"] == OmegaConf.to_container(trained.method.generator)


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_the_same_picture_in_other_colours(name: str) -> None:
    network = load_generator(FOLDER / name).generator.eval()
    photo = im.to_tensor(Image.fromarray(data.astronaut()[:256, 96:352]))[None]
    with torch.inference_mode():
        cartoon = network(photo).clamp(-1, 1)
    options = {"thresholds": (100, 200), "tolerance": 2}
    assert edge_f1(edges(cartoon, **options), edges(photo, **options)).item() > 0.6
    change = (cartoon - photo).abs().mean().item()
    assert 0.05 < change < 0.5
    # No checkerboard: neighbouring pixels of a flat photo differ by less than a grey level.
    flat = torch.full((1, 3, 64, 64), 0.2)
    with torch.inference_mode():
        painted = network(flat).clamp(-1, 1)[..., 16:-16, 16:-16]
    assert painted.flatten(2).std(dim=2).max() < 2 / 255


def test_it_competes_by_its_name_or_its_folder() -> None:
    by_name, by_folder = entrants({"ours": DEFAULT, "again": str(FOLDER / DEFAULT)})
    assert by_name.sha256 == by_folder.sha256
    (alone, _) = entrants([DEFAULT, "photo"])
    assert alone.name == DEFAULT
    load = loading(alone, "runtime=torch")
    assert load is not None
    assert sum(p.numel() for p in load().generator.parameters()) == 1_467_075


def test_a_toonlab_without_networks_says_so(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "shipped", dict)
    with pytest.raises(UsageError, match=r"ckpt=… is required.*method=flow"):
        painter.settle_network(composed("input=photo.jpg", config="stylize"))


def test_a_photo_and_nothing_else_is_enough(cli: Cli, tmp_path: Path) -> None:
    Image.fromarray(data.coffee()[:120, 200:360]).save(tmp_path / "photo.jpg", quality=95)
    result = cli("stylize", "input=photo.jpg")
    assert result.returncode == 0, result.stderr
    assert f"painting with {DEFAULT}, which comes with toonlab" in result.stderr
    photo, cartoon = (
        np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("photo.jpg", "photo-cartoon.jpg")
    )
    assert cartoon.shape == photo.shape
    assert np.abs(cartoon.astype(int) - photo).mean() > 4
    similar = cv2.matchTemplate(
        cv2.cvtColor(cartoon, cv2.COLOR_RGB2GRAY),
        cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY),
        cv2.TM_CCOEFF_NORMED,
    )
    assert similar.item() > 0.8
