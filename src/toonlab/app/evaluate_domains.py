"""Which styles of a checkpoint `src/eval.py` scores, and their scores side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toonlab.data.domains import check_known, named
from toonlab.engine.checkpoint import build
from toonlab.errors import UsageError
from toonlab.metrics.report import Report
from toonlab.networks.adapters import Adapted


def domains_to_score(cfg: DictConfig, checkpoint: Mapping[str, Any]) -> list[str]:
    """Return the domains of the data to score, each in its own style; none if the data has but one.

    Args:
        cfg: says `data`, if it is not the run's own, and `style`.
        checkpoint: as `engine.checkpoint.read` returns it of `cfg.ckpt`.

    Raises:
        UsageError: the checkpoint and the data do not know the same styles.
    """
    config = checkpoint["toonlab"]["config"]
    held = config["method"].get("domains")
    several = "data" in cfg and cfg.data._target_.endswith(".MultiDomainData")
    if not held:
        if several:
            raise UsageError(f"data=multidomain: ckpt={cfg.ckpt} has one style; use data=unpaired")
        return []
    if several:
        data = OmegaConf.to_container(cfg.data, resolve=True)
    elif "data" in cfg:
        return []  # one set of cartoons, whatever it is called: for the style that is asked for
    else:
        data = config.get("data", {})
    given = data.get("domains") or data.get("styles") or []  # type: ignore[union-attr]
    shown = list(named(given)) if several else [str(name) for name in given]
    check_known(dict.fromkeys(shown), held, "domains")
    if cfg.style is None:
        return shown
    if cfg.style not in shown:
        raise UsageError(
            f"style={cfg.style}: this data has cartoons of {', '.join(shown)}; for others add data=unpaired "
            "photos=DIR cartoons=DIR"
        )
    return [cfg.style]


class DomainSummary:
    """Scores of several domains in one table, with what each costs.

    Args:
        reports: of each domain.
        checkpoint: as `engine.checkpoint.read` returns it.
    """

    def __init__(self, reports: Mapping[str, Report], checkpoint: Mapping[str, Any]) -> None:
        network = build(checkpoint["toonlab"]["config"]["method"]["generator"])
        assert isinstance(network, Adapted)  # noqa: S101 (it has `domains`)
        self.rows: dict[str, dict[str, Any]] = {}
        for domain, report in reports.items():
            names = [name for name in report.scores if name.startswith(("fid", "fd_", "kid"))]
            scores = {name: report.scores[name] for name in names if "std" not in name}
            self.rows[domain] = {
                **{name: score.value for name, score in scores.items()},
                **{f"{name}_source_as_is": score.source_as_is for name, score in scores.items()},
                "n": next(iter(scores.values())).n,
                "parameters": sum(p.numel() for p in network.style(domain).parameters()),
                "share": network.share(domain),
            }
        first = next(iter(self.rows.values()))
        self.mean = {
            name: fmean(row[name] for row in self.rows.values())
            for name in first
            if isinstance(first[name], float)
        }

    def table(self) -> str:
        """Return an aligned table for a terminal: a row for each domain, and their mean."""
        head = list(next(iter(self.rows.values())))
        lines = [["domain", *(name.replace("_source_as_is", " as is") for name in head)]]
        for domain, row in [*self.rows.items(), *[("mean", self.mean)] * (len(self.rows) > 1)]:
            lines.append([domain, *(_cell(name, row.get(name)) for name in head)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )

    def to_json(self, path: Path, *, about: Mapping[str, Any]) -> None:
        """Write rows and mean, atomically."""
        text = json.dumps({"domains": self.rows, "mean": self.mean, "about": dict(about)}, indent=2)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text + "\n")
        part.replace(path)


def _cell(name: str, value: float | int | None) -> str:
    if value is None:
        return ""
    if name == "share":
        return f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
