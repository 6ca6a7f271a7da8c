"""Ways to take something away from a daemon before it starts: io_uring, descriptors, root.

Each is a preexec_fn or a context manager; what is changed on the host is put back. Owns nothing.
"""

import contextlib
import ctypes
import resource
import struct

_IO_URING_SETUP = 425  # the same number on every architecture (asm-generic/unistd.h)
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_RET_ALLOW = 0x7fff0000
_RET_ERRNO = 0x00050000
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # classic BPF, linux/filter.h

IO_URING_SYSCTL = "/proc/sys/kernel/io_uring_disabled"

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def io_uring_by_seccomp(error):
    """preexec_fn: io_uring_setup fails with `error`, as in a container with a strict profile."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in (
        (_LOAD_WORD, 0, 0, 0),                       # the system call's number
        (_JUMP_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, _RET_ERRNO | error),
        (_RETURN, 0, 0, _RET_ALLOW)))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))

    def install():
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
        # buffer is named so that it lives as long as this function.
        if len(buffer) and _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER,
                                       ctypes.byref(program), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
    return install


def descriptors(limit):
    """preexec_fn: at most `limit` open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@contextlib.contextmanager
def io_uring_by_sysctl():
    """kernel.io_uring_disabled = 2 for the block, for the whole host; rings that exist go on."""
    with open(IO_URING_SYSCTL, encoding="ascii") as f:
        before = f.read()
    try:
        with open(IO_URING_SYSCTL, "w", encoding="ascii") as f:
            f.write("2")
        yield
    finally:
        with open(IO_URING_SYSCTL, "w", encoding="ascii") as f:
            f.write(before)
