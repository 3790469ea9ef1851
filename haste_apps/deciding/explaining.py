"""`haste explain`: why an image is in its tier, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from haste_apps.deciding.asking import job_of
from haste_apps.output import print_json, print_line
from haste_client import HasteClient
from haste_client.answers import DecisionAnswer, JobAnswer
from haste_core.decisions import call_text
from haste_core.errors import NotFoundError
from haste_core.interestingness import value_of
from haste_core.states import TaskState

_ASIDE = frozenset({"width", "height", "bits", "colour", "planes", "size_bytes"})  # measured is the rest

_ORIGINS: Mapping[str, str] = {
    "policy": "when it was measured",
    "new-policy": "since the stream got another function, policy or mode",
    "revision": "since other images of the stream score higher or lower than this one",
    "set": "with the other images of its set",
    "pin": "pinned",
    "unpin": "the pin was taken away",
    "recall": "called back",
    "retention": "since its time in the tier was over",
    "quota": "since the tier was full",
    "deletion": "to be deleted from the trash",
}


def explain(client: HasteClient, words: Sequence[str], *, as_json: bool) -> None:
    """Tell all that was decided about an image, and what from.

    Raises
    ------
    NotFoundError
        If there is no such job, or nothing was decided about its image yet.
    """
    job = client.job(job_of(client, words))
    try:
        decisions = client.decisions_about(job.job_id)
    except NotFoundError as error:
        said = " ".join(_tasks(job))
        raise NotFoundError(f"{error}. {said}".rstrip(". ")) from error
    if as_json:
        shown = {"job": job.model_dump(mode="json")}
        print_json({**shown, "decisions": [decision.model_dump(mode="json") for decision in decisions]})
        return
    for line in sentences(job, decisions):
        print_line(line)


def sentences(job: JobAnswer, decisions: Sequence[DecisionAnswer]) -> Iterator[str]:
    """Say why an image is in its tier.

    Parameters
    ----------
    job : JobAnswer
    decisions : sequence of DecisionAnswer
        About it, the first one first; at least one.
    """
    last = decisions[-1]
    image = f"{job.source_id} of stream {job.stream_id} (job {job.job_id})"
    if job.deleted_at is None:
        yield f"{image} belongs in {last.tier}."
    else:
        yield f"{image} is gone: it was deleted from {last.tier} at {_time_text(job.deleted_at)}."
    yield ""
    yield from _measured(last)
    yield from _scored(last)
    pin = _pin(decisions)
    yield from _placed(last) if pin is None else _pinned(last, pin)
    yield ""
    yield from _whereabouts(job, last)
    yield from _original(job)
    yield from _tasks(job)
    yield ""
    yield "All decisions about it:"
    for decision in decisions:
        yield f"  {_story(decision)}"


def _measured(decision: DecisionAnswer) -> Iterator[str]:
    features = decision.features
    told = [f"{name} {_text(value)}" for name, value in features.items() if _is_number(name, value)]
    source = (decision.interestingness or {}).get("features_from", "its features' task")
    yield f"Measured by {source}: {', '.join(told) or 'nothing that has a value'}."
    if plane := features.get("plane"):
        yield f"Of its {features.get('planes', 'several')} planes, this one was measured: {_pairs(plane)}."
    if features.get("pixels") not in (None, "original"):
        yield f"These are of pixels after: {features['pixels']}."
    for name, why in (features.get("undefined_features") or {}).items():
        yield f"{name} has no value: {why}."
    yield f"The file has the SHA-256 {features.get('sha256', 'that was not told')}."


def _scored(decision: DecisionAnswer) -> Iterator[str]:
    spec = decision.interestingness or {}
    if decision.score is None:
        return
    function, parameters = spec.get("function", "?"), spec.get("parameters") or {}
    called = call_text(function, parameters)
    yield f"Its score is {decision.score:.4f}, by {called}{_how(decision, str(function), parameters)}."


def _how(decision: DecisionAnswer, function: str, parameters: Mapping[str, Any]) -> str:
    """Say how a function came to its score, where that can be said in a line."""
    if decision.members is not None:
        return f", which is that of its image set (from {len(decision.members)} of its images)"
    value = decision.features.get(str(parameters.get("feature")))
    match function:
        case "logistic" if isinstance(value, int | float):
            k, x0 = parameters["k"], parameters["x0"]
            return f" = 1 / (1 + exp(-({k:g}) x ({value:.4f} - ({x0:g}))))"
        case "quantile":
            others = f"those up to decision {decision.seen}" if decision.seen else "there were none yet"
            return f": its {parameters.get('feature')} was ranked among the stream's other images, {others}"
        case "precomputed":
            given = (decision.circumstances.get("metadata") or {}).get(parameters.get("field"))
            return f": it was submitted with the image, as {parameters.get('field')} = {given}"
        case _:
            return ""


def _placed(decision: DecisionAnswer) -> Iterator[str]:
    policy = decision.policy or {}
    of_itself = decision.origin in ("policy", "new-policy") and decision.members is None
    if of_itself and decision.score is not None:
        for interval in policy.get("intervals") or ():
            lo, hi, tier = interval["lo"], interval["hi"], interval["tier"]
            if tier == decision.tier and (lo <= decision.score < hi or decision.score == hi == 1):
                yield f"The policy puts scores from {lo:g} to {hi:g} in {tier}."
                return
    reason = decision.reason[:1].upper() + decision.reason[1:]
    yield reason.rstrip(".") + "."
    if decision.score is None and decision.origin in ("policy", "new-policy"):
        yield f"Images without a score go to {policy.get('undefined', decision.tier)}."


def _pin(decisions: Sequence[DecisionAnswer]) -> DecisionAnswer | None:
    """Find the decision that pinned the image, if it is pinned."""
    about_pins = [decision for decision in decisions if decision.origin in ("pin", "unpin")]
    return about_pins[-1] if about_pins and about_pins[-1].origin == "pin" else None


def _pinned(last: DecisionAnswer, pin: DecisionAnswer) -> Iterator[str]:
    why = pin.reason.removeprefix(f"pinned to {pin.tier}: ")
    yield f"It was pinned to {pin.tier} by {pin.made_by or 'somebody'} at {_time_text(pin.made_at)}: {why}."
    _, _, otherwise = last.reason.partition("; else: ")
    if otherwise:
        yield f"Without the pin: {otherwise}."


def _whereabouts(job: JobAnswer, last: DecisionAnswer) -> Iterator[str]:
    tiering = job.response.get("tier")
    done = tiering if isinstance(tiering, Mapping) else {}
    place = job.place.url if job.place else job.source_url
    if job.deleted_at is not None:
        yield f"It was at {done.get('deleted')}, in a trash that {last.made_by or 'somebody'} had emptied."
    elif not done:
        yield f"It was not put to a tier yet; it is at {place}."
    elif not done.get("moved"):
        yield f"The stream only observed, so nothing was copied; it is at {place}."
    elif done.get("tier") != last.tier:
        yield f"It still is in {done.get('tier')}, at {place}; `haste job {job.job_id}` tells how far it is."
    else:
        yield f"It was copied to {last.tier} and the copy verified; it is at {place}."


def _original(job: JobAnswer) -> Iterator[str]:
    """Say that the original is gone, since when, and which task has removed it."""
    place = job.place
    if place is None or not place.moved:
        return
    task = next((task for task in job.task_list() if task.task_key == "tier"), None)
    by = f" by its task tier ({task.task_id})" if task is not None else ""
    when = f" at {_time_text(place.moved_at)}" if place.moved_at is not None else ""
    yield f"The original, {job.source_url}, was removed{by}{when}: the policy says `move: true`."


def _tasks(job: JobAnswer) -> Iterator[str]:
    """Repeat what tasks say of themselves: why one failed, what one waits for, what it left undone."""
    for task in job.task_list():
        state, said = TaskState(task.task_state), task.task_msg.rstrip(". ")
        if state.failed:
            when = f" at {_time_text(task.ended_at)}" if task.ended_at is not None else ""
            yield f"Its task {task.task_key} ({task.task_id}) failed{when} ({state.value}): {said}."
        elif said and not state.ended:
            yield f"Its task {task.task_key} ({task.task_id}) is not done yet: {said}."
        elif said and state is TaskState.DONE:
            yield f"Its task {task.task_key} ({task.task_id}) is done, and says: {said}."


def _story(decision: DecisionAnswer) -> str:
    score = "no score" if decision.score is None else f"score {decision.score:.4f}"
    told = _ORIGINS.get(decision.origin, decision.origin)
    by = f" by {decision.made_by}" if decision.made_by else ""
    instead = f", instead of decision {decision.supersedes}" if decision.supersedes else ""
    carried = "to be carried out" if decision.mode == "enforce" else "noted only"
    number = f"{_time_text(decision.made_at)}  decision {decision.decision_id}{instead}"
    made = f"{told}{by}, {carried}; HASTE {decision.software_version}"
    return f"{number}: {decision.tier}, {score}; {made}. {decision.reason}"


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _is_number(name: str, value: object) -> bool:
    return name not in _ASIDE and (isinstance(value, bool) or value_of({name: value}, name) is not None)


def _text(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
