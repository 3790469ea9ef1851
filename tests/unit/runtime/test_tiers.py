"""Tiers as settings name them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from haste_core.errors import InvalidError
from haste_core.tier_limits import TierLimits
from haste_runtime.s3 import S3Connection
from haste_runtime.tiers import PosixTier, S3Tier, SwiftTier, Tier, TrashTier, said_openly
from haste_server.configuration import explain
from haste_server.configuration import load_settings as load_server_settings
from haste_workers.settings import load_settings

S3 = {"driver": "s3", "bucket": "b", "access_key_id": "AKIA1", "secret_access_key": "hush"}
SWIFT = {"driver": "swift", "auth_url": "https://keystone/v3", "user": "u", "key": "hush", "container": "c"}


def parse(value: Any) -> Tier:
    return TypeAdapter(Tier).validate_python(value)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"root": "/data"}, PosixTier),
        ({"driver": "posix", "root": "/data", "mode": "0640", "group": "lab"}, PosixTier),
        ({"driver": "trash", "grace_days": 7}, TrashTier),
        ({"driver": "trash", "quota": 10**12, "next": "C"}, TrashTier),
        ({**S3, "endpoint_url": "https://minio", "prefix": "/haste/tierA/"}, S3Tier),
        ({**S3, "retain_days": 30, "next": "C"}, S3Tier),
        ({**SWIFT, "project": "p"}, SwiftTier),
    ],
)
def test_driver_says_what_kind_it_is_and_children_are_told_all(given: dict[str, Any], kind: type) -> None:
    tier = parse(given)
    assert type(tier) is kind
    told = json.dumps({"A": tier.model_dump()}, default=said_openly)
    assert load_settings(tiers=json.loads(told)).tiers == {"A": tier}
    assert "hush" not in f"{tier!r} {tier} {tier.model_dump_json()}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"driver": "tape"}, "posix, trash, s3, swift"),
        ("a folder", "posix, trash, s3, swift"),
        ({"root": "/data", "mode": 416}, 'for example "0640"'),
        ({"root": "/data", "mode": "999"}, 'for example "0640"'),
        ({"root": "/data", "bucket": "b"}, "bucket"),
        ({"driver": "trash", "grace_days": 0}, "grace_days"),
        ({"root": "/data", "quota": 10**12}, "give `next`"),
        ({**S3, "retain_days": 30}, "give `next`"),
        ({**SWIFT, "next": "B"}, "give `next`"),
        ({"root": "/data", "next": "B", "quota": 0}, "quota"),
        ({"driver": "s3"}, "bucket"),
        ({**S3, "prefix": "a/../b"}, "names with / between them"),
        ({**S3, "prefix": "ü" * 101}, "at most 200 bytes"),
        ({**S3, "access_key_id": None}, "go together"),
        ({**SWIFT, "container": "c/d"}, "give a prefix"),
        ({**SWIFT, "user": None}, "either a user or"),
        ({**SWIFT, "auth_url": "keystone"}, "auth_url"),
        ({**SWIFT, "segment_bytes": 1000}, "segment_bytes"),
        ({**SWIFT, "user": None, "application_credential_id": "i", "project": "p"}, "leave project out"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret(given: Any, said: str) -> None:
    for load in (load_settings, load_server_settings):
        with pytest.raises(InvalidError) as caught:
            load(tiers={"A": given})
        assert said in str(caught.value)
        assert "hush" not in str(caught.value)


def test_secrets_are_not_explained() -> None:
    explanation = explain(load_server_settings(tiers={"A": S3, "B": SWIFT}))
    assert "AKIA1" in explanation
    assert "hush" not in explanation


def test_prefix_has_no_slash_at_its_ends() -> None:
    tier = parse({**S3, "prefix": "/haste/tierA/"})
    assert isinstance(tier, S3Tier)
    assert tier.prefix == "haste/tierA"


def test_a_server_knows_when_objects_go_on_and_where_to() -> None:
    tiers = {
        "A": {"root": "/a", "quota": 1000, "retain_days": 0.5, "next": "B"},
        "B": {**S3, "retain_days": 30, "next": "C"},
        "C": {"driver": "trash"},
    }
    assert load_server_settings(tiers=tiers).settings.tier_limits == {
        "A": TierLimits("B", quota_bytes=1000, retain_days=0.5),
        "B": TierLimits("C", retain_days=30),
    }


@pytest.mark.parametrize(
    ("following", "said"),
    [("D", "no tier 'D' under `tiers:`"), ("A", "go round"), ("B", "go round")],
)
def test_objects_do_not_go_round_nor_nowhere(following: str, said: str) -> None:
    tiers = {
        "A": {"root": "/a", "quota": 1000, "next": "B"},
        "B": {"root": "/b", "retain_days": 1, "next": following},
    }
    with pytest.raises(InvalidError, match=said):
        load_server_settings(tiers=tiers)


def test_tiers_that_are_reached_alike_share_a_connection() -> None:
    first, second = parse(S3), parse({**S3, "bucket": "other"})
    assert isinstance(first, S3Tier)
    assert isinstance(second, S3Tier)
    assert first.connection == second.connection
    assert hash(first.connection) == hash(second.connection)
    assert first.connection == S3Connection(access_key_id="AKIA1", secret_access_key=S3["secret_access_key"])


def test_the_page_on_tiers_shows_valid_ones_of_each_driver() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tiers.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block.split("```")[0]) for block in page.split("```yaml\n")[1:]]
    shown, going_on = (block for block in blocks if "tiers" in block)
    assert list(load_server_settings(**going_on).settings.tier_limits) == ["tierA", "tierB"]
    for load in (load_settings, lambda **given: load_server_settings(**given).settings):
        assert [tier.driver for tier in load(**shown).tiers.values()] == ["posix", "s3", "swift", "trash"]
