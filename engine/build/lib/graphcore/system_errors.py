"""What an error of the file system means for somebody who writes or reads, and what they can do."""

import errno

_ELSEWHERE = "choose another folder"
_RIGHTS = f"you may not write there; {_ELSEWHERE} or change its rights"
_FAILED = "the disk or the network drive failed; check it"
_NO_LOCKS = f"its file system keeps no locks, as some network drives do; {_ELSEWHERE}"
_IN_THE_WAY = "there is a folder where a file must go; move it away"

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EFBIG: f"a file is larger than the file system or your limits allow; {_ELSEWHERE}",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: f"the file system is read-only; {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file; {_ELSEWHERE}",
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
    errno.EEXIST: "there is a file of that name; choose another NAME",
    errno.ENAMETOOLONG: "its name is too long; choose another NAME",
    errno.EINVAL: f"its file system cannot hold such a name or file; {_ELSEWHERE}",
    errno.ELOOP: f"a part of the path is a link that leads nowhere; {_ELSEWHERE}",
    errno.ENOENT: "it was removed meanwhile; make it again",
    errno.EXDEV: f"it is spread over several file systems; {_ELSEWHERE}",
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EIO: _FAILED,
    errno.ESTALE: _FAILED,
    errno.ENODEV: _FAILED,
    errno.ETIMEDOUT: _FAILED,
    errno.ETXTBSY: "a program that runs is to be replaced; end it",
    errno.EBUSY: "another program holds a file of it; end that program",
    errno.EMFILE: "this process has too many files open; restart the kernel, raise `ulimit -n`",
    errno.ENFILE: "this machine has too many files open; end other programs",
    errno.ENOMEM: "the system has no memory left; end other programs",
}

_TO_READ = {
    errno.EACCES: "change its rights",
    errno.EPERM: "change its rights",
    errno.ELOOP: "put the file itself in the place of the link",
    errno.EIO: "check the disk or the network drive",
    errno.ESTALE: "check the disk or the network drive",
    errno.ENODEV: "check the disk or the network drive",
    errno.ETIMEDOUT: "check the disk or the network drive",
    errno.EMFILE: "restart the kernel, or raise `ulimit -n`",
    errno.ENFILE: "end other programs",
    errno.ENOMEM: "end other programs",
}

NAMELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
"""Errors of a write to an open file: they do not say which file it was."""


def unwritable(error: OSError) -> str:
    """Return why a folder cannot be written and what to do, "" for an error of another kind."""
    return _REASONS.get(error.errno or 0, "")


def mend_to_read(error: BaseException) -> str:
    """Return what to do so that a file can be read, "" where the file itself is wrong."""
    return _TO_READ.get(error.errno or 0, "") if isinstance(error, OSError) else ""
