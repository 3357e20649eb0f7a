"""The unique pupil number: its shape, its check letter, and why one is refused.

Thirteen characters: a check letter, three digits of a local authority, four of a school, two of the academic year, and
three of a serial number whose last is a letter in a temporary one. The check letter is the sum over the characters 2
to 13 of value times position (the first digit weighs 2, the last 13), modulo 23, in an alphabet without I, O and S; a
letter in the last place counts by its own place in that alphabet.
"""

from dataclasses import dataclass

from appliance.exchange.codes import known_authorities

ALPHABET = "ABCDEFGHJKLMNPQRTUVWXYZ"
LENGTH = 13


class UpnError(ValueError):
    """A value that is no UPN. The message is one sentence that says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Upn:
    """A valid UPN. authority: the local authority's three digits. warnings: what is odd but no reason to refuse it."""

    value: str
    temporary: bool
    authority: str
    warnings: tuple[str, ...] = ()


def check_letter(body: str) -> str:
    """The check letter of the twelve characters after it. Raises UpnError where they aren't a UPN's."""
    if len(body) != LENGTH - 1:
        raise UpnError(f"A UPN has {LENGTH - 1} characters after its check letter; this has {len(body)}.")
    total = 0
    for place, sign in enumerate(body, start=2):
        if sign.isascii() and sign.isdigit():
            value = int(sign)
        elif place == LENGTH and sign in ALPHABET:
            value = ALPHABET.index(sign)
        elif place == LENGTH:
            raise UpnError(f"The last character of a UPN is a digit, or a letter other than I, O and S, not “{sign}”.")
        else:
            raise UpnError(f"Character {place} of a UPN is a digit, not “{sign}”.")
        total += value * place
    return ALPHABET[total % len(ALPHABET)]


def read_upn(text: str) -> Upn:
    """The UPN that was written here, spaces and case aside. Raises UpnError."""
    value = "".join(text.split()).upper()
    if not value:
        raise UpnError("There is no UPN.")
    if len(value) != LENGTH:
        raise UpnError(f"A UPN has {LENGTH} characters; this has {len(value)}.")
    if value[0] not in ALPHABET:
        raise UpnError(f"A UPN begins with a letter other than I, O and S, not “{value[0]}”.")
    wanted = check_letter(value[1:])
    if value[0] != wanted:
        raise UpnError(f"The check letter is “{value[0]}”, and that of these digits is “{wanted}”: one is mistyped.")
    authority = value[1:4]
    warnings: tuple[str, ...] = ()
    if authority not in known_authorities():
        warnings = (f"No local authority has the number {authority}, as far as the box knows.",)
    return Upn(value, not value[-1].isdigit(), authority, warnings)
