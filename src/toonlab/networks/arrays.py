"""Files of named arrays, as other people publish them, read without running anybody's code."""

from __future__ import annotations

import pickle
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from toonlab.errors import UsageError

Arrays = dict[str, Tensor]


def read_arrays(path: Path) -> Arrays:
    """Read a state dict or an archive of arrays as fp32, by its file's names.

    Of a file that holds more than a state dict, its entry `state_dict` is taken; a prefix `module.` that all
    names have (DataParallel's) is dropped.

    Raises:
        UsageError: there is no such file, it is of another kind or damaged, it would run code to be read, or
            it holds something that is no array of finite numbers.
    """
    if not path.is_file():
        raise UsageError(f"weights={path}: no such file")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"weights={path}: cannot read {path.suffix or 'this'}; give {', '.join(_READERS)}")
    try:
        content = reader(path)
    except (pickle.UnpicklingError, ValueError) as error:
        # torch and numpy refuse a pickle that names anything but arrays; a damaged one looks the same.
        raise UsageError(
            f"weights={path}: refused, it is damaged or holds more than arrays ({_brief(error)})"
        ) from error
    except (OSError, EOFError, RuntimeError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise UsageError(
            f"weights={path}: not a file of weights, or damaged ({type(error).__name__}); "
            "save a state dict with torch.save, or arrays with numpy.savez"
        ) from error
    return _checked(path, content)


def _checked(path: Path, content: object) -> Arrays:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UsageError(f"weights={path}: holds no named arrays; save a state dict, net.state_dict()")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(f"weights={path}: {name} is no array but a {type(value).__name__}")
    prefix = "module."
    is_wrapped = all(name.startswith(prefix) for name in content)
    arrays = {name.removeprefix(prefix) if is_wrapped else name: v.float() for name, v in content.items()}
    for name, value in arrays.items():
        if not value.isfinite().all():
            raise UsageError(f"weights={path}: {name} holds infinities or NaN; is the file damaged?")
    return arrays


def _npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def _torch(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


_READERS: dict[str, Callable[[Path], object]] = {
    ".pth": _torch,
    ".pt": _torch,
    ".npz": _npz,
    ".safetensors": load_file,
}


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return textwrap.shorten(text, 120, placeholder=" ...")
