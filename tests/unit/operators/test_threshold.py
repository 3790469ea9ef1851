"""Threshold and chains."""

import numpy as np
import pytest

from haste_core.operators import Chain, Floodfill, Operator, Recompress, Threshold, darkened, floodfill

IMAGE = np.random.default_rng(0).integers(0, 60, (20, 20)).astype(np.uint8)


def test_all_that_is_dark_becomes_black() -> None:
    expected = [[0 if level < 30 else level for level in row] for row in IMAGE.tolist()]
    assert darkened(IMAGE).tolist() == expected
    deep = IMAGE.astype(np.uint16) * 257
    assert darkened(deep).tolist() == (np.array(expected) * 257).tolist()
    assert darkened(deep, 30 * 257, bit_depth=16).dtype == np.uint16


def test_dark_pixels_inside_go_too() -> None:
    image = np.full((5, 5), 200, np.uint8)
    image[2, 2] = 7
    assert floodfill(image)[2, 2] == 7
    assert darkened(image)[2, 2] == 0
    assert image[2, 2] == 7


@pytest.mark.parametrize(
    ("threshold", "bit_depth"), [(-1, 8), (256, 8), ("30", 8), (True, 8), (3, 0), (3, 33), (3, 8.5), (3, "8")]
)
@pytest.mark.parametrize("kind", [Threshold, Floodfill])
def test_a_wrong_threshold_is_refused_at_once(
    kind: type[Threshold], threshold: float, bit_depth: int
) -> None:
    with pytest.raises(ValueError, match="between"):
        kind(threshold=threshold, bit_depth=bit_depth)


def test_a_chain_works_in_order_and_is_as_lossy_as_its_steps() -> None:
    chain: Operator = Chain((Floodfill(threshold=20), Recompress(), Threshold(threshold=5)))
    assert not chain.lossless
    assert chain.name == "floodfill+recompress+threshold"
    assert chain.description == "floodfill(threshold=20, bit_depth=8) + threshold(threshold=5, bit_depth=8)"
    assert chain.parameters == {
        "operators": [
            {"operator": "floodfill", "threshold": 20, "bit_depth": 8},
            {"operator": "recompress"},
            {"operator": "threshold", "threshold": 5, "bit_depth": 8},
        ]
    }
    np.testing.assert_array_equal(chain.apply(IMAGE), darkened(floodfill(IMAGE, 20), 5))


def test_a_chain_of_lossless_steps_is_lossless() -> None:
    chain = Chain((Recompress(), Recompress()))
    assert chain.lossless
    assert chain.description == "recompress + recompress"
    np.testing.assert_array_equal(chain.apply(IMAGE), IMAGE)
