"""The UPN's check letter, with the field's test vectors: the DfE's, the usual dummy, two vendors' mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exchange.upn import ALPHABET, UpnError, check_letter, read_upn


@pytest.mark.parametrize(
    ("value", "temporary"),
    [
        ("B801200005001", False),
        ("R674123101121", False),  # the DfE's own test data
        ("A123456789012", False),  # the usual dummy
        ("P207000016049", False),  # what Q207000016049, printed as an example by two vendors, should have been
        ("M80120000500A", True),
        ("G80120023001B", True),
        ("J80120023002C", True),
    ],
)
def test_valid_numbers_are_taken(value: str, temporary: bool) -> None:
    upn = read_upn(value)
    assert (upn.value, upn.temporary, upn.authority) == (value, temporary, value[1:4])
    assert read_upn(f" {value[:4]} {value[4:].lower()} ").value == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("A801200005001", "that of these digits is “B”"),
        ("Q207000016049", "that of these digits is “P”"),
        ("", "no UPN"),
        ("B80120000500", "has 13 characters; this has 12"),
        ("I801200005001", "begins with a letter other than I, O and S"),
        ("8801200005001", "begins with a letter"),
        ("B80120000500O", "other than I, O and S"),
        ("B8012O0005001", "Character 6 of a UPN is a digit"),
        ("B80120000500é", "last character"),
        ("B80120000500٣", "last character"),
    ],
)
def test_others_are_refused_with_the_reason(value: str, why: str) -> None:
    with pytest.raises(UpnError, match=why):
        read_upn(value)


def test_an_authority_nobody_knows_is_a_warning_only() -> None:
    assert read_upn("B801200005001").warnings == ()
    assert "123" in read_upn("A123456789012").warnings[0]


@given(st.text("0123456789", min_size=11, max_size=11), st.sampled_from("0123456789" + ALPHABET))
def test_one_mistyped_digit_is_always_found(digits: str, last: str) -> None:
    value = check_letter(digits + last) + digits + last
    assert read_upn(value).temporary == last.isalpha()
    # 23 is a prime above every weight and every difference of digits, so no single mistake adds up to nothing
    for place in range(1, 12):
        other = str((int(value[place]) + 1) % 10)
        with pytest.raises(UpnError):
            read_upn(value[:place] + other + value[place + 1 :])


@given(st.text(max_size=20))
def test_anything_else_is_refused_and_nothing_breaks(text: str) -> None:
    try:
        assert len(read_upn(text).value) == 13
    except UpnError as error:
        assert str(error).endswith(".")
