"""inject: make a running program call the kernel, as whoever has taken over its thread would."""
import ctypes
import os

PTRACE_DETACH, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH = 17, 12, 13, 16
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
             "fs_base gs_base ds es fs gs").split()


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request, pid, data=None):
    if _libc.ptrace(request, pid, None, data) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def system_call(pid, number):
    """Let the main thread of `pid`, which waits in a system call, come back from it through another
    one, `number`, with the arguments that lie there. Its caller sees that one's result."""
    _ptrace(PTRACE_ATTACH, pid)
    os.waitpid(pid, 0x40000000)  # __WALL
    try:
        regs = Registers()
        _ptrace(PTRACE_GETREGS, pid, ctypes.byref(regs))
        waits = regs.orig_rax != 2**64 - 1
        if waits:
            regs.rip -= 2  # the instruction that called is taken again
            regs.rax = number
            regs.orig_rax = 2**64 - 1  # and nothing restarts what was interrupted
            _ptrace(PTRACE_SETREGS, pid, ctypes.byref(regs))
    finally:
        _ptrace(PTRACE_DETACH, pid)
    return waits
