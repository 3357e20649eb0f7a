"""Makes the installer for Windows from a folder with the frozen agent, on any machine with msitools' ``wixl``."""
