"""`haste pin`, `unpin` and `recall`: images whose tier a person chooses."""

from __future__ import annotations

from collections.abc import Sequence

from haste_apps.deciding.asking import job_of, name_of_user
from haste_apps.output import print_json, say
from haste_client import HasteClient
from haste_client.answers import ImageAnswer


def pin(
    client: HasteClient, words: Sequence[str], tier: str, *, reason: str, by: str | None, as_json: bool
) -> None:
    """Pin an image to a tier."""
    image = client.pin(job_of(client, words), tier, reason=reason, by=by or name_of_user())
    _tell(image, f"is pinned to {image.tier}", as_json=as_json)


def unpin(client: HasteClient, words: Sequence[str], *, reason: str, by: str | None, as_json: bool) -> None:
    """Take a pin away."""
    image = client.unpin(job_of(client, words), reason=reason, by=by or name_of_user())
    _tell(image, "is not pinned any more; the policy decides about it again", as_json=as_json)


def recall(
    client: HasteClient,
    words: Sequence[str],
    tier: str | None,
    *,
    reason: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Bring an image back from an archive."""
    image = client.recall(job_of(client, words), tier, reason=reason, by=by or name_of_user())
    _tell(image, f"goes to {image.tier}", as_json=as_json)


def _tell(image: ImageAnswer, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(image.model_dump(mode="json"))
    say(f"{image.source_id} (job {image.job_id}) {what}")
