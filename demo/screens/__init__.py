"""The demo's screens: page templates, the scenes that fill them, and the renderer that makes the pictures."""
