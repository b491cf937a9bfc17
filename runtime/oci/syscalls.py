"""The system calls that RuntimeDefault allows, by what allows them. Everything else is refused with EPERM:
what reaches the kernel outside of a container, what has a history of holes, and what is newer than this
table.

Source: the profile that containerd gives to pods; names are those of libseccomp, which passes over the ones
that a kernel or an architecture does not have.
"""

from __future__ import annotations

_ALWAYS = (
    # Files
    "access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
    "fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr "
    "fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents "
    "getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel "
    "ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup "
    "io_submit lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr "
    "lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv "
    "preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat "
    "rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs "
    "statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink "
    "unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev "
    # Waiting for several things
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old "
    "eventfd eventfd2 _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd "
    "signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 "
    # Talking to others
    "accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr mq_notify "
    "mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget "
    "msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop semtimedop "
    "semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall "
    "socketpair "
    # Memory
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap "
    "mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
    "process_mrelease remap_file_pages "
    # Processes, threads and signals
    "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake "
    "getcpu getpgid getpgrp getpid getppid getpriority get_robust_list getrlimit getrusage getsid "
    "get_thread_area gettid kill pause pidfd_open pidfd_send_signal prctl prlimit64 ptrace restart_syscall "
    "rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
    "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
    "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
    "sched_yield setpgid setpriority setrlimit set_robust_list setsid set_thread_area set_tid_address "
    "sigaltstack sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit uname uretprobe vfork wait4 "
    "waitid waitpid "
    # Who the process is
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid "
    "getresgid32 getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups "
    "setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid "
    "setuid32 "
    # Time and chance
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep "
    "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64"
)
ALWAYS = frozenset(_ALWAYS.split())

# What a capability opens.
WITH_CAPABILITY: dict[str, frozenset[str]] = {
    name: frozenset(calls.split())
    for name, calls in {
        "BPF": "bpf",
        "DAC_READ_SEARCH": "open_by_handle_at",
        "PERFMON": "perf_event_open",
        "SYSLOG": "syslog",
        "SYS_ADMIN": "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "name_to_handle_at open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
        "statmount listmount syslog umount umount2 unshare",
        "SYS_BOOT": "reboot",
        "SYS_CHROOT": "chroot",
        "SYS_MODULE": "delete_module finit_module init_module",
        "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
        "SYS_PACCT": "acct",
        "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
        "SYS_RAWIO": "ioperm iopl",
        "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
        "SYS_TTY_CONFIG": "vhangup",
    }.items()
}

# What only some machines have, by what Kubernetes calls them.
OF_ARCHITECTURE: dict[str, frozenset[str]] = {
    name: frozenset(calls.split())
    for name, calls in {
        "386": "modify_ldt",
        "amd64": "arch_prctl modify_ldt",
        "arm": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
        "arm64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
        "ppc64le": "swapcontext sync_file_range2",
        "riscv64": "riscv_flush_icache riscv_hwprobe",
        "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    }.items()
}

# The sets of system calls that a machine runs: its own and those of older programs.
ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}

# personality(2): of Linux, of 32-bit Linux, both without random addresses, and the question which it is.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# clone(2): flags that make a new namespace (mount, cgroup, UTS, IPC, user, PID, network).
NEW_NAMESPACES = 0x7E020000

AF_VSOCK = 40
