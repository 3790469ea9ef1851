"""What the help of each command of `haste` shows: one or two lines that can be typed."""

from __future__ import annotations

from collections.abc import Mapping

from haste_runtime.examples import as_epilog

_PLATE = "/data/plates/plate7"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "alerts": ("haste alerts plate7 --open", "haste alerts plate7 --acknowledge 3"),
    "audit": ("haste audit --limit 20", "haste audit --who lab1-pc --json"),
    "calibrate": (
        f"haste calibrate {_PLATE} > pipelines/plate7.yaml",
        "haste calibrate /data/sorted --sharp good --blurred bad --png curve.png",
    ),
    "cancel": ("haste cancel 17", "haste cancel --stream plate7 --state open"),
    "complete": ("haste complete plate7",),
    "demo": ("haste demo", f"haste demo --images {_PLATE} --keep"),
    "doctor": ("haste doctor", "haste doctor --server http://haste.example.org:5510"),
    "evaluate": (
        "haste evaluate /data/labels.csv",
        "haste evaluate /data/labels.csv --feature plls --threshold -1.4 --png roc.png",
    ),
    "events": ("haste events", "haste events plate7 --json"),
    "explain": ("haste explain plate7 A01_s1.tif", "haste explain 17 --json"),
    "job": ("haste job 17", "haste job 17 --json"),
    "jobs": ("haste jobs --stream plate7 --state failed", "haste jobs --json"),
    "mode": ("haste mode plate7 enforce", "haste mode plate7 observe --yes"),
    "names": ("haste names", f"haste names {_PLATE} --names imagexpress"),
    "pin": ('haste pin plate7 A01_s1.tif --tier tierA --reason "for the paper"',),
    "policy": (
        "haste policy plate7 > policy.yaml",
        "haste policy plate7 --file policy.yaml",
        "haste policy plate7 --file policy.yaml --apply",
    ),
    "recall": ("haste recall plate7 A01_s1.tif", "haste recall 17 --tier tierB"),
    "report": ("haste report plate7", "haste report plate7 --format csv --output plate7.csv"),
    "retry": ("haste retry 17", "haste retry --stream plate7 --key tier --state failed"),
    "score": (
        f"haste score {_PLATE}",
        f"haste score {_PLATE}/A01_s1.tif --features snr,intensity --json",
    ),
    "simulate": ("haste simulate images", "haste simulate images --kind tem --count 10 --rate 0.5"),
    "streams": ("haste streams", "haste streams --json"),
    "submit": (
        f"haste submit {_PLATE} --wait",
        f"haste submit {_PLATE} --names imagexpress --mode enforce --complete",
    ),
    "task": ("haste task 31", "haste task 31 --json"),
    "token create": (
        "haste token create lab1-pc --scope submit --project lab1 --expires 90d",
        "haste token create nas-worker --scope work",
    ),
    "token list": ("haste token list",),
    "token revoke": ("haste token revoke lab1-pc",),
    "trash empty": ("haste trash empty tierD --dry-run", "haste trash empty tierD"),
    "trash list": ("haste trash list tierD",),
    "unpin": ('haste unpin plate7 A01_s1.tif --reason "published"',),
    "verify": ("haste verify plate7",),
    "watch": (
        "haste watch /data/plates/plate8",
        'haste watch /data/plates/plate8 --end-marker "{name}.done" --once',
    ),
}
"""By the words of the command."""


def examples_of(command: str) -> str:
    """Write the examples of a command as its help shows them."""
    return as_epilog(*EXAMPLES[command])
