"""Every file format that comes in or goes out, read and written here and nowhere else."""
