"""Looks at a mount from outside, with the plain calls of the system: takes a list of operations as JSON on the standard
input, and gives a list of results, where what fails is the name of its error number. Names and targets are latin-1."""

import ctypes
import errno
import hashlib
import json
import mmap
import os
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
GETDENTS64 = {"x86_64": 217}.get(os.uname().machine, 61)
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
TYPES = {8: "file", 4: "directory", 10: "symlink", 0: "unknown"}


def raw(text):
    return text.encode("latin-1")


def described(status):
    return {
        "kind": KINDS.get(stat.S_IFMT(status.st_mode), "other"),
        "permissions": stat.S_IMODE(status.st_mode),
        "size": status.st_size,
        "ino": str(status.st_ino),
        "nlink": status.st_nlink,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "times": [status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns],
    }


def content(data):
    result = {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if len(data) <= 64:
        result["hex"] = data.hex()
    return result


def read(path):
    with open(raw(path), "rb", buffering=0) as file:
        return content(file.readall())


def read_at(path, offset, length):
    descriptor = os.open(raw(path), os.O_RDONLY)
    try:
        return content(os.pread(descriptor, length, offset))
    finally:
        os.close(descriptor)


def mapped(path):
    with open(raw(path), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        return content(memory[:])


def getdents(descriptor, size):
    """One call: names, types and where to go on behind each."""
    buffer = ctypes.create_string_buffer(size)
    length = libc.syscall(GETDENTS64, descriptor, buffer, size)
    if length < 0:
        raise OSError(ctypes.get_errno(), "getdents64")
    data = ctypes.string_at(buffer, length)
    entries, at = [], 0
    while at < length:
        _, after, record, kind = struct.unpack_from("=QqHB", data, at)
        name = data[at + 19 : at + record].split(b"\0")[0]
        entries.append((name, TYPES.get(kind, str(kind)), after))
        at += record
    return entries


def opened(path):
    return os.open(raw(path), os.O_RDONLY | os.O_DIRECTORY)


def entries_of(descriptor, size):
    entries = []
    while True:
        part = getdents(descriptor, size)
        if not part:
            return entries
        entries += part


def listing(path, size=32768):
    descriptor = opened(path)
    try:
        return [[name.decode("latin-1"), kind] for name, kind, _ in entries_of(descriptor, size)]
    finally:
        os.close(descriptor)


def summary(path, size=32768):
    """Of a long listing: how many names, how many different ones, whether they come in order."""
    names = [name for name, _ in listing(path, size)]
    joined = "\n".join(names).encode("latin-1")
    ordered = all(a < b for a, b in zip(names, names[1:]))
    return {
        "count": len(names),
        "different": len(set(names)),
        "ordered": ordered,
        "sha256": hashlib.sha256(joined).hexdigest(),
    }


def failing_listing(path):
    """How many names come before the listing fails, and how."""
    descriptor, count = opened(path), 0
    try:
        while True:
            try:
                part = getdents(descriptor, 4096)
            except OSError as error:
                return {"count": count, "error": errno.errorcode[error.errno]}
            if not part:
                return {"count": count}
            count += len(part)
    finally:
        os.close(descriptor)


def resumed(path, places, size):
    """Lists, then goes on from each place again with a new descriptor: the next name, and how many are left."""
    first = opened(path)
    entries = entries_of(first, 32768)
    os.close(first)
    results = []
    for place in places:
        descriptor = opened(path)
        if place > 0:
            os.lseek(descriptor, entries[place - 1][2], os.SEEK_SET)
        left = entries_of(descriptor, size)
        results.append([left[0][0].decode("latin-1") if left else None, len(left)])
        os.close(descriptor)
    return results


def rewound(path):
    """A listing that is broken off and begun again, beside another one that goes on."""
    one, other = opened(path), opened(path)
    getdents(one, 4096)
    begun = getdents(other, 4096)
    os.lseek(one, 0, os.SEEK_SET)
    again = [name for name, _, _ in entries_of(one, 4096)]
    rest = [name for name, _, _ in begun + entries_of(other, 4096)]
    os.close(one)
    os.close(other)
    return {"again": len(again), "rest": len(rest), "same": again == rest}


def peeked(path):
    """Begins a listing and closes it."""
    descriptor = opened(path)
    count = len(getdents(descriptor, 4096))
    os.close(descriptor)
    return count > 0


def open_listing(path):
    os.close(opened(path))
    return True


def walked(path):
    """Looks at everything below a place."""
    count = 0
    for folder, folders, files in os.walk(raw(path)):
        for name in folders + files:
            os.lstat(os.path.join(folder, name))
            count += 1
    return count


def created(path):
    os.close(os.open(raw(path), os.O_CREAT | os.O_WRONLY))


def opened_for(path, flags):
    os.close(os.open(raw(path), getattr(os, flags)))


def sought(path, offset, whence):
    descriptor = os.open(raw(path), os.O_RDONLY)
    try:
        return os.lseek(descriptor, offset, getattr(os, whence))
    finally:
        os.close(descriptor)


def statfs(path):
    status = os.statvfs(raw(path))
    return {"block": status.f_frsize, "longestName": status.f_namemax, "readOnly": status.f_flag & os.ST_RDONLY != 0}


def short_xattr(path, name, size):
    buffer = ctypes.create_string_buffer(size)
    if libc.lgetxattr(raw(path), raw(name), buffer, size) < 0:
        raise OSError(ctypes.get_errno(), "lgetxattr")
    return True


OPERATIONS = {
    "stat": lambda path: described(os.stat(raw(path))),
    "lstat": lambda path: described(os.lstat(raw(path))),
    "readlink": lambda path: os.readlink(raw(path)).decode("latin-1"),
    "read": read,
    "readAt": read_at,
    "mapped": mapped,
    "listing": listing,
    "summary": summary,
    "failingListing": failing_listing,
    "resumed": resumed,
    "rewound": rewound,
    "peeked": peeked,
    "openListing": open_listing,
    "walked": walked,
    "sought": sought,
    "statfs": statfs,
    "access": lambda path, mode: os.access(raw(path), getattr(os, mode)),
    "xattr": lambda path, name: os.getxattr(raw(path), name, follow_symlinks=False).decode("latin-1"),
    "xattrs": lambda path: os.listxattr(raw(path), follow_symlinks=False),
    "shortXattr": short_xattr,
    "create": created,
    "openFor": opened_for,
    "mkdir": lambda path: os.mkdir(raw(path)),
    "mknod": lambda path: os.mknod(raw(path)),
    "unlink": lambda path: os.unlink(raw(path)),
    "rmdir": lambda path: os.rmdir(raw(path)),
    "rename": lambda path: os.rename(raw(path), raw(path) + b".new"),
    "link": lambda path: os.link(raw(path), raw(path) + b".new"),
    "symlink": lambda path: os.symlink(b"target", raw(path)),
    "chmod": lambda path: os.chmod(raw(path), 0o600),
    "chown": lambda path: os.chown(raw(path), os.getuid(), os.getgid()),
    "utime": lambda path: os.utime(raw(path), (1, 1)),
    "truncate": lambda path: os.truncate(raw(path), 0),
    "setxattr": lambda path: os.setxattr(raw(path), "user.new", b"1"),
    "removexattr": lambda path: os.removexattr(raw(path), "user.new"),
}


def result(name, *arguments):
    try:
        return {"value": OPERATIONS[name](*arguments)}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno, str(error.errno))}


json.dump([result(*operation) for operation in json.load(sys.stdin)], sys.stdout)
