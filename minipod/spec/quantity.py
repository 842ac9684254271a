"""Kubernetes quantities: "250m", "1.5", "64Mi", "1e3", as exact integers. No float takes part in anything.

A quantity is kept in milli-units, the finest step a pod's resources can have: what is finer is rounded up (away from
zero), as Kubernetes' defaulting does (SetDefaults_ResourceList). Nothing is larger than 2^63-1 units: what is, is
capped there. Canonical form (apimachinery, resource.Quantity): no fraction, the largest suffix that loses nothing, of
the same family as the one written: "0.5" -> "500m", "1024Mi" -> "1Gi", "1.5Gi" -> "1536Mi", "12e3" -> "12e3".
"""

from typing import Literal

import msgspec

_DIGITS = frozenset("0123456789")
_SI = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SI_NAMES = {power: suffix for suffix, power in _SI.items()}
_BINARY_NAMES = {bits: suffix for suffix, bits in _BINARY.items()}
_MAX_MILLI = (2**63 - 1) * 1000

_FORMAT_WRONG = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    ", for example 250m, 1.5 or 64Mi"
)
_SUFFIX_WRONG = (
    "unable to parse quantity's suffix: expected one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or e3"
)


class Quantity(msgspec.Struct, frozen=True):
    """An exact amount and the family of suffixes it was written with."""

    milli: int
    family: Literal["si", "binary", "exponent"] = "si"

    def __str__(self) -> str:
        """The canonical form."""
        if self.milli == 0:
            return "0"
        # Below 1024, and for a fraction, the binary suffixes have no name: Kubernetes goes over to decimal ones.
        if self.family == "binary" and abs(self.milli) >= 1024_000 and self.milli % 1000 == 0:
            number, bits = self.milli // 1000, 0
            while number % 1024 == 0 and bits < 60:
                number, bits = number // 1024, bits + 10
            return f"{number}{_BINARY_NAMES.get(bits, '')}"
        number, power = self.milli, -3
        while number % 1000 == 0 and (power < 18 or self.family == "exponent"):
            number, power = number // 1000, power + 3
        if self.family == "exponent":
            return f"{number}e{power}" if power else f"{number}"
        return f"{number}{_SI_NAMES[power]}"


def parse(text: str) -> Quantity:
    """Read a quantity; ValueError with Kubernetes' own text when it isn't one."""
    if len(text) > 100:  # no amount needs as many digits, and reading them is not free
        raise ValueError(_FORMAT_WRONG)
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    end = 0
    while end < len(rest) and (rest[end] in _DIGITS or rest[end] == "."):
        end += 1
    whole, _, fraction = rest[:end].partition(".")
    if not (whole or fraction) or "." in fraction:
        raise ValueError(_FORMAT_WRONG)
    number, suffix = int(whole + fraction), rest[end:]
    power, bits, family = _interpret(suffix)
    power += 3 - len(fraction)  # from here on in milli-units
    if number == 0:
        return Quantity(0, family)
    if power + len(str(number)) > 25:  # beyond the cap whatever the digits are: don't compute it
        return Quantity(sign * _MAX_MILLI, family)
    numerator = number << bits
    if power >= 0:
        milli = numerator * 10**power
    elif -power > len(str(numerator)):
        milli = 1
    else:
        milli = -(-numerator // 10**-power)
    return Quantity(sign * min(milli, _MAX_MILLI), family)


def _interpret(suffix: str) -> tuple[int, int, Literal["si", "binary", "exponent"]]:
    """A suffix as (power of ten, power of two, family)."""
    if suffix in _SI:
        return _SI[suffix], 0, "si"
    if suffix in _BINARY:
        return 0, _BINARY[suffix], "binary"
    digits = suffix[2:] if suffix[1:2] in ("+", "-") else suffix[1:]
    if suffix[0] not in "eE" or not digits or not _DIGITS.issuperset(digits):
        raise ValueError(_SUFFIX_WRONG)
    # Seven digits are far beyond cap and rounding: an exponent needs no more, and a longer one must cost nothing.
    power = int(digits[-7:]) if len(digits) <= 7 else 10**7
    return -power if suffix[1] == "-" else power, 0, "exponent"


def value(text: str) -> int:
    """The quantity in whole units, rounded up: bytes of memory, cores. As Quantity.Value() in Kubernetes."""
    return -(-parse(text).milli // 1000)


def milli_value(text: str) -> int:
    """The quantity in thousandths, rounded up: milli-CPUs. As Quantity.MilliValue() in Kubernetes."""
    return parse(text).milli


def canonical(text: str) -> str:
    """The quantity as Kubernetes writes it."""
    return str(parse(text))
