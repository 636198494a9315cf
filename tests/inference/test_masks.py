"""Which mask belongs to which photo, and what is said when none does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toonlab.errors import UsageError
from toonlab.images import BadImageError
from toonlab.inference.masks import Masks


def masks(mask: object, photos: Path, **changes: object) -> Masks:
    arguments = {"photos": photos, "seed": 0, "resize": False, "options": {}}
    return Masks(str(mask), **(arguments | changes))  # type: ignore[arg-type]


def write(path: Path, left: int, size: tuple[int, int] = (8, 6)) -> Path:
    """White from column `left` on."""
    values = np.zeros(size[::-1], np.uint8)
    values[:, left:] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def test_made_up_holes_belong_to_seed_kind_and_name(tmp_path: Path) -> None:
    def drawn(name: str, kind: str = "blocks", folder: Path = tmp_path, **changes: object) -> torch.Tensor:
        return masks(kind, folder, **changes).of(folder / name, 32, 40)

    assert masks("blocks", tmp_path).made_up
    first = drawn("a/b.jpg")
    assert torch.equal(first, drawn("a/b.jpg", folder=tmp_path / "moved"))
    for other in (drawn("a/c.jpg"), drawn("b.jpg"), drawn("a/b.jpg", seed=1), drawn("a/b.jpg", "random")):
        assert not torch.equal(first, other)
    assert float(drawn("x", "random", options={"random_share": 0.9}).mean()) < 0.2


def test_one_mask_for_all_or_each_its_own(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    one = masks(write(tmp_path / "m.png", 3), photos)
    assert not one.made_up
    assert int(one.of(photos / "any.jpg", 6, 8)[0, 0].sum()) == 3
    for name, left in (("a.png", 1), ("sub/a.bmp", 2), ("left over.png", 4)):
        write(tmp_path / "masks" / name, left)
    each = masks(tmp_path / "masks", photos)
    assert int(each.of(photos / "a.jpg", 6, 8)[0, 0].sum()) == 1
    assert int(each.of(photos / "sub/a.webp", 6, 8)[0, 0].sum()) == 2
    assert each.name(photos / "sub/a.webp") == str(tmp_path / "masks/sub/a.bmp")
    assert each.unused([photos / "a.jpg", photos / "sub/a.webp"]) == [tmp_path / "masks/left over.png"]


def test_a_photo_without_its_mask_is_told(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("two.png", "two.bmp", "large.png"):
        write(
            tmp_path / "masks" / name, 8 if name == "large.png" else 1, (16 if name == "large.png" else 8, 6)
        )
    (tmp_path / "masks" / "bad.png").write_text("no image")
    each = masks(tmp_path / "masks", photos)
    with pytest.raises(UsageError, match=r"has no mask for it: expected .*masks/one.png"):
        each.of(photos / "one.jpg", 6, 8)
    with pytest.raises(UsageError, match=r"several masks for it: two.bmp, two.png; keep one"):
        each.of(photos / "two.jpg", 6, 8)
    with pytest.raises(BadImageError, match=r"mask=.*bad.png: not an image"):
        each.of(photos / "bad.jpg", 6, 8)
    with pytest.raises(UsageError, match=r"large.png is 16x6 and its photo 8x6"):
        each.of(photos / "large.jpg", 6, 8)
    assert masks(tmp_path / "masks", photos, resize=True).of(photos / "large.jpg", 6, 8).shape == (1, 6, 8)


def test_no_such_mask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mask=bocks: neither a file nor a folder, .* 'blocks'"):
        masks("bocks", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no image: name a folder with a mask for each"):
        masks(tmp_path / "empty", tmp_path)
