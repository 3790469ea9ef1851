"""The borders of a policy on a feature's axis, against the scores themselves."""

import math

from hypothesis import given
from hypothesis import strategies as st

from haste_core.borders import least_reaching
from haste_core.interestingness import ScoredObject, built_in

FINITE = st.floats(-50, 50)


@given(
    k=st.floats(-20, 20).filter(lambda k: abs(k) > 1e-3),
    x0=st.floats(-5, 5),
    wanted=st.floats(0.01, 0.99),
    values=st.lists(FINITE, min_size=1),
)
def test_values_beyond_a_border_score_at_least_as_much(
    k: float, x0: float, wanted: float, values: list[float]
) -> None:
    logistic = built_in("logistic", {"feature": "x", "k": k, "x0": x0})

    def score(value: float) -> float:
        return logistic(ScoredObject(features={"x": value}, metadata={}))

    border = least_reaching(score, wanted, rising=k > 0)
    near = [math.nextafter(border, -math.inf), border, math.nextafter(border, math.inf)]
    for value in [*values, *near]:
        assert (value >= border if k > 0 else value <= border) == (score(value) >= wanted)


def test_what_no_value_reaches_has_its_border_at_infinity() -> None:
    assert least_reaching(lambda _: 0.3, 0.5, rising=True) == math.inf
    assert least_reaching(lambda _: 0.3, 0.5, rising=False) == -math.inf
    assert least_reaching(lambda _: 0.3, 0.2, rising=True) == -1.7976931348623157e308
