"""What only POSIX systems have, taken away from every module of the studio: `PRELUDE` begins a script.

Libraries, which have a Windows side of their own, keep it: the lock that `filelock` has here stands in for Windows'.
"""

PRELUDE = """
import builtins, os, signal, sys, types

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "crypt", "readline", "posix")
NAMES = {
    "os": (
        "chown chroot fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid getpgrp "
        "getpriority getsid getuid initgroups killpg lchown lockf mkfifo mknod nice openpty pathconf posix_fadvise "
        "posix_fallocate posix_spawn pread preadv pwrite pwritev readv register_at_fork sched_getaffinity sendfile "
        "setegid seteuid setgid setpgid setpgrp setpriority setsid setuid statvfs sync sysconf uname wait wait3 wait4 "
        "writev O_CLOEXEC O_DIRECTORY O_DSYNC O_NOFOLLOW O_NONBLOCK O_SYNC"
    ).split(),
    "signal": (
        "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGUSR1 SIGUSR2 alarm pause pthread_kill pthread_sigmask sigwait"
    ).split(),
}


def without(module):
    there = {name: value for name, value in vars(module).items() if name not in NAMES[module.__name__]}
    less = types.ModuleType(module.__name__)
    vars(less).update(there)
    return less


def import_less(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] == "heartmula_studio":
        if name in MODULES:
            raise ModuleNotFoundError(f"{importer} imports {name}")
        if name in less:
            return less[name]
    return plain_import(name, globals, locals, fromlist, level)


less = {module.__name__: without(module) for module in (os, signal)}
plain_import, builtins.__import__ = builtins.__import__, import_less
"""
