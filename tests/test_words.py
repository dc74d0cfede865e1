"""A risk is a word, so that nobody has to tell it from a colour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.words import BANDS, band, bands

ORDER = ["low", "medium", "high", "very high"]
SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("risk", "word"),
    [
        (0.0, "low"), (0.199, "low"), (0.2, "medium"), (0.399, "medium"),
        (0.4, "high"), (0.699, "high"), (0.7, "very high"), (1.0, "very high"),
    ],
)  # fmt: skip
def test_the_bands_of_a_threshold_of_two_fifths(risk, word):
    assert band(risk, 0.4) == word


@given(SHARES, SHARES, SHARES)
def test_a_higher_risk_is_never_in_a_lower_band(one, other, threshold):
    low, high = sorted([one, other])
    assert ORDER.index(band(low, threshold)) <= ORDER.index(band(high, threshold))


@given(SHARES, SHARES)
def test_high_is_what_the_model_says_will_leave(risk, threshold):
    assert (ORDER.index(band(risk, threshold)) >= 2) == (risk >= threshold)


@given(SHARES, SHARES)
def test_every_risk_lies_in_the_bounds_of_its_band_and_of_no_other(risk, threshold):
    assert [name for name, (start, end) in bands(threshold).items() if start <= risk <= end] == [band(risk, threshold)]
    assert tuple(bands(threshold)) == BANDS
