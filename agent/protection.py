"""Which controls hide what is typed. What can't be told counts as hidden.

Standard library only, and no import of ours: the process that sees the controls runs it too.
"""

import re

TEXT_ROLES = frozenset({"text", "entry", "paragraph", "document text", "document web", "document frame", "editbar"})
"""Roles of controls in which people write; any other role is not known to be one."""
TERMINALS = frozenset(
    {"xterm", "uxterm", "urxvt", "rxvt", "st", "konsole", "gnome-terminal", "gnome-terminal-server", "kitty",
     "alacritty", "terminator", "tilix", "xfce4-terminal", "mate-terminal", "lxterminal", "qterminal", "terminal",
     "foot", "wezterm", "iterm2", "windowsterminal", "cmd", "powershell", "pwsh", "conhost", "putty"}
)  # fmt: skip
"""Programs whose text can't be told from a password typed at a prompt. They are never read, whatever a policy says."""
_SECRET = re.compile(
    r"pass\s*-?(?:word|code|phrase|key)|\bpin\b|\bcvc\d?\b|\bcvv\d?\b|\bcsc\b|card\s*(?:number|no\b|holder)|cardnumber"
    r"|security\s*code|sort\s*code|account\s*(?:number|no\b)|\biban\b|one[\s-]*time|\botp\b|verification\s*code"
    r"|\bexpir(?:y|ation)\b|\bcc-|current-password|new-password|credit\s*card|debit\s*card|\bsecret\b|cyfrinair",
    re.IGNORECASE,
)


def is_terminal(application: str) -> bool:
    """Whether a program of this name shows a terminal."""
    name = application.casefold().removesuffix(".exe")
    return name in TERMINALS or name.endswith("-terminal")


def is_protected(role: str, words: str, application: str) -> bool | None:
    """Whether a control hides what is typed: True, False, or None where it can't be told (which counts as True).

    role: as AT-SPI calls it. words: everything the control says of itself: name, label, placeholder, attributes.
    """
    if role == "password text" or _SECRET.search(words):
        return True
    if is_terminal(application) or role not in TEXT_ROLES:
        return None
    return False
