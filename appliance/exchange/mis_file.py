"""Which format a file is in, and its rows, whatever the format."""

import re
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import BinaryIO

from appliance.exchange.ctf import read_ctf
from appliance.exchange.mis_csv import Columns, guess, read_csv, read_head
from appliance.exchange.oneroster import read_oneroster
from appliance.exchange.wonde import read_wonde
from appliance.safeguarding.pupil import FileNote, MisFileError, MisRow


class Format(StrEnum):
    """The formats that are read."""

    CSV = "csv"
    CTF = "ctf"
    ONEROSTER = "oneroster"
    WONDE = "wonde"


_CTF_NAME = re.compile(
    r"^[0-9]{3}(?:[0-9]{4}|L{4})_(?:CT[A-Z]|CM[A-Z])_(?:[0-9]{3}(?:[0-9]{4}|L{4})|X{7}|M{7})_[0-9]{3}\.xml$", re.I
)


def find_format(file: BinaryIO) -> Format:
    """What the beginning of a file says it is; the file is put back to its beginning. Raises MisFileError."""
    start = file.read(512)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        return Format.ONEROSTER
    # without the marks and noughts of UTF-8 and UTF-16
    text = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if not text:
        raise MisFileError("The file is empty.")
    if text.startswith(b"<"):
        return Format.CTF
    if text.startswith((b"{", b"[")):
        return Format.WONDE
    return Format.CSV


def read_mis_file(file: BinaryIO, name: str, columns: Columns | None, on: date) -> Iterator[MisRow]:
    """The rows of a file in any of the formats. Raises MisFileError.

    name: the file's own, for the warnings that depend on it. columns: for a CSV; guessed where None.
    """
    kind = find_format(file)
    if kind is Format.CTF:
        if not _CTF_NAME.match(name):
            yield FileNote("The file is not named as a CTF is (LLLEEEE_CTF_LLLEEEE_nnn.xml).")
        yield from read_ctf(file, on)
    elif kind is Format.ONEROSTER:
        yield from read_oneroster(file, on)
    elif kind is Format.WONDE:
        yield from read_wonde(file)
    else:
        if columns is None:
            columns = guess(read_head(file).columns)
            file.seek(0)
        if columns is None:
            raise MisFileError("The columns of the file are not those of any preset. Choose them on the import page.")
        yield from read_csv(file, columns)
