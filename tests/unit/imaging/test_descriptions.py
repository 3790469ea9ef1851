"""A note finds its place in every kind of description."""

import json
from xml.etree import ElementTree

import pytest
import tifffile

from haste_workers.imaging.descriptions import noted

NOTE = "derivative: floodfill(threshold=30, bit_depth=8)"


@pytest.mark.parametrize(
    "description",
    [b'{"shape": [96, 80], "axes": "YX"}', b'  {"gain": 1.50}\n\0', b"{}", b'{"a": {"b": "}"}}\0\0'],
)
def test_json_stays_json_with_one_member_more(description: bytes) -> None:
    told = noted(description, NOTE)
    before = json.loads(description.rstrip(b"\0"))
    assert json.loads(told) == {**before, "haste": NOTE}
    assert description.rstrip(b"\0").strip()[:-1] in told  # the members as they were written


def test_the_old_words_of_tifffile_become_its_new_ones() -> None:
    told = noted(b"shape=(3, 96, 80)", NOTE).decode()
    assert tifffile.tifffile.shaped_description_metadata(told) == {"shape": [3, 96, 80], "haste": NOTE}


@pytest.mark.parametrize(
    "description",
    [
        b'<?xml version="1.0" encoding="UTF-8"?><OME><Image ID="Image:0"><Pixels/></Image></OME>',
        b"<OME><Image/></OME>\n",
        b'\xef\xbb\xbf<?xml version="1.0"?>\r\n<o:OME xmlns:o="ome"><o:Image/></o:OME>\0',
        b"<MetaData><prop id='pH' value='7'/></MetaData>",
    ],
)
def test_xml_stays_xml_with_the_same_ends(description: bytes) -> None:
    text = description.rstrip(b"\0")
    told = noted(description, f"{NOTE} -- twice")
    before, after = (ElementTree.fromstring(xml) for xml in (text, told))
    assert [element.tag for element in after.iter()] == [element.tag for element in before.iter()]
    assert NOTE.encode() in told
    assert (told[:5], told[-6:]) == (text[:5], text[-6:])


@pytest.mark.parametrize("description", [b"kidney", b"ImageJ=1.53t\nimages=1\n", b"a < b, {c}", b"[1, 2]"])
def test_other_text_gets_a_line(description: bytes) -> None:
    first, _, last = noted(description + b"\0", NOTE).rpartition(b"\n")
    assert (first, last) == (description, NOTE.encode())


def test_imagej_reads_on() -> None:
    told = noted(b"ImageJ=1.53t\nimages=4\nslices=4\n", NOTE).decode()
    read = tifffile.tifffile.imagej_description_metadata(told)
    assert (read["ImageJ"], read["images"], read["slices"]) == ("1.53t", 4, 4)


def test_where_nothing_was_said_the_note_stands_alone() -> None:
    assert noted(b"\0", NOTE) == NOTE.encode()
