"""Whether there is room on a disk: what ends for want of it seldom says so."""

import os
from pathlib import Path

# With less than that Prometheus cannot go on, and a state file may fail to be written.
_LEAST_BYTES = 1_000_000
_MILLION = 1_000_000


def full(folder: Path) -> str | None:
    """That nothing more can be written below a folder, in words; None where there is room."""
    there = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.exists())
    disk = os.statvfs(there)
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    mount = next(each for each in (there, *there.parents) if each.is_mount())
    if free < _LEAST_BYTES:
        left = f"{free / _MILLION:.1f} of {whole / _MILLION:,.0f} MB are free"
        return f"the disk of {folder} ({mount}) is full: {left}"
    if disk.f_files and not disk.f_favail:
        return f"the disk of {folder} ({mount}) can hold no more files (inodes)"
    return None
