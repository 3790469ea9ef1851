"""Sidecars in tiers: what every driver promises of them."""

import os
from pathlib import Path

from haste_workers.naming import sidecar_name
from tests.contract.tier_bench import TierBench, opened, read_back


def test_sidecar_lies_beside_its_object_under_exactly_the_matching_name(
    area: TierBench, tmp_path: Path
) -> None:
    source, sidecar = tmp_path / "A01.tif", tmp_path / "A01.tif.mdoc"
    source.write_bytes(os.urandom(1000))
    sidecar.write_text("[ZValue = 0]")
    tier = opened(area.tier)
    stored = tier.put(source, stream_id="s", source_id="p/A01.tif")
    name = sidecar_name(stored.name, source=source.name, sidecar=sidecar.name)
    assert name is not None
    copies = [tier.put_beside(sidecar, name) for _ in range(2)]
    assert copies[0] == copies[1]
    assert set(area.stamps()) == {str(stored.name), f"{stored.name}.mdoc"}
    assert read_back(copies[0], area.tier) == sidecar.read_bytes()


def test_another_sidecar_of_that_name_replaces_nothing(area: TierBench, tmp_path: Path) -> None:
    source, sidecar = tmp_path / "A01.tif", tmp_path / "A01.xml"
    source.write_bytes(b"pixels")
    tier = opened(area.tier)
    stored = tier.put(source, stream_id="s", source_id="A01.tif")
    name = sidecar_name(stored.name, source=source.name, sidecar=sidecar.name)
    assert name is not None
    copies = []
    for text in ("first", "second"):
        sidecar.write_text(text)
        copies.append(tier.put_beside(sidecar, name))
    assert [read_back(copy, area.tier) for copy in copies] == [b"first", b"second"]
