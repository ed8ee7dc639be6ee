"""The meaning of the file system's errors in reading and writing, and advice for each."""

import errno

_ELSEWHERE = "Choose another folder"
_RIGHTS = f"you may not write there. {_ELSEWHERE} or change its rights"
_FAILED = "the disk or the network drive failed. Check it"
_NO_LOCKS = f"its file system has no locks, like some network drives. {_ELSEWHERE}"
_IN_THE_WAY = "a folder is where a file must go. Move it away"

_REASONS = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "your disk quota is used up. Free some space",
    errno.EFBIG: f"a file is larger than the file system or your limits allow. {_ELSEWHERE}",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: f"the file system is read-only. {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file. {_ELSEWHERE}",
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
    errno.ENXIO: "a device or a pipe is where a file must go. Choose another path",
    errno.EEXIST: "a file of that name already exists. Choose another NAME",
    errno.ENAMETOOLONG: "its name is too long. Choose another NAME",
    errno.EINVAL: f"its file system cannot hold such a name or file. {_ELSEWHERE}",
    errno.ELOOP: f"a part of the path is a link that leads nowhere. {_ELSEWHERE}",
    errno.ENOENT: "it was removed meanwhile. Make it again",
    errno.EXDEV: f"it is spread over several file systems. {_ELSEWHERE}",
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EIO: _FAILED,
    errno.ESTALE: _FAILED,
    errno.ENODEV: _FAILED,
    errno.ETIMEDOUT: _FAILED,
    errno.ETXTBSY: "a file to be replaced is a running program. End that program",
    errno.EBUSY: "another program uses a file in it. End that program",
    errno.EMFILE: "this process has too many files open. Restart the kernel or raise `ulimit -n`",
    errno.ENFILE: "this machine has too many files open. End other programs",
    errno.ENOMEM: "the system has no memory left. End other programs",
}

_TO_READ = {
    errno.EACCES: "Change its rights",
    errno.EPERM: "Change its rights",
    errno.ELOOP: "Put the file itself in the place of the link",
    errno.EIO: "Check the disk or the network drive",
    errno.ESTALE: "Check the disk or the network drive",
    errno.ENODEV: "Check the disk or the network drive",
    errno.ETIMEDOUT: "Check the disk or the network drive",
    errno.EMFILE: "Restart the kernel, or raise `ulimit -n`",
    errno.ENFILE: "End other programs",
    errno.ENOMEM: "End other programs",
}

NAMELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
"""Errors of a write to an open file. They do not name the file."""


def unwritable(error: OSError) -> str:
    """Return why a folder cannot be written and what to do, or "" for another kind of error."""
    return _REASONS.get(error.errno or 0, "")


def mend_to_read(error: BaseException) -> str:
    """Return what to do so that a file can be read, or "" if the file itself is wrong."""
    return _TO_READ.get(error.errno or 0, "") if isinstance(error, OSError) else ""
