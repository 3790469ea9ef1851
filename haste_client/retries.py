"""Retries of the client, about which stamina tells nobody: by itself it prints a line for each.

Such lines would stand in notebooks, and in what commands write for programs. A call that fails
in the end says why.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from stamina.instrumentation import RetryDetails, RetryHook, get_on_retry_hooks, set_on_retry_hooks

from haste_client.errors import OutageError, ServerUnreachableError

RETRIED = (ServerUnreachableError, OutageError)
"""Why calls are made again."""


@dataclass(frozen=True)
class _ForOthers:
    """A hook that hears of all retries but the client's."""

    hook: RetryHook

    def __call__(self, details: RetryDetails) -> AbstractContextManager[None] | None:
        return None if isinstance(details.caused_by, RETRIED) else self.hook(details)


def quiet_retries() -> None:
    """Keep the client's retries from the hooks that there are, which go on telling other libraries'."""
    hooks = get_on_retry_hooks()
    if not all(isinstance(hook, _ForOthers) for hook in hooks):
        set_on_retry_hooks([hook if isinstance(hook, _ForOthers) else _ForOthers(hook) for hook in hooks])
