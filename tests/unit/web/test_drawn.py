"""Pages that are kept for others hold nothing of the session that they were drawn for."""

from haste_server.web.drawn import _MOST, DrawnPages

OWN, ANOTHERS = "a" * 64, "b" * 64


def test_each_gets_the_page_with_the_own_token() -> None:
    drawn = DrawnPages()
    drawn.keep("tag", f"<p>{OWN}</p><p>{OWN}</p>".encode(), form_token=OWN)

    assert drawn.find("tag", form_token=ANOTHERS) == f"<p>{ANOTHERS}</p><p>{ANOTHERS}</p>".encode()
    assert drawn.find("other", form_token=ANOTHERS) is None


def test_the_newest_drawing_counts_and_the_oldest_pages_go() -> None:
    drawn = DrawnPages()
    for number in range(_MOST):
        drawn.keep(str(number), b"first", form_token=OWN)
    drawn.keep("0", b"second", form_token=OWN)
    drawn.keep("more", b"more", form_token=OWN)

    assert drawn.find("0", form_token=OWN) == b"second"
    assert drawn.find("1", form_token=OWN) is None
    assert drawn.find("more", form_token=OWN) == b"more"
