"""Randomness with an address: equal keys give equal draws, in any process, in any order."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*key: int | str) -> int:
    """Hash a key to a 63-bit seed; stable across processes and Python versions, unlike `hash`."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for the key; draws differ between devices, not between runs."""
    return torch.Generator(device=device).manual_seed(seed_of(*key))


def permutation(n: int, *key: int | str) -> list[int]:
    """Return the key's permutation of `range(n)`."""
    order: list[int] = torch.randperm(n, generator=generator(*key)).tolist()
    return order
