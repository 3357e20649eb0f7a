"""The reading room: a capture goes in, its words with their places come out. The only room that imports tesserocr."""

from appliance.ocr.engine import has_language, package_of
from appliance.ocr.reader import MissingLanguageError, Reader
from appliance.ocr.readers import ALWAYS, Readers

__all__ = ["ALWAYS", "MissingLanguageError", "Reader", "Readers", "has_language", "package_of"]
