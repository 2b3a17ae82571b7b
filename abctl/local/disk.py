"""Whether there is room on a disk: what ends for want of it seldom says so."""

import errno
import os
from pathlib import Path

from abctl.errors import AbctlError, ClusterError, UsageError
from abctl.files import unwritten

# With less than that Prometheus cannot go on, and a state file may fail to be written.
_LEAST_BYTES = 1_000_000
_MILLION = 1_000_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NOT_LET = (*_NO_ROOM, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def full(folder: Path) -> str | None:
    """That nothing more can be written below a folder, in words; None where there is room."""
    try:
        place = folder.resolve()
        there = next(each for each in (place, *place.parents) if each.exists())
        disk = os.statvfs(there)
    except OSError:
        return None  # of what may not be looked at
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    mount = next(each for each in (there, *there.parents) if each.is_mount())
    if not whole:
        return None  # nothing that has a size, such as /sys
    if free < _LEAST_BYTES:
        left = f"{free / _MILLION:.1f} of {whole / _MILLION:,.0f} MB are free"
        return f"the disk of {folder} ({mount}) is full: {left}"
    if disk.f_files and not disk.f_favail:
        return f"the disk of {folder} ({mount}) can hold no more files (inodes)"
    return None


def refusal(error: BaseException, folder: Path, *, starting: bool) -> UsageError | None:
    """The error for a stack's folder that cannot be written; None of any other error.

    Args:
        error: what went wrong.
        folder: the folder, absolute.
        starting: whether its processes were just started; they may have ended for want of room.
    """
    no_room = full(folder)
    system = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(system, OSError) and _is_about(system, folder):
        found = error if isinstance(error, AbctlError) else unwritten(system, folder)
        return UsageError(found.message, no_room or found.hint)
    if starting and no_room and isinstance(error, ClusterError):
        return UsageError(error.message, no_room)
    return None


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether the system refuses writing there."""
    if error.filename is None:
        return error.errno in _NO_ROOM
    place = Path(error.filename).absolute()
    near = place.is_relative_to(folder) or folder.is_relative_to(place)
    return near and error.errno in _NOT_LET
