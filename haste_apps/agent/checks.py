"""What can be said before the agent begins: better now, by the one who starts it, than in the night."""

from __future__ import annotations

import os

from haste_apps.agent.central import CentralServer
from haste_apps.agent.settings import AgentSettings
from haste_apps.output import say
from haste_core.errors import HasteError, InvalidError, Problem, TransientError


def check_and_join(settings: AgentSettings) -> None:
    """Check what was chosen, and join the stream at the server; one that is away is joined later.

    Raises
    ------
    InvalidError
        With what to do.
    """
    check_choices(settings)
    try:
        with CentralServer(settings) as central:
            stream = central.join()
    except TransientError as error:
        say(f"{error}. Images are found and preprocessed meanwhile, and sent when it answers.")
    else:
        say(f"{settings.path} goes to stream {stream.stream_id} at {settings.host} ({stream.pipeline.name})")


def check_choices(settings: AgentSettings) -> None:
    """Check the folder, and the operator.

    Raises
    ------
    InvalidError
    """
    if not settings.path.is_dir():
        raise InvalidError([Problem("FOLDER", f"there is no folder {settings.path}")])
    if not os.access(settings.path, os.R_OK | os.X_OK):
        raise InvalidError([Problem("FOLDER", f"{settings.path} may not be read by this user account")])
    if settings.own_folder.resolve().is_relative_to(settings.path.resolve()):
        what = f"{settings.own_folder} is in the folder that is watched; choose another one"
        raise InvalidError([Problem("--data-dir", what)])
    if settings.sends_openly:
        say(f"Warning: {settings.host} is asked without encryption; the token can be read on the way")
    lossless = _is_lossless(settings)
    if settings.delete_after_upload and not lossless:
        what = f"the operator {settings.operator!r} changes pixels, so that the originals have to stay"
        raise InvalidError([Problem("--delete-after-upload", what)])


def _is_lossless(settings: AgentSettings) -> bool:
    if settings.operator == "none":
        return True
    from haste_workers.handlers.preprocess import PreprocessParameters

    chosen = {"operator": settings.operator, "codec": settings.codec, "effort": settings.effort}
    try:
        parameters = PreprocessParameters.model_validate({**settings.operator_parameters, **chosen})
        return parameters.chosen().lossless
    except (ValueError, HasteError) as error:
        raise InvalidError([Problem("--operator", str(error))]) from error
