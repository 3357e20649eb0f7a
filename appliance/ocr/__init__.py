"""The reading room: a capture goes in, its words with their places come out. The only room that imports tesserocr."""

from appliance.ocr.reader import MissingLanguageError, Reader

__all__ = ["MissingLanguageError", "Reader"]
