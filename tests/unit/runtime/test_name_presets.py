"""The presets, each on names as they are found in public data sets, manuals and analysis code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from haste_core.errors import InvalidError
from haste_core.filenames import NameReader, ParsedName
from haste_core.image_sets import ImageSetSpec
from haste_runtime.name_presets import load_presets, name_pattern


def said(
    well: str | None = None,
    site: int | str | None = None,
    channel: str | None = None,
    *,
    plate: str | None = None,
    z: int | str | None = None,
    t: int | str | None = None,
) -> ParsedName:
    return ParsedName(plate, well, site, channel, z, t)


GUID = "1E78EB128-BD0D-4D94-A6AD-3FF28BB1B105"  # a wavelength and an identifier, in one
HOLE = "FoilHole_25598436_Data_25597084_25597086_20210625_171939"
SQUARE = "Images-Disc1/GridSquare_25590846"
EXPOSED = "25598436_Data_25597084_25597086"

GOOD: dict[str, dict[str, ParsedName]] = {
    "imagexpress": {
        "Act1_Plate10-SP-A8_A01_s1_w1.TIF": said("A01", 1, "1", plate="Act1_Plate10-SP-A8"),
        "plate7/plate7_AF48_s12_w4.tif": said("AF48", 12, "4", plate="plate7"),
        "20210101-p01-ABC_A01.TIF": said("A01", 1, plate="20210101-p01-ABC"),
        "x_p05_H12_w2.TIF": said("H12", 1, "2", plate="x_p05"),
        "plate_A01_s10_w1.tif": said("A01", 10, "1", plate="plate"),
        f"plate_B02_s1_w{GUID}.tif": said("B02", 1, "1", plate="plate"),
        "181214-KO_B02_s1_w12DE5D0E6-1639-40D4-8654-9A6247B4B8CD.tif": said("B02", 1, "1", plate="181214-KO"),
        f"val screen/HCC15691/2015-07-31/4014/val screen_B02_s1_w{GUID}.tif": said(
            "B02", 1, "1", plate="HCC15691/2015-07-31/4014"
        ),
        f"exp/2023-02-21/1334/ZStep_1/Projection-Mix_E07_s1_w{GUID}.tif": said(
            "E07", 1, "1", plate="exp/2023-02-21/1334", z=1
        ),
        f"pilot1/2019-03-27/84/TimePoint_12/A549-20X_B02_s1_w{GUID}.tif": said(
            "B02", 1, "1", plate="pilot1/2019-03-27/84", t=12
        ),
        "p_1234/TimePoint_1/ZStep_0/p_A01_s1_w1.TIF": said("A01", 1, "1", plate="p_1234", z=0, t=1),
        "TimePoint_2/plate_A01_s1_w1.tif": said("A01", 1, "1", plate="plate", t=2),
        "TimePoint_2/A01_s1_w1.tif": said("A01", 1, "1", t=2),
        "ZStep_3/plate_A01_s1_w1.tif": said("A01", 1, "1", plate="plate", z=3),
        "plate/A01_s001_w1_z001_t002.tif": said("A01", 1, "1", plate="plate", z=1, t=2),
        "A01_s1_w1.tif": said("A01", 1, "1"),
        "prot_2024/experiment_z_stack/timepoint1/prot_t1_C05_s0_w0_z2.tif": said(
            "C05", 0, "0", plate="prot_2024/experiment_z_stack", z=2, t=1
        ),
        "prot_t1_C05_s0_w0_z2.tif": said("C05", 0, "0", plate="prot", z=2, t=1),
    },
    "operetta": {
        "BR00116991__2020-11-05T19_51_35-Measurement1/Images/r01c01f01p01-ch1sk1fk1fl1.tiff": said(
            "A01", 1, "1", plate="BR00116991__2020-11-05T19_51_35-Measurement1", z=1, t=1
        ),
        "screen/BR1/Images/r32c48f121p03-ch12sk4fk1fl1.tiff": said("AF48", 121, "12", plate="BR1", z=3, t=4),
        "Images/r02c03f04p05-ch1sk1fk1fl1.tiff": said("B03", 4, "1", z=5, t=1),
        "BR2/Images/r02c03f04p05-ch01t02.tiff": said("B03", 4, "1", plate="BR2", z=5, t=2),
        "r01c01f001p01-ch1sk1fk1fl1.tiff": said("A01", 1, "1", z=1, t=1),
        "flat/r16c24f09p01-ch2sk1fk1fl1.tiff": said("P24", 9, "2", plate="flat", z=1, t=1),
        "Opera/Meas_01/003004005.flex": said("C04", 5, plate="Meas_01"),
    },
    "cellvoyager": {
        "AssayPlate_Greiner_#655090_C02_T0001F001L01A01Z01C01.tif": said(
            "C02", 1, "1", plate="AssayPlate_Greiner_#655090", z=1, t=1
        ),
        "a/20200812-Cardio14-Cycle1_B03_T0003F012L01A02Z10C02.png": said(
            "B03", 12, "2", plate="20200812-Cardio14-Cycle1", z=10, t=3
        ),
        "211027_110420_P24_A05_T0001F010L01A01Z01C1.png": said(
            "A05", 10, "1", plate="211027_110420_P24", z=1, t=1
        ),
        "MMC0015_AF48_T0001F001L01A01Z01C01.tiff": said("AF48", 1, "1", plate="MMC0015", z=1, t=1),
    },
    "cellvoyager-96": {
        "plate/Image/W0013F0001T0001Z001C1.tif": said("B01", 1, "1", plate="plate", z=1, t=1),
        "20180809T122430/Well001/W1F001T0001Z01C1.tif": said(
            "A01", 1, "1", plate="20180809T122430", z=1, t=1
        ),
        "W96F003T0002Z00C4.tif": said("H12", 3, "4", z=0, t=2),
    },
    "cellvoyager-384": {
        "20200427T024129_1999B/Projection/W0025F0002T0001Z000C1.tif": said(
            "B01", 2, "1", plate="20200427T024129_1999B", z=0, t=1
        ),
        "Image/Field0001/W0384F0001T0001Z004C2.tif": said("P24", 1, "2", z=4, t=1),
        "cq1plate/W25F002T0001Z01C2.tif": said("B01", 2, "2", plate="cq1plate", z=1, t=1),
    },
    "cellvoyager-1536": {"W1536F0001T0001Z001C1.tif": said("AF48", 1, "1", z=1, t=1)},
    "incell": {
        "A - 1(fld 1 wv DAPI - DAPI).tif": said("A01", 1, "DAPI"),
        "plate7/A - 01(fld 1 wv 390 - Blue).tif": said("A01", 1, "390 - Blue", plate="plate7"),
        "Plate1_HA41_B - 01(fld 01 wv Cy3 - Cy3).tif": said("B01", 1, "Cy3", plate="Plate1_HA41"),
        "A - 01(fld 1 wv Green - dsRed z 3).tif": said("A01", 1, "Green - dsRed", z=3),
        "F - 001(fld 01 wv TL-Brightfield - DAPI).tif": said("F01", 1, "TL-Brightfield - DAPI"),
        "002_B - 2(fld 1 wv Cy3 - Cy3 wix 1).tif": said("B02", 1, "Cy3", plate="002"),
        "timecourse/B - 02(fld 01 wv Blue - FITC - time 01 - 0 ms).tif": said(
            "B02", 1, "Blue - FITC", plate="timecourse", t=1
        ),
        "AF - 48(fld 12).tif": said("AF48", 12),
    },
    "incucyte": {
        "VID1630_A1_1_00d00h00m.tif": said("A01", 1, plate="VID1630", t="00d00h00m"),
        "phase/VID1630_C4_2_01d23h34m.tif": said("C04", 2, "phase", plate="VID1630", t="01d23h34m"),
        "Green/B10_1_00d03h00m.tif": said("B10", 1, "Green", t="00d03h00m"),
        "MiaPaCa2-PhaseOriginal_A2_1_03d06h40m.tif": said(
            "A02", 1, "PhaseOriginal", plate="MiaPaCa2", t="03d06h40m"
        ),
        "VID12_red_H12_9_10d00h00m.tif": said("H12", 9, "red", plate="VID12", t="10d00h00m"),
        "Phase_B3_1_00d00h00m.tif": said("B03", 1, "Phase", t="00d00h00m"),
        "001_SUM159_AC_A10_1_00d00h00m.tif": said("A10", 1, plate="001_SUM159_AC", t="00d00h00m"),
        "VID811_B1_1_2021y11m15d_14h15m.PNG": said("B01", 1, plate="VID811", t="2021y11m15d_14h15m"),
        "EssenFiles/ScanData/2401/15/1430/0700/A1-1-C1.tif": said(
            "A01", 1, "C1", plate="0700", t="2401/15/1430"
        ),
        "2401/15/1430/701/P24-4-Ph.tif": said("P24", 4, "Ph", plate="701", t="2401/15/1430"),
    },
    "serialem": {
        "TS_05_008_-12.0.mrc": said(None, "TS_05", plate=None, t=8),
        "frames/TS_01_000_0.0.mrc": said(None, "TS_01", plate="frames", t=0),
        "TS_002_-0.0_Sep07_19.52.42.tif": said(None, "TS", t=2),
        "Position_02_001[-10.00]_EER.eer": said(None, "Position_02", "EER", t=1),
        "Position_1_2_002_3.0_20250715_012434_Fractions.mrc": said(None, "Position_1_2", "Fractions", t=2),
        "g1/frames/Position_12_001_-10.00_20231020_234209_EER.eer": said(
            None, "Position_12", "EER", plate="g1/frames", t=1
        ),
        "G3_L1_ts_002_000_12.0.mrc": said(None, "G3_L1_ts_002", t=0),
        "Square3_ts_001_000_Feb24_10.12.16.tif": said(None, "Square3_ts_001", t=0),
        "PS2_00001_Sep22_18.10.51.mrcs": said(None, "PS2_00001"),
        "img_h1_s2_i374_movie_00001_Jul30_07.56.47.tif": said(None, "img_h1_s2_i374_movie_00001"),
        "CTEM_tomo2.mrc": said(None, "CTEM_tomo2"),
        "Position_7_fractions.tiff": said(None, "Position_7", "fractions"),
        "L1/ts_003.st": said(None, "ts_003", plate="L1"),
    },
    "epu": {
        f"session/{SQUARE}/Data/{HOLE}_fractions.tiff": said(
            None, EXPOSED, "fractions", plate="GridSquare_25590846", t="20210625_171939"
        ),
        f"{SQUARE}/Data/{HOLE}.mrc": said(None, EXPOSED, plate="GridSquare_25590846", t="20210625_171939"),
        f"{HOLE}_EER.eer": said(None, EXPOSED, "EER", t="20210625_171939"),
        "FoilHole_4810619_Data_4810972_4810973_20190805_1723_Fractions.mrc": said(
            None, "4810619_Data_4810972_4810973", "Fractions", t="20190805_1723"
        ),
    },
}

BAD: dict[str, list[str]] = {
    "imagexpress": [
        "plate_AG01_s1_w1.tif",
        "plate_A00_s1_w1.tif",
        "plate_A1_s1_w1.tif",
        "plate_A49_s1_w1.tif",
        "plate_A01_s1_w1.png",
        "plate_A01_s1_w1_overlay.tif",
        "plate_A01_s_w1.tif",
        "notes.tif",
        "x01.tif",
    ],
    "operetta": [
        "r33c01f01p01-ch1sk1fk1fl1.tiff",
        "r01c49f01p01-ch1sk1fk1fl1.tiff",
        "r01c00f01p01-ch1sk1fk1fl1.tiff",
        "r01c01f01p01-ch1sk1fk1fl1_IC.tiff",
        "r1c1f1p1-ch1sk1fk1fl1.tiff",
        "001001-1-001001001.tif",
    ],
    "cellvoyager": [
        "W0001F0001T0001Z001C1.tif",
        "plate_Q99_T0001F001L01A01Z01C01.tif",
        "_A01_T0001F001L01A01Z01C01.tif",
        "plate_A01_T0001F001L01A01Z01.tif",
    ],
    "cellvoyager-96": ["W0000F0001T0001Z001C1.tif", "W9999F0001T0001Z001C1.tif", "W1A002F001T0001Z01C1.tif"],
    "cellvoyager-384": ["W1F001T0001Z01.tif", "plate1_A01_T0001F001L01A01Z01C01.tif"],
    "cellvoyager-1536": ["W1537F0001T0001Z001C1.tif"],
    "incell": [
        "A1(fld 1 wv DAPI - DAPI).tif",
        "A - 1(wv DAPI - DAPI).tif",
        "A - 49(fld 1 wv DAPI - DAPI).tif",
        "A - 1(fld 1 wv DAPI - DAPI).xdce.bak",
    ],
    "incucyte": ["VID1630_A1_1.tif", "A1-1-C1.tif", "VID1630_A1_1_0h.tif", "VID1630_Z99_1_00d00h00m.tif"],
    "serialem": [
        "overview.mrc",
        "montage_.mrc",
        "TS_05_008_-12.0.png",
        "20210101.mrc",
        "plate_A01_s1_w1.tif",
    ],
    "epu": ["FoilHole_25598436.mrc", "FoilHole_1_Data_2_3_fractions.tiff", f"{HOLE}_DW.mrc"],
}

IGNORED: dict[str, list[str]] = {
    "imagexpress": [f"x/2022-07-05/1075/MIP_C05_s1_w1_thumb{GUID[1:]}.tif", "p_A01_s1_w1_thumb.TIF", "p.HTD"],
    "operetta": ["BR1/Images/Index.idx.xml"],
    "cellvoyager": ["DC_sCMOS #1_CAM1.tif", "p/SC_BP445-45_40x_M10_CH01.tif", "MeasurementData.mlf"],
    "cellvoyager-96": ["MeasurementResult.ome.xml"],
    "incell": ["plate.xdce"],
    "serialem": ["CountRef_G3_L1_ts_001_000_12.0.mrc", "Grid1_LMM.st", "TS_01.mrc.mdoc", "Grid1.nav"],
    "epu": [
        f"{SQUARE}/GridSquare_20210625_101112.mrc",
        f"{SQUARE}/FoilHoles/FoilHole_25598436_20210625_171900.mrc",
        f"{SQUARE}/Data/{HOLE}.jpg",
        f"{SQUARE}/Data/{HOLE}_gain.tiff",
        f"{SQUARE}/Data/{HOLE}-gain-ref.MRC",
        "Atlas/Tile_001_002_1.mrc",
    ],
}


def _cases(names: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(preset, path) for preset, paths in names.items() for path in paths]


def test_every_preset_has_good_and_bad_names() -> None:
    assert set(load_presets()) == set(GOOD) == set(BAD)
    assert all(pattern.description for pattern in load_presets().values())


@pytest.mark.parametrize(
    ("preset", "path", "name"),
    [(preset, path, name) for preset in GOOD for path, name in GOOD[preset].items()],
)
def test_good_names_are_read(preset: str, path: str, name: ParsedName) -> None:
    pattern = load_presets()[preset]
    assert pattern.parse(path) == name
    assert not pattern.ignores(path)


@pytest.mark.parametrize(("preset", "path"), _cases(BAD))
def test_bad_names_are_not_read(preset: str, path: str) -> None:
    pattern = load_presets()[preset]
    assert pattern.parse(path) is None
    assert not pattern.ignores(path)


@pytest.mark.parametrize(("preset", "path"), _cases(IGNORED))
def test_thumbnails_and_the_like_are_ignored(preset: str, path: str) -> None:
    assert load_presets()[preset].ignores(path)


@pytest.mark.parametrize("preset", GOOD)
def test_a_whole_list_is_parted(preset: str) -> None:
    good, bad, ignored = GOOD[preset], BAD[preset], IGNORED.get(preset, [])
    times = Counter(good.values())  # the lists hold some names in several guises, which say the same
    read = NameReader(load_presets()[preset]).read([*good, *bad, *ignored])
    assert read.parsed == {path: name for path, name in good.items() if times[name] == 1}
    assert list(read.ignored) == ignored
    assert {problem.where for problem in read.unparsed} == {
        *bad,
        *(path for path, name in good.items() if times[name] > 1),
    }


SETS = {
    "incell": ["A - 1(fld 1 wv DAPI - DAPI).tif", "A - 1(fld 1 wv FITC - FITC).tif"],
    "operetta": ["Images/r01c01f01p01-ch1sk1fk1fl1.tiff", "Images/r01c01f01p01-ch2sk1fk1fl1.tiff"],
    "cellvoyager": ["plate7_A01_T0001F001L01A01Z01C01.tif", "plate7_A01_T0001F001L01A02Z01C02.tif"],
    "cellvoyager-96": ["Image/W0001F0001T0001Z001C1.tif", "Image/W0001F0001T0001Z001C2.tif"],
    "cellvoyager-384": ["W0001F0001T0001Z001C1.tif", "W0001F0001T0001Z001C2.tif"],
    "cellvoyager-1536": ["Image/Field0001/W1F001T0001Z01C1.tif", "Image/Field0001/W1F001T0001Z01C2.tif"],
    "imagexpress": ["plate7_A01_w1.TIF", "plate7_A01_w2.TIF"],
    "incucyte": ["phase/A1_1_00d00h00m.tif", "green/A1_1_00d00h00m.tif"],
}


@pytest.mark.parametrize("preset", SETS)
def test_the_channels_of_a_site_in_a_plates_folder_are_one_set(preset: str) -> None:
    spec = ImageSetSpec(group_by=("plate", "well", "site"), expected=2, combine="max")
    read = NameReader(load_presets()[preset], "/data/screen/plate7").read(SETS[preset])
    assert not read.unparsed
    names = list(read.parsed.values())
    assert [spec.key_of(name.fields()) for name in names] == ['["plate7", "A01", "1"]'] * 2
    assert names[0].channel != names[1].channel


@pytest.mark.parametrize(
    ("preset", "folder", "path", "plate"),
    [
        ("operetta", "/data/plate7/Images", "r01c01f01p01-ch1sk1fk1fl1.tiff", "plate7"),
        ("imagexpress", "C:/data/plate7/TimePoint_1/ZStep_2", "A01_s1_w1.TIF", "plate7"),
        ("epu", "/x/GridSquare_7/Data", f"{HOLE}.mrc", "GridSquare_7"),
        ("epu", "/x/session", f"{HOLE}.mrc", "session"),
        ("serialem", "/x/grid3", "TS_05_008_-12.0.mrc", "grid3"),
        ("imagexpress", "/data/other", "plate7_A01_s1_w1.TIF", "plate7"),
        (r"(?P<well>[A-P]\d\d)", "/data/P24", "A01.tif", "P24"),
        (r"(?P<well>[A-P]\d\d)", "/", "A01.tif", None),
        ("incell", "/" + "x" * 300, "A - 1(fld 1 wv DAPI - DAPI).tif", "x" * 300),
    ],
)
def test_a_plate_that_names_do_not_tell_is_told_by_the_folder(
    preset: str, folder: str, path: str, plate: str | None
) -> None:
    (name,) = NameReader(name_pattern(preset), folder).read([path]).parsed.values()
    assert name.plate == plate
    assert name.well in (None, "A01")


def test_a_users_word_is_a_preset_a_file_or_an_expression(tmp_path: Path) -> None:
    assert name_pattern("IncuCyte") is load_presets()["incucyte"]
    own = tmp_path / "ours.yaml"
    own.write_text("name: ours\npatterns: ['^(?P<well>[A-P]\\d\\d)\\.tif$']\nignore: ['^test']\n")
    assert name_pattern(str(own)).parse("B07.tif") == ParsedName(well="B07")
    assert name_pattern(r"(?P<Well>[A-P]\d\d)_(?P<Site>\d+)").parse("x/P24_12.tif") == ParsedName(
        well="P24", site=12
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("imagexpres", "is none of cellvoyager, cellvoyager-1536"),
        ("missing.yaml", "cannot be read as YAML"),
        ("(?P<well>[A-P", "is no regular expression: unterminated character set"),
        (r"[A-P]\d\d_.*", "names no group"),
        (r"(?P<wel>\w\d\d)", "names the group 'wel'; groups are plate, well, row"),
        (r"(?P<row>\w)_x", "'row' and 'column' make a well only together"),
        (r"W(?P<well_number>\d+)", "needs plate_columns"),
        (r"(?P<plate>(\w+_)+)(?P<well>\w\d\d)", "may take for ever: '(?P<plate>(\\\\w+_)+'"),
    ],
)
def test_what_is_wrong_with_a_users_word_is_told(text: str, told: str) -> None:
    with pytest.raises(InvalidError) as caught:
        name_pattern(text)
    assert told in str(caught.value)


def test_a_file_says_where_it_is_wrong(tmp_path: Path) -> None:
    own = tmp_path / "ours.yml"
    own.write_text("name: ours\npattern: x\n")
    with pytest.raises(InvalidError, match=r"ours\.yml: patterns: .*ours\.yml: pattern: "):
        name_pattern(str(own))
