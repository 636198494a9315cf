"""One adapted CartoonGAN against a CartoonGAN for each style: scores and parameters, style by style.

    python benchmarks/adapter_styles.py DATA --iterations 6000 --size 256 --batch 8 --overrides trainer=gpu

DATA holds photos/train, photos/val, and STYLE/train, STYLE/val for each style. What is compared, all on the
same held-out photos and cartoons, painted by the EMA weights of the last iteration:

- `single`: a CartoonGAN for each style, `--iterations` updates of the generator each;
- each kind of adapters: one network, as many updates as all single ones together, so that both the sum and
  what each style sees are equal;
- `parallel, fewer`: one network with as many updates as one single network has.

It drives src/train.py and src/eval.py. Interrupted, a training goes on in its middle; what is finished is
never repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from adapter_sheet import sheet
from resumable import settle

ROOT = Path(__file__).resolve().parents[1]

STYLES = ("anime_peppercarrot", "anime_wesnoth", "anime_bbb")
KINDS = ("parallel", "low_rank", "norm")


class Model(NamedTuple):
    """A network to train, and the styles that it is to paint."""

    row: str
    folder: Path
    styles: tuple[str, ...]
    iterations: int
    settings: list[str]


def models(options: argparse.Namespace) -> list[Model]:
    """Return every network of the comparison."""
    n, styles = options.iterations, tuple(options.styles)
    found = [
        Model("single", options.output / f"single_{style}", (style,), n, single(options, style))
        for style in styles
    ]
    for kind in options.kinds:
        many = adapted(options, kind)
        found.append(Model(kind, options.output / kind, styles, n * len(styles), many))
    if options.fewer and "parallel" in options.kinds:
        share = Model(
            "parallel, fewer", options.output / "parallel_fewer", styles, n, adapted(options, "parallel")
        )
        found.append(share)
    return found


def single(options: argparse.Namespace, style: str) -> list[str]:
    folder = options.data / style
    return [
        "method=cartoongan", "data=unpaired", f"cartoons={folder}/train", f"val_cartoons={folder}/val",
        f"method.generator.width={options.width}", f"method.generator.blocks={options.blocks}",
        f"method.discriminator.width={options.width // 2}",
    ]  # fmt: skip


def adapted(options: argparse.Namespace, kind: str) -> list[str]:
    train, val = (
        _listed({style: options.data / style / part for style in options.styles}) for part in ("train", "val")
    )
    return [
        "method=adapted_cartoongan", f"method.kind={kind}", "data=multidomain", f"domains={train}",
        f"val_domains={val}", f"method.rank={options.width // 2}", "method.pool_size=0",  # as CartoonGAN's
        f"method.generator.trunk.width={options.width}", f"method.generator.trunk.blocks={options.blocks}",
        f"method.discriminator.trunk.width={options.width // 2}",
    ]  # fmt: skip


def train(model: Model, options: argparse.Namespace) -> None:
    """Train `model`, from where it stands."""
    result = model.folder / "result.json"
    if result.exists() and json.loads(result.read_text())["status"] == "finished":
        return
    if (model.folder / "checkpoints/last.ckpt").exists():
        call("train.py", [f"resume={model.folder}"])
        return
    _put_aside(model.folder)  # interrupted before its first checkpoint
    common = [
        f"photos={options.data}/photos/train", f"val_photos={options.data}/photos/val",
        f"seed={options.seed}", f"iterations={model.iterations}",
        f"data.size={options.size}", f"data.batch_size={options.batch}",
        f"eval_every={model.iterations}", "~callbacks.evaluate",  # src/eval.py does that, once
        f"hydra.run.dir={model.folder}",
    ]  # fmt: skip
    call("train.py", [*model.settings, *common, *options.overrides])


def evaluate(model: Model, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Score `model` on all of the held-out folders; return what src/eval.py reports of each style."""
    folder, val = model.folder / "scores", {style: options.data / style / "val" for style in model.styles}
    if len(val) == 1:
        reports = dict.fromkeys(val, folder / "report.json")
        data = ["data=unpaired", *(f"cartoons={path}" for path in val.values())]
    else:
        reports = {style: folder / style / "report.json" for style in val}
        data = ["data=multidomain", f"domains={_listed(val)}"]
    if not all(path.exists() for path in reports.values()):
        _put_aside(folder)
        photos = [f"photos={options.data}/photos/val", f"data.size={options.size}"]
        call("eval.py", [f"ckpt={model.folder}", f"output={folder}", *data, *photos])
    return {style: json.loads(path.read_text()) for style, path in reports.items()}


def _listed(folders: Mapping[str, Path]) -> str:
    return "{" + ",".join(f"{name}:{folder}" for name, folder in folders.items()) + "}"


