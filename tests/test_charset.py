import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openplate.charset import CHARACTERS, Charset, normalise


def test_charset_of_all_readers_has_every_character_once() -> None:
    # 10 digits, 26 Latin letters, 3 umlauts, 31 provinces, 7 special characters
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 77
    assert len(Charset()) == 78


def test_class_ids_start_after_the_blank() -> None:
    charset = Charset("A0京")
    assert charset.encode("京A0A") == [3, 1, 2, 1]
    assert len(charset) == 4


def test_blanks_are_skipped_and_repeats_kept() -> None:
    assert Charset("A7").decode([0, 2, 0, 2, 2, 1]) == "777A"
    assert Charset("A7").decode([]) == ""


def test_character_outside_the_charset_is_named() -> None:
    with pytest.raises(ValueError, match="character 'Ж' of 'AЖ'"):
        Charset().encode("AЖ")


@pytest.mark.parametrize(("text", "covered"), [("A京7", True), ("", True), ("a", False), ("A-7", False), ("Ж", False)])
def test_covered_texts_have_a_class_for_each_character(text: str, covered: bool) -> None:
    assert Charset().covers(text) is covered


@pytest.mark.parametrize("characters", ["", "ABA"], ids=["empty", "twice"])
def test_charset_without_or_with_double_characters_is_refused(characters: str) -> None:
    with pytest.raises(ValueError, match="at least one character and none twice"):
        Charset(characters)


@settings(max_examples=50, deadline=None)
@given(st.text(CHARACTERS))
def test_encoded_text_decodes_to_itself(text: str) -> None:
    assert Charset().decode(Charset().encode(text)) == text


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("а123вс 77", "A123BC77"),
        ("АВЕКМНОРСТУХ", "ABEKMHOPCTYX"),
        (" w-ab 12 ", "WAB12"),
        ("京A·12345", "京A12345"),
        ("京A•123_45", "京A12345"),
        ("mü:x|1", "MÜX1"),
        ("1234\u00a0AB\t7", "1234AB7"),
        ("Ж", "Ж"),
        ("", ""),
    ],
)
def test_typed_text_is_brought_into_the_projects_spelling(typed: str, text: str) -> None:
    assert normalise(typed) == text


@settings(max_examples=50, deadline=None)
@given(st.text("aАвßÄ-_·7 \n京ЖıI"))
def test_normalised_text_stays_as_it_is(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
