from __future__ import annotations

from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from toonlab.data.modules import SyntheticData, UnpairedData
from toonlab.data.streamed import StreamedData, spaced
from toonlab.errors import UsageError
from toonlab.representations.edges import EdgeSmooth

COMMON: dict[str, Any] = {
    "size": 16,
    "batch_size": 3,
    "eval_batch_size": 4,
    "workers": 0,
    "seed": 0,
    "zoom": (1.0, 1.5),
    "flip": 0.5,
}
FRACTIONS = {"val_fraction": 0.2, "test_fraction": 0.2}


def synthetic(**changes: Any) -> SyntheticData:
    return SyntheticData(**{**COMMON, "count": 10, **changes})


def attach(data: StreamedData, *, consumed: int = 0, rank: int = 0, world: int = 1) -> None:
    module = SimpleNamespace(batches_consumed=consumed)
    data.trainer = SimpleNamespace(lightning_module=module, global_rank=rank, world_size=world)  # type: ignore[assignment]


def batches(data: StreamedData, n: int) -> list[dict[str, torch.Tensor]]:
    return list(islice(data.train_dataloader(), n))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """10 photos and 5 cartoons, each flat in its own level, the order of names that of levels."""
    for folder, count in (("photos", 10), ("cartoons", 5), ("held", 6)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            Image.new("RGB", (20, 24), (10 * i,) * 3).save(tmp_path / folder / f"{i}.png")
    return tmp_path


def unpaired(root: Path, **changes: Any) -> UnpairedData:
    given = {"photos": str(root / "photos"), "cartoons": str(root / "cartoons")}
    return UnpairedData(**{**COMMON, **FRACTIONS, **given, **changes})


def levels(loader: Any, domain: str) -> list[int]:
    return [round((x[0, 0, 0].item() + 1) * 12.75) for batch in loader for x in batch[domain]]


def test_a_resumed_run_goes_on_with_the_next_batch_whatever_the_workers() -> None:
    extras = {"derived": {"blurred": EdgeSmooth()}, "extras": ["blurred"]}
    whole = batches(synthetic(**extras), 7)
    assert whole[0].keys() == {"photo", "cartoon", "blurred"}
    assert whole[0]["photo"].shape == (3, 3, 16, 16)
    for workers in (0, 2):
        data = synthetic(workers=workers, **extras)
        attach(data, consumed=4)
        assert all(same(a, b) for a, b in zip(batches(data, 3), whole[4:], strict=True))
    assert not same(whole[0], whole[1])


def test_ranks_share_a_batch_without_overlap() -> None:
    whole = batches(synthetic(batch_size=4), 2)
    for rank in (0, 1):
        data = synthetic(batch_size=2)
        attach(data, rank=rank, world=2)
        for mine, of_all in zip(batches(data, 2), whole, strict=True):
            assert torch.equal(mine["photo"], of_all["photo"][2 * rank : 2 * rank + 2])


def test_overfit_repeats_the_first_batch() -> None:
    first, second, third = batches(synthetic(overfit=True), 3)
    assert same(first, second)
    assert same(first, third)
    assert same(first, batches(synthetic(), 1)[0])


def test_loading_leaves_the_global_random_stream_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    data = synthetic()
    batches(data, 2)
    [list(loader) for loader in data.val_dataloader()]
    assert torch.equal(torch.get_rng_state(), before)


def test_scoring_sees_every_image_once_in_order(folders: Path) -> None:
    data = unpaired(folders, split="all")
    photos, cartoons = data.test_dataloader()
    assert [len(batch["photo"]) for batch in photos] == [4, 4, 2]
    assert levels(photos, "photo") == list(range(10))
    assert levels(cartoons, "cartoon") == list(range(5))


def test_parts_are_blocks_of_the_folder(folders: Path) -> None:
    data = unpaired(folders)
    assert levels(data.val_dataloader()[0], "photo") == [6, 7]
    assert levels(data.test_dataloader()[0], "photo") == [8, 9]
    assert levels(data.val_dataloader()[1], "cartoon") == [3]
    trained = set(levels(batches(data, 4), "photo"))
    assert trained == set(range(6))


def test_a_held_out_folder_is_divided_between_validation_and_test(folders: Path) -> None:
    data = unpaired(folders, val_photos=str(folders / "held"))
    assert levels(data.val_dataloader()[0], "photo") == [0, 1, 2]
    assert levels(data.test_dataloader()[0], "photo") == [3, 4, 5]
    assert set(levels(batches(data, 4), "photo")) == set(range(10))
    assert levels(data.val_dataloader()[1], "cartoon") == [3]  # no folder for these: a block


def test_the_cap_is_for_validation_alone(folders: Path) -> None:
    data = unpaired(folders, split="all", eval_images=4)
    assert levels(data.val_dataloader()[0], "photo") == [0, 2, 5, 7]
    assert len(levels(data.test_dataloader()[0], "photo")) == 10


def test_spaced() -> None:
    assert spaced(4, None) == spaced(4, 9) == [0, 1, 2, 3]
    assert spaced(100, 4) == [0, 25, 50, 75]


def test_the_panel_never_changes(folders: Path) -> None:
    panel = unpaired(folders, split="all").panel(3)
    assert panel.shape == (3, 3, 16, 16)
    assert torch.equal(panel, unpaired(folders, split="all", seed=7, overfit=True).panel(3))
    assert levels([{"photo": panel}], "photo") == [0, 3, 6]
    assert len(unpaired(folders).panel(9)) == 2


def test_small_files_are_skipped_by_half_the_size(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (7, 30)).save(folders / "photos" / "small.png")
    unpaired(folders).setup()
    assert "small.png (7x30, smaller than 8)" in caplog.text
    caplog.clear()
    unpaired(folders, min_side=7).setup()
    assert "small.png" not in caplog.text


def test_only_wanted_views_are_made() -> None:
    offered = {"blurred": EdgeSmooth(), "grey": torch.neg}
    assert batches(synthetic(derived=offered), 1)[0].keys() == {"photo", "cartoon"}
    assert batches(synthetic(derived=offered, extras=("grey",)), 1)[0].keys() == {"photo", "cartoon", "grey"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"derived": {"blurred": EdgeSmooth()}, "extras": ["blured"]},
            r"did you mean 'blurred'.*data\.derived",
        ),
        ({"extras": ["blurred"]}, "offers none"),
        ({"zoom": (0.5, 2.0)}, r"data\.zoom"),
        ({"zoom": (2.0, 1.0)}, r"data\.zoom"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, r"data\.val_fraction"),
        ({"test_fraction": 0.0}, r"data\.test_fraction"),
        ({"split": "fraction"}, "did you mean 'fractions'"),
        ({"photos": None}, "photos=DIR"),
        ({"val_cartoons": "/no/such"}, "val_cartoons=DIR"),
    ],
)
def test_mistakes_get_one_line(folders: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        unpaired(folders, **changes).setup()
    assert "\n" not in str(caught.value)