def _put_aside(folder: Path) -> None:
    """Rename what an interruption left behind, if there is anything."""
    if folder.exists():
        number = sum(1 for _ in folder.parent.glob(f"{folder.name}_broken_off_*"))
        folder.rename(folder.with_name(f"{folder.name}_broken_off_{number}"))


def call(script: str, arguments: Sequence[str]) -> None:
    """Run one of toonlab's commands; leave with its words if it fails."""
    done = subprocess.run([sys.executable, str(ROOT / "src" / script), *arguments], stdout=sys.stderr)
    if done.returncode:
        sys.exit(
            f"{script} {' '.join(arguments)}: left with {done.returncode}; the same command goes on from here"
        )


def parameters(model: Model) -> tuple[int, int]:
    """Return a style's own parameters (their mean) and those of the whole generator."""
    result = json.loads((model.folder / "result.json").read_text())
    whole = result["generator_parameters"]
    if len(model.styles) == 1:
        return whole, whole
    own = [each["parameters"] for each in result["domains"].values()]
    return round(sum(own) / len(own)), whole


def table(
    found: Sequence[Model], scores: dict[Path, dict[str, dict[str, Any]]], styles: Sequence[str]
) -> str:
    """Write Markdown: KID and FD of each style, beside what cartoons and unpainted photos score."""
    names = [
        name for name in scores[found[0].folder][styles[0]]["scores"] if name.startswith(("kid", "fd", "fid"))
    ]
    names = [name for name in names if "std" not in name]
    plain = parameters(found[0])[1]
    lines = []
    for name in names:
        references = {
            style: scores[model.folder][style]["scores"][name] for model in found for style in model.styles
        }
        heads = [f"{style} (n = {references[style]['n']})" for style in styles]
        lines += [
            f"\n**{name}**, lower is better\n",
            f"| | updates | {' | '.join(heads)} | mean | a style's own parameters | all generators |",
            "|---" * (len(styles) + 5) + "|",
        ]
        for title, key in (("cartoons against cartoons", "real_vs_real"), ("photo as it is", "source_as_is")):
            values = [references[style][key] for style in styles]
            lines.append(_row(title, "", values, "", ""))
        for row in dict.fromkeys(model.row for model in found):
            group = [model for model in found if model.row == row]
            values = [
                scores[m.folder][style]["scores"][name]["value"]
                for style in styles
                for m in group
                if style in m.styles
            ]
            own = round(sum(parameters(model)[0] for model in group) / len(group))
            whole = sum(parameters(model)[1] for model in group)
            updates = " + ".join(f"{model.iterations:,}" for model in group)
            lines.append(
                _row(
                    row, updates, values, f"{own:,} ({own / plain:.2%})", f"{whole:,} ({whole / plain:.2f} x)"
                )
            )
    return "\n".join(lines)


def _row(title: str, updates: str, values: Sequence[float], *rest: str) -> str:
    cells = [f"{value:.4g}" for value in (*values, sum(values) / len(values))]
    return f"| {' | '.join([title, updates, *cells, *rest])} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda text: Path(text).expanduser().absolute(), help="see above")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), help="folders of DATA")
    parser.add_argument(
        "--kinds", nargs="+", choices=("parallel", "series", "low_rank", "norm"), default=list(KINDS)
    )
    parser.add_argument(
        "--iterations", type=int, default=6000, help="updates of each single network's generator"
    )
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--width", type=int, default=64, help="of the generator; the discriminator's is half of it"
    )
    parser.add_argument("--blocks", type=int, default=8, help="residual blocks of the generator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--overrides", nargs="*", default=[], help="for every src/train.py, trainer=gpu for instance"
    )
    parser.add_argument("--fewer", action=argparse.BooleanOptionalAction, default=True, help="see above")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs/benchmarks/adapter_styles")
    parser.add_argument("--sheet", type=Path, help="also paint photographs out of packages into this picture")
    options = parser.parse_args()
    options.output = options.output.expanduser().absolute()
    settle(
        options.output,
        {k: v for k, v in vars(options).items() if k not in ("output", "sheet", "kinds", "fewer")},
    )
    found, scores = models(options), {}
    for model in tqdm(found, unit="network"):
        train(model, options)
        scores[model.folder] = evaluate(model, options)
    text = table(found, scores, options.styles)
    (options.output / "table.md").write_text(text + "\n")
    print(text)
    if options.sheet:
        columns = [m for m in found if m.row in ("single", "parallel")]
        sheet(
            [
                (f"{m.row}: {s}", m.folder, s if len(m.styles) > 1 else None)
                for s in options.styles
                for m in columns
                if s in m.styles
            ],
            options.sheet,
        )


if __name__ == "__main__":
    main()
