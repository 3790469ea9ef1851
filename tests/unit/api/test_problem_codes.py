"""The codes of problems are those that the users' documentation lists."""

import re
from pathlib import Path

from werkzeug.exceptions import ImATeapot, MethodNotAllowed, NotFound, Unauthorized

from haste_server.api.problem_codes import STATUSES, ProblemCode, RefusedError, code_of

REST = (Path(__file__).resolve().parents[3] / "docs" / "rest.md").read_text(encoding="utf-8")


def test_the_documentation_lists_all_codes_with_their_statuses() -> None:
    rows = re.findall(r"^\| (any other|\d{3}) \| `([a-z-]+)` \| \S.* \|$", REST, re.M)

    assert [code for _, code in rows] == [code.value for code in ProblemCode]
    assert {code: status for status, code in rows} == {
        code.value: str(STATUSES.get(code, "any other")) for code in ProblemCode
    }


def test_what_the_framework_refuses_has_a_code() -> None:
    assert code_of(NotFound()) is ProblemCode.NOT_FOUND
    assert code_of(MethodNotAllowed()) is ProblemCode.METHOD_NOT_ALLOWED
    for unknown in (ImATeapot(), Unauthorized()):
        assert code_of(unknown) is ProblemCode.REFUSED


def test_a_refusal_has_the_status_of_its_code() -> None:
    refused = RefusedError(ProblemCode.TOKEN_MISSING, "show one", {"WWW-Authenticate": "Bearer"})

    assert (refused.code, refused.name, refused.description) == (401, "Unauthorized", "show one")
    assert ("WWW-Authenticate", "Bearer") in refused.get_headers()
    assert code_of(refused) is ProblemCode.TOKEN_MISSING
