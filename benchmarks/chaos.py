"""Kill everything again and again under load, and count what was lost, stuck or done twice.

``python -m benchmarks.chaos --kills 200 --seed 1``; with ``--embedded`` for the server without RabbitMQ and
MariaDB. Without it, the times of recovery are measured too.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from benchmarks.system import print_figures, say, work_folder
from tests.chaos.recovery import after_death, after_outage
from tests.chaos.sites import LEASE_S, Distributed, Embedded, Site
from tests.chaos.storm import prove


def main() -> None:
    """Run the storm that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="decides about the load and the storm")
    parser.add_argument("--pause", type=float, default=5.0, help="the longest between two kills, in seconds")
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--servers", type=int, default=1, help="on one MariaDB and RabbitMQ")
    parser.add_argument("--quick", action="store_true", help="four kills, embedded: a smoke run")
    parser.add_argument("--folder", type=Path, help="for logs and data that stay")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.pause, options.embedded = 4, 1.0, True  # each victim once
    with nullcontext(options.folder) if options.folder else work_folder() as folder:
        figures = _storm(options, folder)
        if not options.embedded:
            figures |= _recovery(folder)
    print_figures("chaos", figures)


def _storm(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    (folder / "storm").mkdir(parents=True)
    site: Site = Distributed(folder / "storm", servers=options.servers)
    if options.embedded:
        site = Embedded(folder / "storm")
    with site:
        proof = prove(site, kills=options.kills, seed=options.seed, pause_s=options.pause, tell=say)
    say(str(proof.verdict))
    return proof.figures


def _recovery(folder: Path) -> dict[str, float]:
    (folder / "recovery").mkdir()
    with Distributed(folder / "recovery") as site:
        return {
            "rabbitmq_recovery_s": after_outage(site, site.rabbitmq, folder / "recovery" / "of-rabbitmq"),
            "mariadb_recovery_s": after_outage(site, site.mariadb, folder / "recovery" / "of-mariadb"),
            "worker_recovery_leases": after_death(site, folder / "recovery" / "of-worker") / LEASE_S,
        }


if __name__ == "__main__":
    main()
