"""Weight files are read as arrays, or refused in one line; none of them runs code."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from toonlab.errors import UsageError
from toonlab.networks.arrays import read_arrays

STATE = {"a.weight": torch.tensor([1.5, -2.0], dtype=torch.float16), "b": torch.tensor([[3]])}


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.npz", "net.safetensors", "NET.PTH"])
def test_every_format_gives_the_same_arrays_in_fp32(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in STATE.items()})
    elif path.suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch.save(OrderedDict(STATE), path)
    arrays = read_arrays(path)
    assert {k: v.tolist() for k, v in arrays.items()} == {"a.weight": [1.5, -2.0], "b": [[3.0]]}
    assert all(value.dtype == torch.float32 for value in arrays.values())


def test_wrappings_are_taken_off(tmp_path: Path) -> None:
    wrapped = {f"module.{name}": value for name, value in STATE.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "net.pth")
    assert list(read_arrays(tmp_path / "net.pth")) == list(STATE)
    # A module that happens to be called so stays.
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "other.pth")
    assert list(read_arrays(tmp_path / "other.pth")) == ["module.a", "b"]


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("how", ["torch", "pickle", "numpy"])
def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path: Path, how: str) -> None:
    harm = tmp_path / "harm"
    path = tmp_path / ("net.npz" if how == "numpy" else "net.pth")
    if how == "torch":
        torch.save({"a": torch.zeros(1), "b": Bomb(harm)}, path)
    elif how == "pickle":
        path.write_bytes(pickle.dumps({"a": Bomb(harm)}))
    else:
        np.savez(path, a=np.array([Bomb(harm)], dtype=object))
    with pytest.raises(
        UsageError, match=r"net\.\w+: refused, it is damaged or holds more than arrays"
    ) as error:
        read_arrays(path)
    assert "\n" not in str(error.value)
    assert not harm.exists()


@pytest.mark.parametrize("name", ["net.pth", "net.npz", "net.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "half", "text"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, a=np.zeros(500))
    elif path.suffix == ".safetensors":
        save_file({"a": torch.zeros(500)}, path)
    else:
        torch.save({"a": torch.zeros(500)}, path)
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "half": whole[: len(whole) // 2], "text": b"<html>not found</html>"}[damage]
    )
    with pytest.raises(UsageError, match=rf"weights=.*{name}: .*damaged") as error:
        read_arrays(path)
    assert "\n" not in str(error.value)


def test_what_is_no_state_dict_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    for content, words in [
        ([torch.zeros(1)], "no named arrays"),
        ({}, "no named arrays"),
        ({"a": torch.zeros(1), "epoch": 3}, "epoch is no array but a int"),
        ({"a": torch.tensor([1.0, float("nan")])}, "a holds infinities or NaN"),
    ]:
        torch.save(content, path)
        with pytest.raises(UsageError, match=words):
            read_arrays(path)
    with pytest.raises(UsageError, match=r"nowhere\.pth: no such file"):
        read_arrays(tmp_path / "nowhere.pth")
    (tmp_path / "net.h5").touch()
    with pytest.raises(UsageError, match=r"cannot read \.h5; give \.pth, \.pt, \.npz, \.safetensors"):
        read_arrays(tmp_path / "net.h5")
