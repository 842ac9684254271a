"""Quantities are exact, canonical and rounded up, as Kubernetes has them."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.spec import quantity

FACTORS = {
    **{suffix: Fraction(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    "": Fraction(1),
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
    **{f"e{power}": Fraction(10) ** power for power in range(-12, 20)},
    **{f"E+{power}": Fraction(10) ** power for power in range(20)},
}
LARGEST = 2**63 - 1

amounts = st.tuples(
    st.sampled_from(["", "+", "-"]),
    st.from_regex(r"[0-9]{1,12}(\.[0-9]{0,6})?|\.[0-9]{1,6}", fullmatch=True),
    st.sampled_from(sorted(FACTORS)),
)


@given(amounts)
def test_a_quantity_is_the_exact_amount_rounded_away_from_zero_to_thousandths_and_capped(parts):
    sign, number, suffix = parts
    exact = Fraction(number.strip(".") if number.endswith(".") else "0" + number) * FACTORS[suffix]
    expected = min(ceil(exact * 1000), LARGEST * 1000)
    assert quantity.milli_value("".join(parts)) == (-expected if sign == "-" else expected)


@given(amounts)
def test_the_canonical_form_is_the_same_amount_and_its_own_canonical_form(parts):
    text = "".join(parts)
    canonical = quantity.canonical(text)
    assert quantity.milli_value(canonical) == quantity.milli_value(text)
    assert quantity.canonical(canonical) == canonical
    assert "." not in canonical


@given(st.integers(0, LARGEST))
def test_whole_units_are_read_back_whatever_their_size(number):
    assert quantity.value(str(number)) == number


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Ki", "0"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("+2", "2"),
        ("1000M", "1G"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("2000Ki", "2000Ki"),
        ("0.5Ki", "512"),
        ("1.5Ki", "1536"),
        ("0.1m", "1m"),
        ("12e6", "12e6"),
        ("1E3", "1e3"),
        ("1e4", "10e3"),
        ("1E", "1E"),
        ("8Ei", "9223372036854775807"),
    ],
)
def test_the_canonical_form_has_no_fraction_and_the_largest_suffix_that_loses_nothing(text, canonical):
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize(
    ("text", "value"), [("250m", 1), ("1", 1), ("1001m", 2), ("64Mi", 67108864), ("1k", 1000)]
)
def test_a_value_in_whole_units_is_rounded_up(text, value):
    assert quantity.value(text) == value


@pytest.mark.parametrize("text", ["", ".", "abc", "1.1.1", "--1", "+-1", "\uff11", "1" * 101])
def test_what_does_not_begin_with_a_number_is_no_quantity(text):
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


@pytest.mark.parametrize("text", ["1x", "1 Gi", "1gi", "1mi", "1e", "1e+", "1k3", "1KiB", "1e1.5", "1K"])
def test_an_unknown_suffix_is_refused(text):
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "milli"), [("1e99999999999", LARGEST * 1000), ("1e-99999999999", 1), ("0e999999999", 0)]
)
def test_an_absurd_exponent_costs_nothing(text, milli):
    assert quantity.milli_value(text) == milli
