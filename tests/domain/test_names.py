import sys
import unicodedata

from platform_domain.names import fault_of


def test_a_name_of_one_letter_digit_or_sign_of_any_script_can_be_seen() -> None:
    fillers = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char)[0] in "LNPS" and char not in fillers:
            assert fault_of(char) is None, ascii(char)


def test_a_name_of_only_white_space_or_control_characters_cannot_be_seen() -> None:
    for code in range(0x10000):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Zs", "Zl", "Zp"):
            assert fault_of(char) is not None, ascii(char)


def test_a_name_of_only_zero_width_characters_cannot_be_seen() -> None:
    for char in "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2064\ufeff\ufe0f":
        assert fault_of(char) == "A name has at least one visible character", ascii(char)


def test_a_name_has_no_character_that_changes_the_order_of_others() -> None:
    for code in range(0x10000):
        is_explicit = unicodedata.bidirectional(chr(code)) in (
            *("LRE", "RLE", "LRO", "RLO", "PDF"),
            *("LRI", "RLI", "FSI", "PDI"),
        )
        assert not is_explicit or "directional" in str(fault_of(f"a{chr(code)}b"))
