"""Where a study is kept: a file in the sweep's folder, or a database by its URL."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from toonlab.errors import UsageError
from toonlab.sweeps.words import HIDDEN, masked

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


T = TypeVar("T")

PATIENCE = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts at a storage that does not answer."""


def opened(url: str) -> BaseStorage:
    """Open a database, and make what it needs if it is empty.

    Raises:
        UsageError: it cannot be opened, or the package that talks to it is missing.
    """
    from optuna.storages import RDBStorage, get_storage
    from sqlalchemy.exc import (
        ArgumentError,
        IntegrityError,
        NoSuchModuleError,
        ProgrammingError,
        SQLAlchemyError,
    )

    shown = f"hydra.sweeper.storage={masked(url)}"
    if HIDDEN in url:
        raise UsageError(
            f"{shown}: the password is not kept; give hydra.sweeper.storage=… again, or leave the password "
            "out of it and in ~/.pgpass or PGPASSWORD"
        )
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server may be started anew meanwhile
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        url = f"postgresql+psycopg://{url.partition('://')[2]}"
        if importlib.util.find_spec("psycopg") is None:
            raise UsageError(f"{shown}: needs the package psycopg: pip install -e '.[postgres]'")
    if scheme == "sqlite":
        options["connect_args"] = {"timeout": 60}
    try:
        return patiently(
            lambda: get_storage(RDBStorage(url, engine_kwargs=options)), of=(IntegrityError, ProgrammingError)
        )
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise UsageError(f"{shown}: no URL of a database that is known here ({_brief(error)})") from error
    except (SQLAlchemyError, RuntimeError) as error:
        raise UsageError(f"{shown}: cannot be opened ({_brief(error)})") from error


def patiently(function: Callable[[], T], *, of: tuple[type[Exception], ...]) -> T:
    """Try a few times: two hosts may make the same tables at the same moment, or a server is started anew."""
    for seconds in PATIENCE:
        try:
            return function()
        except of:
            time.sleep(seconds)
    return function()


def troubles() -> tuple[type[Exception], ...]:
    """Return what is raised when a database does not answer, or its disk is full."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return (StorageInternalError, SQLAlchemyError)


def _brief(error: Exception) -> str:
    return masked((str(error).strip() or type(error).__name__).splitlines()[0])
