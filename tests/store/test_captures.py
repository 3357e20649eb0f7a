"""Captures at rest are sealed, named by their hash, and open only whole and with the right key."""

import hashlib
from pathlib import Path

import pytest

from appliance.store.captures import CaptureDamagedError, CaptureVault

IMAGE = b"RIFF a picture of a screen" * 50
NAME = hashlib.sha256(IMAGE).hexdigest()


def sealed_file(folder: Path) -> Path:
    return next(folder.rglob("*.sealed"))


def test_saved_capture_opens_and_shows_nothing_on_the_disk(tmp_path: Path) -> None:
    vault = CaptureVault(tmp_path, b"k" * 32)
    vault.save(NAME, IMAGE)
    vault.save(NAME, IMAGE)
    assert vault.open(NAME) == IMAGE
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{NAME}.sealed"]
    assert b"picture" not in sealed_file(tmp_path).read_bytes()
    assert sealed_file(tmp_path).stat().st_mode & 0o077 == 0


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    CaptureVault(tmp_path, b"k" * 32).save(NAME, IMAGE)
    with pytest.raises(CaptureDamagedError):
        CaptureVault(tmp_path, b"x" * 32).open(NAME)


@pytest.mark.parametrize("position", [0, 5, 20, -1])
def test_any_changed_byte_is_noticed(tmp_path: Path, position: int) -> None:
    vault = CaptureVault(tmp_path, b"k" * 32)
    vault.save(NAME, IMAGE)
    sealed = bytearray(sealed_file(tmp_path).read_bytes())
    sealed[position] ^= 1
    sealed_file(tmp_path).write_bytes(bytes(sealed))
    with pytest.raises(CaptureDamagedError):
        vault.open(NAME)


def test_a_file_moved_to_another_name_does_not_open(tmp_path: Path) -> None:
    vault = CaptureVault(tmp_path, b"k" * 32)
    vault.save(NAME, IMAGE)
    other = "0" * 64
    (tmp_path / "00").mkdir()
    sealed_file(tmp_path).rename(tmp_path / "00" / f"{other}.sealed")
    with pytest.raises(CaptureDamagedError):
        vault.open(other)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "G" * 64, NAME.upper()])
def test_a_name_that_is_no_hash_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        CaptureVault(tmp_path, b"k" * 32).open(name)
