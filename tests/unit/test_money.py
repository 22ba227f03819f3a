"""Money: exact both ways, by ISO 4217."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.platform.money import (
    AMOUNT_MAX,
    MINOR_DIGITS,
    from_decimal_units,
    minor_digits,
    to_decimal_units,
)

currencies = st.sampled_from(sorted(MINOR_DIGITS))
amounts = st.integers(min_value=-AMOUNT_MAX, max_value=AMOUNT_MAX)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (500, "EUR", "5.00"),
        (500, "JPY", "500"),
        (500, "KWD", "0.500"),
        (500, "CLF", "0.0500"),
        (0, "EUR", "0.00"),
        (-1, "USD", "-0.01"),
        (AMOUNT_MAX, "THB", "92233720368547758.07"),
    ],
)
def test_minor_units_become_decimal_units(amount_minor: int, currency: str, written: str) -> None:
    """EUR 500 is 5.00, JPY 500 is 500 yen."""
    assert str(to_decimal_units(amount_minor, currency)) == written
    assert from_decimal_units(written, currency) == amount_minor


@given(amounts, currencies)
def test_there_and_back_is_the_same_amount(amount_minor: int, currency: str) -> None:
    units = to_decimal_units(amount_minor, currency)

    assert from_decimal_units(units, currency) == amount_minor
    assert from_decimal_units(str(units), currency) == amount_minor
    assert units.as_tuple().exponent == -minor_digits(currency)


@given(amounts.filter(bool), currencies, st.integers(min_value=1, max_value=9))
def test_a_digit_too_many_is_never_rounded_away(
    amount_minor: int, currency: str, digit: int
) -> None:
    written = f"{to_decimal_units(amount_minor, currency):f}"
    point = "" if "." in written else "."

    with pytest.raises(ValueError, match="not rounded"):
        from_decimal_units(f"{written}{point}{digit}", currency)


@pytest.mark.parametrize("amount", ["5", "5.0", "5.00", "5.000", Decimal(5), Decimal("0.5E+1")])
def test_zeros_that_say_nothing_do_no_harm(amount: str | Decimal) -> None:
    assert from_decimal_units(amount, "EUR") == 500


@pytest.mark.parametrize(
    "amount",
    [
        *("", " 5", "5 ", "5,00", "5.", ".5", "+5", "1e3", "1_000", "NaN", "Infinity", "5\n"),
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "1" * 41,
        Decimal("NaN"),
        Decimal("-Infinity"),
    ],
)
def test_what_is_not_an_amount_is_refused(amount: str | Decimal) -> None:
    with pytest.raises(ValueError, match="not an amount of money"):
        from_decimal_units(amount, "EUR")


@pytest.mark.parametrize("amount", ["92233720368547758.08", Decimal("1E+999999"), "9" * 40])
def test_an_amount_no_column_holds_is_refused_at_once(amount: str | Decimal) -> None:
    with pytest.raises(ValueError, match="larger than"):
        from_decimal_units(amount, "EUR")


def test_a_hair_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not rounded"):
        from_decimal_units(Decimal("1E-999999"), "EUR")


def test_nothing_is_nothing_in_any_form() -> None:
    assert from_decimal_units("-0.000", "EUR") == 0
    assert from_decimal_units(Decimal("0E+999999"), "JPY") == 0


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "XAU", "DEM", "BGN", "€"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="not an active currency"):
        to_decimal_units(500, currency)
    with pytest.raises(ValueError, match="not an active currency"):
        from_decimal_units("5.00", currency)


# ISO 4217 list one of 2026-01-01, by number of decimals. Amounts are stored in these minor units:
# where a new edition of the package changes the decimals of a currency, stored ones change value.
DECIMALS = {
    0: """
        BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
    """,
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP
        BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB
        EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
        KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
        MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
        TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: """
        BHD IQD JOD KWD LYD OMR TND
    """,
    4: """
        CLF UYW
    """,
}


def test_the_currencies_are_those_of_list_one() -> None:
    assert {
        code: decimals for decimals, codes in DECIMALS.items() for code in codes.split()
    } == MINOR_DIGITS
