"""The paper's case study, as the tutorial does it: whole, over RabbitMQ and MariaDB; and in little."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from scipy.stats import mannwhitneyu, spearmanr

from tests.e2e.documentation import REPOSITORY, reader
from tests.e2e.server_process import PROC
from tests.services.process import free_port

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the commands are for a POSIX shell")

TUTORIAL = "docs/tutorial-case-study.md"
TIERS = ["tierA", "tierB", "tierC", "tierD"]


@dataclass(frozen=True)
class Outcome:
    """What the tutorial left behind: the rows of its table, the page, and the truth."""

    images: list[dict[str, str]]
    page: str
    defocus_um: Mapping[str, float]

    def by_tier(self) -> dict[str, list[float]]:
        """Return how far the images of each tier are out of focus."""
        found: dict[str, list[float]] = defaultdict(list)
        for image in self.images:
            found[image["tier"]].append(self.defocus_um[image["source_id"]])
        return found

    def correlation(self) -> float:
        """Return Spearman's rank correlation of score and defocus."""
        scored = [image for image in self.images if image["score"]]
        defocus_um = [self.defocus_um[image["source_id"]] for image in scored]
        return float(spearmanr([float(image["score"]) for image in scored], defocus_um).statistic)


def follow(folder: Path, *, count: int, without: str, **elsewhere: str) -> Outcome:
    """Do what the tutorial says, with so many fields."""
    port = free_port()
    here = {"/data/": f"{folder}/data/", "2699": str(count)} | elsewhere
    own = {"HASTE_PORT": str(port), "HASTE_SERVER_URL": f"http://127.0.0.1:{port}"}
    with reader(folder, stands_for=here, **own) as tutorial:
        tutorial.patience_s = 280
        tutorial.environment["HASTE_URL_FILE"] = f"{folder}/data/haste/url"
        (folder / "data").mkdir()
        tutorial.follow(TUTORIAL, without=without)
    with (folder / "data/case-study/truth.csv").open(newline="") as file:
        truth = {row["file"]: abs(float(row["defocus_um"])) for row in csv.DictReader(file)}
    with (folder / "case-study.csv").open(newline="") as file:
        outcome = Outcome(list(csv.DictReader(file)), (folder / "case-study.html").read_text(), truth)
    assert sorted(image["source_id"] for image in outcome.images) == sorted(truth)
    check_report(outcome, folder / "data/haste/tiers")
    return outcome


def check_report(outcome: Outcome, tiers: Path) -> None:
    """Compare the page's table and pictures with the rows, and these with the tiers' folders."""
    counts = Counter(image["tier"] for image in outcome.images)
    rows = re.findall(r"</span>(\w+)</td><td class=\"word\">([^<]*)</td><td>(\d+)</td>", outcome.page)
    assert {tier: int(number) for tier, _, number in rows if number != "0"} == counts
    assert [scores for tier, scores, _ in rows if tier == "tierA"] == ["0.75 to 1.00"]
    for tier, count in counts.items():
        stored = [path for path in (tiers / tier).rglob("*.tif") if ".haste" not in path.parts]
        assert len(stored) == count
    assert outcome.page.count("data:image/jpeg") == sum(min(60, count) for count in counts.values())
    wells = {image["metadata.well"] for image in outcome.images}
    assert set(re.findall(r"<title>([A-H]\d\d): mean score", outcome.page)) == wells
    assert 'aria-label="Histogram of plls' in outcome.page


@pytest.mark.slow
def test_the_case_study_works_in_little(tmp_path: Path) -> None:
    outcome = follow(tmp_path / "pc", count=40, without="On many machines")
    assert outcome.correlation() < -0.9
    by_tier = outcome.by_tier()
    upper, lower = by_tier["tierA"] + by_tier["tierB"], by_tier["tierC"] + by_tier["tierD"]
    assert mannwhitneyu(upper, lower, alternative="less").pvalue < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_four_tiers_of_the_case_study_follow_defocus(
    tmp_path: Path, mariadb_url: str, amqp_url: str
) -> None:
    outcome = follow(
        tmp_path / "site",
        count=2699,
        without="On one PC",
        **{
            "mysql+pymysql://haste:DATABASE_PASSWORD@localhost/haste": mariadb_url,
            "amqp://haste:BROKER_PASSWORD@localhost:5672/haste": amqp_url,
        },
    )
    assert outcome.correlation() < -0.95
    by_tier = outcome.by_tier()
    for better, worse in pairwise(TIERS):
        assert mannwhitneyu(by_tier[better], by_tier[worse], alternative="less").pvalue < 1e-20
    told = dict(
        re.findall(r"^\| (\w+) \|(?:[^|]*\|){3} (\d+) \|", (REPOSITORY / TUTORIAL).read_text(), re.MULTILINE)
    )
    for tier in [*TIERS, "empty"]:
        assert len(by_tier[tier]) == pytest.approx(int(told[tier]), abs=5)
