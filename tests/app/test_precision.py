"""16-bit arithmetic is refused where it would be emulated, and nowhere else."""

import pytest
import torch
from omegaconf import OmegaConf

from toonlab.app import precision
from toonlab.errors import UsageError


def asked(kind: str, accelerator: str = "cpu", *, insist: bool = False):
    return OmegaConf.create(
        {"trainer": {"precision": kind, "accelerator": accelerator}, "slow_precision": insist}
    )


@pytest.mark.parametrize("kind", ["bf16-mixed", "16-mixed", "bf16-true"])
def test_emulated_halves_are_refused_with_both_ways_out(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(precision, "is_native", lambda _: False)
    for accelerator in ("cpu", "auto"):
        if accelerator == "auto" and torch.cuda.is_available():
            continue
        with pytest.raises(UsageError) as refusal:
            precision.check_precision(asked(kind, accelerator))
        for words in (f"trainer.precision={kind}", "trainer.precision=32-true", "slow_precision=true"):
            assert words in str(refusal.value)


def test_everything_else_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "is_native", lambda _: False)
    precision.check_precision(asked("32-true"))
    precision.check_precision(asked("bf16-mixed", "gpu"))
    precision.check_precision(asked("bf16-mixed", insist=True))
    monkeypatch.setattr(precision, "is_native", lambda _: True)
    precision.check_precision(asked("bf16-mixed"))


def test_this_machine_answers_for_either_format() -> None:
    flags = torch.backends.cpu.get_cpu_capability()
    assert precision.is_native("bf16-mixed") in (True, False)
    if flags == "AVX2":
        assert not precision.is_native("bf16-mixed")
        assert not precision.is_native("16-mixed")
