"""How an event's text is cut into windows."""

import pytest

from appliance.scoring.windows import (
    MAX_WINDOWS,
    SCREEN,
    TYPED,
    TYPED_IN_CONTEXT,
    WINDOW_PIECES,
    event_windows,
    is_interface,
    screen_windows,
    split_text,
)


def count_words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(
    "line", ["File Edit View Insert Help", "12:41", "Inbox", "www.example.org", "|", "Type a message", "< >"]
)
def test_menus_clocks_and_addresses_are_interface(line: str) -> None:
    assert is_interface(line)


@pytest.mark.parametrize("line", ["please help", "he shouts all day", "Home is not safe", "no one came"])
def test_what_a_pupil_says_is_not_interface(line: str) -> None:
    assert not is_interface(line)


def test_a_short_text_is_one_window() -> None:
    assert split_text("One. Two.", count_words, 126) == ["One. Two."]


def test_a_long_text_is_cut_at_sentences_and_every_sentence_is_in_a_window() -> None:
    sentences = [f"Sentence number {n} says that we went to the park again." for n in range(60)]
    windows = split_text(" ".join(sentences), count_words, 126)
    assert all(count_words(window) <= WINDOW_PIECES for window in windows)
    assert all(any(sentence in window for window in windows) for sentence in sentences)


def test_one_endless_sentence_is_cut_and_no_word_is_lost() -> None:
    words = [f"word{n}" for n in range(500)]
    windows = split_text(" ".join(words), count_words, 126)
    assert all(count_words(window) <= WINDOW_PIECES for window in windows)
    assert {word for window in windows for word in window.split()} == set(words)


def test_screen_lines_come_in_windows_that_share_a_line() -> None:
    windows = screen_windows(
        "File Edit View\nline one here\nline two here\nline three here\nline four here\nend here", 24
    )
    assert windows == ["line one here\nline two here\nline three here\nline four here", "line four here\nend here"]


def test_a_full_screen_is_covered_by_the_windows_there_are() -> None:
    lines = [f"this is what line {n} says" for n in range(300)]
    windows = screen_windows("\n".join(lines), 10)
    assert len(windows) <= 10
    assert all(any(line in window.split("\n") for window in windows) for line in lines)


def test_an_event_has_what_was_typed_first_and_never_too_many_windows() -> None:
    screen = "\n".join(f"this is what line {n} says to everyone in the room" for n in range(900))
    windows = event_windows("typed now", ["before one", "before two"], screen, count_words, 126)
    assert windows[0].place == TYPED and windows[0].text == "typed now"
    assert windows[1].place == TYPED_IN_CONTEXT and windows[1].text == "before one\nbefore two\ntyped now"
    assert {window.place for window in windows[2:]} == {SCREEN}
    assert len(windows) == MAX_WINDOWS


def test_the_same_text_is_not_read_twice() -> None:
    windows = event_windows("only this line", [], "only this line", count_words, 126)
    assert [(window.place, window.text) for window in windows] == [(TYPED, "only this line")]


def test_an_event_without_text_has_no_windows() -> None:
    assert event_windows(" ", ["", " "], "\n\n", count_words, 126) == []
