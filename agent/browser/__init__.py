"""The browser extension: `extension/` is what browsers load, `pack` makes it ready for them."""
