"""Which function does the tasks of which key.

Handlers are named as ``module:function`` and imported in the child processes only, so that no user code (and
no numpy) is loaded into the process that talks with the broker.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping

from haste_core.errors import HasteError
from haste_core.routing import normalise_name
from haste_workers.answers import Handler
from haste_workers.settings import WorkerSettings

ENTRY_POINT_GROUP = "haste.handlers"

BUILT_IN: Mapping[str, str] = {
    "preprocess": "haste_workers.handlers.preprocess:preprocess",
    "upload": "haste_workers.handlers.upload:upload",
    "focus-score": "haste_workers.handlers.focus_score:focus_score",
    "tier": "haste_workers.handlers.tier:tier",
    "command": "haste_workers.handlers.command:command",
}


class HandlerUnusableError(HasteError):
    """A handler is not there, cannot be imported, or lacks a setting that it needs."""


def known_handlers(settings: WorkerSettings) -> dict[str, str]:
    """Gather all handlers by task key: built-in, of installed packages, of the settings; later ones win.

    Raises
    ------
    HandlerUnusableError
        If a package offers one under a name that is no task key.
    """
    try:
        installed = {
            normalise_name(point.name): point.value
            for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        }
    except ValueError as error:
        raise HandlerUnusableError(
            f"an installed package's handler ({ENTRY_POINT_GROUP}): {error}"
        ) from error
    return {**BUILT_IN, **installed, **settings.handlers}


def choose_handlers(settings: WorkerSettings) -> dict[str, str]:
    """Choose the handlers of the keys that this worker shall take.

    Without keys in the settings, these are all that can work here: `upload` needs a server, `command` needs
    programs. A task that no worker takes waits and says so; one that a worker takes in vain has failed.
    The settings may leave some to other workers.

    Raises
    ------
    HandlerUnusableError
        If there is no handler for a key that was asked for, or it lacks a setting.
    """
    known = known_handlers(settings)
    lacking = _lacking(known, settings)
    if not settings.keys:
        left = lacking.keys() | set(settings.without_keys)
        return {key: reference for key, reference in known.items() if key not in left}
    unknown = [key for key in settings.keys if key not in known]
    if unknown:
        raise HandlerUnusableError(
            f"there is no handler for {_listed(unknown)} (known: {_listed(known)}); "
            "give one with --handler KEY=module:function"
        )
    for key in settings.keys:
        if key in lacking:
            raise HandlerUnusableError(lacking[key])
    return {key: known[key] for key in settings.keys if key not in settings.without_keys}


def _lacking(known: Mapping[str, str], settings: WorkerSettings) -> dict[str, str]:
    lacking = {}
    if settings.server_url is None and settings.destination is None and known["upload"] == BUILT_IN["upload"]:
        lacking["upload"] = "upload needs the server to send to: give --server-url or HASTE_SERVER_URL"
    if not settings.programs and known["command"] == BUILT_IN["command"]:
        lacking["command"] = (
            "command needs programs that it may start: name them under `programs:` in the settings"
        )
    return lacking


def load_handler(reference: str) -> Handler:
    """Import the function that ``module:function`` names.

    Raises
    ------
    HandlerUnusableError
    """
    module_name, _, function_name = reference.partition(":")
    try:
        handler = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # user code: anything can happen while it is imported
        raise HandlerUnusableError(
            f"the handler {reference} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(handler):
        raise HandlerUnusableError(f"the handler {reference} is no function")
    loaded: Handler = handler
    return loaded


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
