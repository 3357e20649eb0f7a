"""Gathering a file's attendance marks, which may be millions, in one register a pupil and school year."""

from datetime import date, timedelta

from appliance.exchange.codes import find_code
from appliance.safeguarding.attendance import EMPTY_YEAR, position, school_year
from appliance.safeguarding.pupil import MarkRow, Outcome
from appliance.store.imports import Import
from appliance.workflow.changes import Tally, key_cells, unknown
from appliance.workflow.match_pupil import Roll


class Marks:
    """The registers of one file. Each takes 732 bytes; what repeats from row to row is looked up once."""

    def __init__(self, one: Import, trust_roll: Roll, today: date, tally: Tally) -> None:
        self._one, self._roll, self._today, self._tally = one, trust_roll, today, tally
        self.registers: dict[tuple[str, int], bytearray] = {}
        self._codes: dict[tuple[str, date], tuple[int, int, int] | str] = {}
        self._last: tuple[str | None, str | None, str | None] = (None, None, None)

    def take(self, row: MarkRow) -> None:
        """Lay one mark into its register, or refuse it."""
        last_upn, last_mis, pupil_id = self._last
        if row.upn != last_upn or row.mis_id != last_mis or pupil_id is None:
            pupil_id = self._find(row)
            self._last = (row.upn, row.mis_id, pupil_id)
        if pupil_id is None:
            self._tally.add(Outcome.REFUSED, row.line, "", unknown(row.upn, row.mis_id), key_cells(row))
            return
        found = self._codes.get((row.code, row.day))
        if found is None:
            found = self._codes[(row.code, row.day)] = self._look_up(row)
        if isinstance(found, str):
            self._tally.add(Outcome.REFUSED, row.line, "", found, (*key_cells(row), str(row.day), row.code))
            return
        sign, place, year = found
        register = self.registers.get((pupil_id, year))
        if register is None:
            register = self.registers[(pupil_id, year)] = bytearray(EMPTY_YEAR.encode())
        register[place + row.afternoon] = sign
        self._tally.counts["marks"] += 1

    def _find(self, row: MarkRow) -> str | None:
        pupil_id = self._roll.find_by_number(self._one.academy_id or "", row.upn, row.mis_id)
        if pupil_id is None or self._one.academy_id not in (None, self._roll.academy_of[pupil_id]):
            return None
        return pupil_id

    def _look_up(self, row: MarkRow) -> tuple[int, int, int] | str:
        """The mark's sign and place and its school year, or why it is refused."""
        if row.day > self._today + timedelta(days=1):
            return "The mark is of a day to come."
        code = find_code(row.code, row.day)
        return code if isinstance(code, str) else (ord(code.sign), position(row.day, False), school_year(row.day))
