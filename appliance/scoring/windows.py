"""Cuts text into windows that the model can read whole, and leaves out what is only interface."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_WINDOWS = 24
"""Most windows of one event that are scored: a busy screen costs about a tenth of a second, not more."""
WINDOW_PIECES = 96
"""Word pieces to which a long text's windows are filled."""
SCREEN_LINES = 4
"""Screen lines in a window; neighbouring windows share one line, so that a sentence is not cut in two."""
CONTEXT_LINES = 5

TYPED, TYPED_IN_CONTEXT, SCREEN = "typed text", "typed text with what came before", "text on screen"
WEIGHTS: dict[str, float] = {TYPED: 1.0, TYPED_IN_CONTEXT: 0.97, SCREEN: 0.9}
"""How much a window counts: what the pupil typed counts whole, what happened to be on the screen less."""

_INTERFACE_WORDS = (
    "file edit view insert format tools help window history bookmarks home share search settings sign in out log "
    "cancel ok save print close open new tab tabs back forward refresh undo redo copy paste cut select all delete "
    "zoom page layout references mailings review design transitions animations slide show data table add ons "
    "extensions profiles menu more apps drive docs sheets slides gmail calendar classroom teams meet chat files inbox "
    "sent drafts spam bin archive reply unread star starred upload download rename move send type a message "
    "online offline last seen today yesterday now typing muted unmute mute camera leave join and the to of"
)
_INTERFACE = frozenset(_INTERFACE_WORDS.split())
_ADDRESS = re.compile(r"https?://|www\.|\.(com|org|net|uk|html?)\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*\s*|\n+")


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of text that is scored on its own. place: a key of WEIGHTS; text: as it was, not normalised."""

    place: str
    text: str


def is_interface(line: str) -> bool:
    """Whether a screen line is only menus, buttons, numbers or an address, and says nothing of a pupil."""
    words = re.findall(r"[a-z']+", line.lower())
    letters = sum(len(word) for word in words)
    if letters < 3 or (len(line.split()) == 1 and _ADDRESS.search(line.lower())):
        return True
    return len(words) <= 12 and all(word in _INTERFACE or len(word) == 1 for word in words)


def split_text(text: str, count_pieces: Callable[[str], int], most: int) -> list[str]:
    """``text`` in stretches of whole sentences; the text itself where it takes at most ``most`` word pieces."""
    if count_pieces(text) <= most:
        return [text]
    parts: list[str] = []
    for sentence in _SENTENCE.findall(text):
        parts.extend(_short_parts(sentence, count_pieces))
    windows: list[str] = []
    current: list[str] = []
    size = 0
    for part in parts:
        pieces = count_pieces(part)
        if current and size + pieces > WINDOW_PIECES:
            windows.append("".join(current).strip())
            # the last sentence is read again, so that two sentences that belong together are seen together
            kept = current[-1] if count_pieces(current[-1]) + pieces <= WINDOW_PIECES else ""
            current, size = ([kept], count_pieces(kept)) if kept else ([], 0)
        current.append(part)
        size += pieces
    windows.append("".join(current).strip())
    return [window for window in windows if window]


def _short_parts(sentence: str, count_pieces: Callable[[str], int]) -> list[str]:
    """A sentence as it is, or in runs of words that each take at most WINDOW_PIECES pieces."""
    if count_pieces(sentence) <= WINDOW_PIECES:
        return [sentence]
    parts: list[str] = []
    current: list[str] = []
    size = 0
    for word in sentence.split():
        # a single run of signs without a space can be longer than any window: it is cut by letters
        for piece in [word[start : start + 40] for start in range(0, len(word), 40)]:
            pieces = count_pieces(piece)
            if current and size + pieces > WINDOW_PIECES:
                parts.append(" ".join(current) + " ")
                current, size = [], 0
            current.append(piece)
            size += pieces
    if current:
        parts.append(" ".join(current) + " ")
    return parts


def screen_windows(reading_text: str, most: int) -> list[str]:
    """At most ``most`` windows over the lines of a screen that are not interface; larger ones on a long screen."""
    lines = [line.strip() for line in reading_text.splitlines()]
    lines = [line for line in lines if line and not is_interface(line)]
    if not lines or most <= 0:
        return []
    step = max(SCREEN_LINES - 1, -(-len(lines) // most))
    return ["\n".join(lines[start : start + step + 1]) for start in range(0, max(len(lines) - 1, 1), step)][:most]


def event_windows(
    typed: str, context: Sequence[str], reading_text: str, count_pieces: Callable[[str], int], most: int
) -> list[Window]:
    """The windows of one event, what was typed first; at most MAX_WINDOWS, no text twice.

    most: word pieces that fit the model at once.
    """
    windows = [Window(TYPED, part) for part in split_text(typed, count_pieces, most)] if typed.strip() else []
    before = [line for line in context if line.strip()][-CONTEXT_LINES:]
    if before:
        while len(before) > 1 and count_pieces("\n".join([*before, typed])) > most:
            before.pop(0)
        joined = "\n".join([*before, typed]).strip()
        windows += [Window(TYPED_IN_CONTEXT, part) for part in split_text(joined, count_pieces, most)]
    windows = windows[-MAX_WINDOWS // 2 :]
    for text in screen_windows(reading_text, MAX_WINDOWS - len(windows)):
        windows += [Window(SCREEN, part) for part in split_text(text, count_pieces, most)]
    unique = {window.text.strip(): window for window in reversed(windows)}
    return list(reversed(unique.values()))[:MAX_WINDOWS]
