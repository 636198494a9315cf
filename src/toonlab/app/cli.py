"""From a command line to a task: Hydra composes, mistakes become one line, torch waits its turn.

Nothing here imports torch, so that `--help` and a misspelt key answer at once.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from toonlab.app.explain import explain
from toonlab.app.pipes import end_if_unread, ending_quietly
from toonlab.app.ranks import who
from toonlab.app.reporting.arguments import with_folders
from toonlab.app.resume import RESUMED, resumed_arguments
from toonlab.app.sweeps import check_sweep, varied
from toonlab.app.tasks import help_of, task_of
from toonlab.app.voting.arguments import with_words
from toonlab.data.domains import named
from toonlab.errors import UsageError
from toonlab.sweeps.command_line import is_sweep, sweep_arguments

PROJECT = Path(__file__).resolve().parents[3]
CONF = PROJECT / "conf"
FULL_ERRORS = "TOONLAB_FULL_ERRORS"  # whether this command's user wants tracebacks


@ending_quietly()
def main_of_tasks(*, config: str, package: str) -> None:
    """Run the task that the first word names: `package.<task>` on `conf/<config>_<task>.yaml`."""
    if answer := help_of(sys.argv, CONF):
        sys.stdout.write(answer)
        return
    try:
        task, sys.argv = task_of(sys.argv, CONF)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    main(config=f"{config}_{task}", task=f"{package}.{task}")


@ending_quietly()
def main(*, config: str, task: str) -> None:
    """Run `task`'s `run(cfg)` on the configuration `conf/<config>.yaml` and the command line.

    Exits with 0, with 2 after a mistake of the user's (one line on stderr, no traceback), with 130 after
    Ctrl-C, with 141 once nobody reads its output. `HYDRA_FULL_ERROR=1` shows every traceback.
    """
    # OpenMP's threads spin while they wait, which on a busy machine (a worker, a browser) costs several
    # times what it saves on an idle one. Read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    register_resolvers()
    # Kept for the children that Lightning starts: what they find in Hydra's variable is ours, set below.
    full_errors = os.environ.setdefault(FULL_ERRORS, os.environ.get("HYDRA_FULL_ERROR", "0")) != "0"
    # Else Hydra prints its own long message and swallows the exception that ours is made from.
    os.environ["HYDRA_FULL_ERROR"] = "1"

    failures: list[Exception] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)
    def entry(cfg: DictConfig) -> None:
        try:
            import_module(task).run(cfg)
        except Exception as error:  # kept for below: in a multirun, the other jobs go on
            failures.append(error)

    try:
        if config == "train" and RESUMED not in os.environ:
            check_sweep(sys.argv, CONF)
            argv = with_implied_data(with_forced_keys(sys.argv))
            sys.argv = sweep_arguments(argv) if is_sweep(argv) else resumed_arguments(argv)
        if config == "report":
            sys.argv = with_folders(sys.argv)
        if config == "vote":
            sys.argv = with_words(sys.argv)
        if config == "reproduce":
            sys.argv = with_card(sys.argv)
        entry()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        sys.stderr.flush()
        # All is saved; unloading libraries in the middle of their work may end in an abort.
        os._exit(130)
    except Exception as error:
        failures.append(error)
    for failure in failures:
        end_if_unread(failure)
        line = None if full_errors else explain(failure, config)
        if line is None:
            logging.getLogger(__name__).error("%sfailed", who(), exc_info=failure)
        else:
            logging.getLogger(__name__).error("%serror: %s", who(), line)
    if failures:
        sys.exit(2)


def with_forced_keys(argv: list[str]) -> list[str]:
    """Let `-m method=a,b method.key=value` reach each job: Hydra first tries it on the default method alone.

    `++` sets a key or adds it; one that a method does not know is refused by its constructor.
    """
    if not is_sweep(argv):
        return argv
    by_file = varied(argv, CONF)
    typed = {key: value for key, _, value in (argument.partition("=") for argument in argv)}
    inside = tuple(f"{key}." for key, value in {**by_file, **typed}.items() if _is_swept(value))
    return [f"++{argument}" if _is_forced(argument, inside, by_file) else argument for argument in argv]


def with_implied_data(argv: list[str]) -> list[str]:
    """Let folders of several styles, or of one to add, mean data=multidomain where no data set is named."""
    keys = {argument.partition("=")[0] for argument in argv[1:]}
    names_folders = "domains" in keys or {"add_domain", "cartoons"} <= keys
    if not names_folders or keys & {"data", "experiment"}:
        return argv
    # Beside an override: overrides on both sides of -m, or behind the word of --cfg, are not understood.
    place = next(i for i, argument in enumerate(argv) if argument.startswith(("domains=", "add_domain=")))
    return [*argv[:place], "data=multidomain", *argv[place:]]


def with_card(argv: list[str]) -> list[str]:
    """Turn `NAME key=value` into `card=NAME key=value`."""
    word = argv[1] if len(argv) > 1 else ""
    return argv if not word or "=" in word or word.startswith("-") else [argv[0], f"card={word}", *argv[2:]]


def _is_forced(argument: str, inside: tuple[str, ...], by_file: Mapping[str, str]) -> bool:
    # What a +sweep=NAME varies keeps its name: a value typed for it takes the place of the file's.
    return argument.startswith(inside) and argument.partition("=")[0] not in by_file


def _is_swept(value: str) -> bool:
    return "," in value or value.startswith(("glob(", "choice(", "shuffle("))


def register_resolvers() -> None:
    """Teach OmegaConf `${project:}`, `${short_id:}` and `${share:whole,part,least}`, a rounded product.

    And `${domain_names:}`, the names of the styles that the data has, and `${warm_up:part}`, iterations.
    """
    OmegaConf.register_new_resolver("project", lambda: str(PROJECT), replace=True)
    OmegaConf.register_new_resolver("short_id", lambda: secrets.token_hex(2), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("domain_names", _domain_names, replace=True)
    OmegaConf.register_new_resolver("share", _share, replace=True)
    OmegaConf.register_new_resolver("warm_up", _warm_up, replace=True)


def _share(whole: int, part: float, least: int = 0) -> int:
    return max(round(whole * part), least)


def _warm_up(part: float, *, _root_: DictConfig) -> int:
    """Return a part of the iterations; 0 for trained weights, which it would teach to copy the photo again.

    A style that is added to them does get it (methods.md section 7): it begins as another style.
    """
    trained = _root_.get("ckpt") is not None and _root_.get("add_domain") is None
    return 0 if trained else _share(_root_.iterations, part)


def _domain_names(*, _root_: DictConfig) -> list[str]:
    """Return the names of the styles that the chosen data set has."""
    folders, styles = (OmegaConf.select(_root_, f"data.{key}") for key in ("domains", "styles"))
    if _root_.data._target_.endswith(".MultiDomainData"):
        return list(named(OmegaConf.to_container(folders) if OmegaConf.is_config(folders) else folders))
    return [str(name) for name in folders or styles or ()]
