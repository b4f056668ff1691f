/* What hostile code would try, one attempt a word; each says how the kernel answered: `NAME EPERM`, or
 * `NAME done` when it was let do it. Run inside the sandbox by sandbox.test.ts, which holds what must come out.
 *
 * An attempt must be harmless should it succeed: global knobs are opened and never written, and calls that would
 * change the host get arguments that the kernel refuses with another errno than the sandbox does. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALL(name, ...) \
  static long name(void) { return syscall(__VA_ARGS__); }

static char empty[4096];

/* ---- mounts ---- */
CALL(mount_tmpfs, SYS_mount, "x", "/mnt", "tmpfs", 0, NULL)
CALL(mount_bind, SYS_mount, "/", "/mnt", NULL, 4096 /* MS_BIND */, NULL)
CALL(remount_root, SYS_mount, NULL, "/", NULL, 32 /* MS_REMOUNT */, NULL)
CALL(remount_proc, SYS_mount, NULL, "/proc", NULL, 32, NULL)
CALL(remount_proc_sys, SYS_mount, NULL, "/proc/sys", NULL, 32 | 4096, NULL)
CALL(remount_dev, SYS_mount, NULL, "/dev", NULL, 32, NULL)
CALL(umount_mask, SYS_umount2, "/proc/kallsyms", 2)
CALL(umount_proc_sys, SYS_umount2, "/proc/sys", 2)
CALL(umount_tmp, SYS_umount2, "/tmp", 2)
CALL(fs_open, SYS_fsopen, "tmpfs", 0)
CALL(fs_pick, SYS_fspick, AT_FDCWD, "/", 0)
CALL(tree_open, SYS_open_tree, AT_FDCWD, "/", 1)
CALL(mount_move, SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/mnt", 0)
CALL(mount_attributes, 442, AT_FDCWD, "/", 0, empty, 32)
CALL(pivot, SYS_pivot_root, ".", ".")
CALL(swap_on, SYS_swapon, "/nowhere", 0)
CALL(quota, SYS_quotactl, 0, NULL, 0, NULL)

/* ---- namespaces ---- */
CALL(unshare_user, SYS_unshare, 0x10000000)
CALL(unshare_mount, SYS_unshare, 0x00020000)
CALL(unshare_pid, SYS_unshare, 0x20000000)
CALL(unshare_net, SYS_unshare, 0x40000000)
CALL(unshare_ipc, SYS_unshare, 0x08000000)
CALL(unshare_uts, SYS_unshare, 0x04000000)
CALL(unshare_cgroup, SYS_unshare, 0x02000000)
CALL(unshare_time, SYS_unshare, 0x00000080)
static long clone_with(unsigned long flags) {
  long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid;
}
static long clone_user(void) { return clone_with(0x10000000); }
static long clone_mount(void) { return clone_with(0x00020000); }
static long clone_pid(void) { return clone_with(0x20000000); }
static long clone_net(void) { return clone_with(0x40000000); }
static long clone_ipc(void) { return clone_with(0x08000000); }
static long clone_uts(void) { return clone_with(0x04000000); }
static long clone_cgroup(void) { return clone_with(0x02000000); }
/* the kernel takes the low 32 bits of the flags, so a filter must as well */
static long clone_user_high_bits(void) { return clone_with(0x100000000 | 0x10000000); }
static long clone_three(void) {
  struct clone_args args = {.flags = 0x10000000, .exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(0);
  return pid;
}
static long enter_namespace(void) {
  int fd = open("/proc/self/ns/uts", O_RDONLY);
  return fd < 0 ? -1 : syscall(SYS_setns, fd, 0);
}
static long enter_by_process(void) {
  int init = (int)syscall(SYS_pidfd_open, 1, 0);
  return init < 0 ? -1 : syscall(SYS_setns, init, 0x10000000 | 0x00020000);
}

/* ---- devices, whiteouts, handles ---- */
CALL(node_char, SYS_mknodat, AT_FDCWD, "/tmp/node", S_IFCHR | 0600, makedev(1, 1))
CALL(node_block, SYS_mknodat, AT_FDCWD, "/tmp/node", S_IFBLK | 0600, makedev(254, 0))
CALL(node_whiteout, SYS_mknodat, AT_FDCWD, "/tmp/node", S_IFCHR, makedev(0, 0))
static long rename_whiteout(void) {
  close(open("/tmp/from", O_CREAT | O_WRONLY, 0600));
  return syscall(SYS_renameat2, AT_FDCWD, "/tmp/from", AT_FDCWD, "/tmp/to", 4);
}
CALL(node_in_root, SYS_mknodat, AT_FDCWD, "/etc/gone", S_IFCHR, makedev(0, 0))
static long rename_in_root(void) {
  close(open("/from", O_CREAT | O_WRONLY, 0600));
  return syscall(SYS_renameat2, AT_FDCWD, "/from", AT_FDCWD, "/to", 4);
}
static long xattr_origin(void) { return setxattr("/etc", "trusted.overlay.origin", "x", 1, 0); }
static long xattr_trusted(void) { return setxattr("/etc", "trusted.overlay.opaque", "y", 1, 0); }
static long handle(void) {
  struct {
    unsigned bytes;
    int type;
    unsigned char data[128];
  } file = {.bytes = 128};
  int mount;
  if (syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &file, &mount, 0) != 0) file.bytes = 8;
  return syscall(SYS_open_by_handle_at, AT_FDCWD, &file, O_RDONLY);
}

/* ---- knobs of the host: opened, never written ---- */
static long open_to_write(const char *path) { return open(path, O_WRONLY); }
#define KNOB(name, path) \
  static long name(void) { return open_to_write(path); }
KNOB(knob_sysrq, "/proc/sysrq-trigger")
KNOB(knob_core_pattern, "/proc/sys/kernel/core_pattern")
KNOB(knob_modprobe, "/proc/sys/kernel/modprobe")
KNOB(knob_sysrq_mask, "/proc/sys/kernel/sysrq")
KNOB(knob_hostname, "/proc/sys/kernel/hostname")
KNOB(knob_forward, "/proc/sys/net/ipv4/ip_forward")
KNOB(knob_drop_caches, "/proc/sys/vm/drop_caches")
KNOB(knob_binfmt, "/proc/sys/fs/binfmt_misc/register")
KNOB(knob_release_agent, "/sys/fs/cgroup/release_agent")
KNOB(knob_cgroup_procs, "/sys/fs/cgroup/cgroup.procs")
KNOB(knob_uevent, "/sys/kernel/uevent_helper")
KNOB(knob_power, "/sys/power/state")
KNOB(knob_mtrr, "/proc/mtrr")
static long oom_score(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  return fd < 0 ? -1 : write(fd, "-1000", 5);
}

/* ---- the kernel's larger surfaces ---- */
CALL(key_add, SYS_add_key, "user", "x", "y", 1, -3)
CALL(key_ctl, SYS_keyctl, 0, -3, 0, 0, 0)
CALL(key_request, SYS_request_key, "user", "x", NULL, 0)
CALL(bpf_load, SYS_bpf, BPF_MAP_CREATE, empty, 72)
CALL(perf_open, SYS_perf_event_open, empty, 0, -1, -1, 0)
CALL(fault_fd, SYS_userfaultfd, 1)
CALL(uring, SYS_io_uring_setup, 8, empty)
CALL(fanotify, SYS_fanotify_init, 0, O_RDONLY)
CALL(module_init, SYS_init_module, empty, 0, "")
CALL(module_file, SYS_finit_module, -1, "", 0)
CALL(module_delete, SYS_delete_module, "no_such_module", O_NONBLOCK)
CALL(kexec, SYS_kexec_load, 0, 0, NULL, ~0ul)
CALL(reboot_bad_magic, SYS_reboot, 0, 0, 0, NULL)
CALL(clock_set, SYS_clock_settime, 0, NULL)
CALL(clock_day, SYS_settimeofday, (void *)1, NULL)
CALL(clock_adjust, SYS_clock_adjtime, 0, NULL)
CALL(kernel_log, SYS_syslog, 3, empty, sizeof empty)
CALL(accounting, SYS_acct, "/nowhere")
CALL(name_host, SYS_sethostname, "x", 1)
CALL(hang_up, SYS_vhangup)
CALL(pages_move, SYS_move_pages, 1, 0, NULL, NULL, NULL, 0)
CALL(personality_exec, SYS_personality, 0x0400000)
static long listener(void) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL);
}
static long real_time(void) {
  struct sched_param most = {.sched_priority = 99};
  return sched_setscheduler(0, SCHED_FIFO, &most);
}
static long nicer(void) { return setpriority(PRIO_PROCESS, 0, -20); }
static long raise_files(void) {
  struct rlimit limit = {1 << 24, 1 << 24};
  return setrlimit(RLIMIT_NOFILE, &limit);
}
#if defined(__x86_64__)
static long i386_abi(void) {
  long answer;
  __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
  if (answer >= 0) return answer;
  errno = (int)-answer;
  return -1;
}
CALL(x32_abi, 0x40000000 | 39)
CALL(ldt, SYS_modify_ldt, 0, empty, 16)
CALL(io_ports, SYS_iopl, 3)
#endif
CALL(unknown_number, 999)
CALL(stat_mounts, 457, NULL, NULL, 0, 0)

/* ---- sockets ---- */
CALL(socket_vsock, SYS_socket, 40, SOCK_STREAM, 0)
CALL(socket_alg, SYS_socket, 38, SOCK_SEQPACKET, 0)
CALL(socket_packet, SYS_socket, 17, SOCK_RAW, 0x0300)
CALL(socket_old_packet, SYS_socket, 2, 10 /* SOCK_PACKET */, 0x0300)
CALL(socket_bluetooth, SYS_socket, 31, SOCK_RAW, 0)
CALL(socket_netfilter, SYS_socket, 16, SOCK_RAW, 12)
CALL(socket_audit, SYS_socket, 16, SOCK_RAW, 9)
CALL(socket_high_bits, SYS_socket, 0x100000000 | 17, SOCK_RAW, 0x0300)

/* ---- the network of a slot: `eth0` is the link that every slot has ---- */
CALL(socket_raw, SYS_socket, 2, SOCK_RAW, 1)
CALL(socket_ping, SYS_socket, 2, SOCK_DGRAM, 1)
CALL(socket_raw_six, SYS_socket, 10, SOCK_RAW, 58)

static long on_link(unsigned long what, const struct ifreq *change) {
  struct ifreq request = *change;
  strcpy(request.ifr_name, "eth0");
  return ioctl(socket(AF_INET, SOCK_DGRAM, 0), what, &request);
}
static struct sockaddr_in place(const char *address, int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, address, &at.sin_addr);
  return at;
}
static long link_down(void) { return on_link(SIOCSIFFLAGS, &(struct ifreq){.ifr_flags = 0}); }
static long link_mtu(void) { return on_link(SIOCSIFMTU, &(struct ifreq){.ifr_mtu = 1400}); }
static long link_name(void) { return on_link(SIOCSIFNAME, &(struct ifreq){.ifr_newname = "eth1"}); }
static long link_station(void) {
  return on_link(SIOCSIFHWADDR, &(struct ifreq){.ifr_hwaddr = {.sa_family = 1, .sa_data = {2, 0, 0, 0, 0, 1}}});
}
static long link_promiscuous(void) { return on_link(SIOCSIFFLAGS, &(struct ifreq){.ifr_flags = IFF_UP | IFF_PROMISC}); }
static long address_set(void) {
  struct sockaddr_in other = place("10.213.0.3", 0);
  struct ifreq request = {0};
  memcpy(&request.ifr_addr, &other, sizeof other);
  return on_link(SIOCSIFADDR, &request);
}
static long route_add(void) {
  struct sockaddr_in to = place("169.254.0.0", 0), mask = place("255.255.0.0", 0);
  struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char *)"eth0"};
  memcpy(&route.rt_dst, &to, sizeof to);
  memcpy(&route.rt_genmask, &mask, sizeof mask);
  return ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCADDRT, &route);
}
static long neighbour_add(void) {
  struct sockaddr_in of = place("10.213.0.1", 0);
  struct arpreq request = {.arp_flags = ATF_PERM | ATF_COM, .arp_ha = {.sa_family = 1, .sa_data = {2}}, .arp_dev = "eth0"};
  memcpy(&request.arp_pa, &of, sizeof of);
  return ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSARP, &request);
}
/* Asks rtnetlink with an empty body: whoever may ask is told EINVAL or worse, whoever may not EPERM. */
static long ask_route(unsigned short what) {
  struct {
    struct nlmsghdr header;
    char body[64];
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = what, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
  struct {
    struct nlmsghdr header;
    int error;
    char rest[512];
  } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW, 0);
  if (send(fd, &request, sizeof request, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 20) return -1;
  errno = -answer.error;
  return errno == 0 ? 0 : -1;
}
static long netlink_link(void) { return ask_route(RTM_NEWLINK); }
static long netlink_address(void) { return ask_route(RTM_NEWADDR); }
static long netlink_route(void) { return ask_route(RTM_NEWROUTE); }
static long netlink_neighbour(void) { return ask_route(RTM_NEWNEIGH); }
static long netlink_rule(void) { return ask_route(RTM_NEWRULE); }
static long netlink_queue(void) { return ask_route(RTM_NEWQDISC); }

/* A datagram that says it comes from `from`: to be bound to a foreign address is anybody's right, to send from it not. */
static long send_as(const char *from, const char *to) {
  struct sockaddr_in source = place(from, 0), target = place(to, 9);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
  setsockopt(fd, IPPROTO_IP, 15 /* IP_FREEBIND */, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) return -1;
  return sendto(fd, "x", 1, 0, (struct sockaddr *)&target, sizeof target);
}
static long spoof_slot(void) { return send_as("10.213.0.3", "203.0.113.10"); }
static long spoof_bridge(void) { return send_as("10.213.0.1", "203.0.113.10"); }
static long spoof_world(void) { return send_as("203.0.113.10", "10.213.0.1"); }
static long transparent(void) {
  int one = 1;
  return setsockopt(socket(AF_INET, SOCK_DGRAM, 0), IPPROTO_IP, 19 /* IP_TRANSPARENT */, &one, sizeof one);
}
static long socket_mark(void) {
  int mark = 7;
  return setsockopt(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}
static long knob_network(void) { return open("/proc/sys/net/ipv4/conf/eth0/forwarding", O_WRONLY); }

/* Not attempts but their targets: they say `up` once somebody could reach them, and `reached` when it has happened. */
static long listen_at(int domain, const void *address, socklen_t length) {
  int fd = socket(domain, SOCK_STREAM, 0);
  if (bind(fd, address, length) != 0 || listen(fd, 9) != 0) return -1;
  puts("up");
  if (accept(fd, NULL, NULL) >= 0) puts("reached");
  return pause();
}
static long listen_inet(void) {
  struct sockaddr_in any = place("0.0.0.0", 80);
  return listen_at(AF_INET, &any, sizeof any);
}
static long listen_abstract(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0neighbour"};
  return listen_at(AF_UNIX, &name, sizeof name);
}
/* Leaves connections of every dying kind behind: each end closed first, half open, and both to oneself. */
static long leave_connections(void) {
  struct sockaddr_in own = place("127.0.0.1", 8000), world = place("203.0.113.10", 80);
  int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(server, (struct sockaddr *)&own, sizeof own) != 0 || listen(server, 64) != 0) return -1;
  for (int i = 0; i < 16; i++) {
    int near = socket(AF_INET, SOCK_STREAM, 0), far = -1;
    if (connect(near, (struct sockaddr *)&own, sizeof own) != 0 || (far = accept(server, NULL, NULL)) < 0) return -1;
    close(i % 2 == 0 ? near : far);
    if (i % 4 < 2) close(i % 2 == 0 ? far : near);
    int out = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(out, (struct sockaddr *)&world, sizeof world) != 0) return -1;
    if (i % 2 == 0) close(out);
    if (sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&world, sizeof world) != 1) return -1;
  }
  return 0;
}

/* Has the kernel learn addresses, which it keeps for whoever comes next: 28 bits with each. */
static long leave_neighbours(void) {
  struct sockaddr_in there = place("224.0.0.0", 9);
  for (unsigned i = 1; i <= 16; i++) {
    there.sin_addr.s_addr = htonl(0xe0de0000u + i);
    if (sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&there, sizeof there) != 1) return -1;
  }
  return 0;
}

/* Meant to work, whatever the network: a message to oneself. */
static long talk_to_self(int domain, void *address, socklen_t length) {
  int server = socket(domain, SOCK_STREAM, 0), near = socket(domain, SOCK_STREAM, 0);
  char got = 0;
  if (bind(server, address, length) != 0 || listen(server, 1) != 0) return -1;
  if (getsockname(server, address, &length) != 0 || connect(near, address, length) != 0) return -1;
  int far = accept(server, NULL, NULL);
  return far >= 0 && write(near, "x", 1) == 1 && read(far, &got, 1) == 1 && got == 'x' ? 0 : -1;
}
static long loopback_four(void) {
  struct sockaddr_in own = place("127.0.0.1", 0);
  return talk_to_self(AF_INET, &own, sizeof own);
}
static long loopback_six(void) {
  struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  return talk_to_self(AF_INET6, &own, sizeof own);
}

/* What a hostile image may bring: a socket that a process of the host listens on, a device of the host. */
static long host_socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/host.sock"};
  return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
}
static long host_fifo(void) { return open("/host.fifo", O_WRONLY | O_NONBLOCK); }
static long host_device(void) { return open("/host.device", O_RDONLY); }
static long null_device(void) { return open("/dev/null", O_RDWR); } /* the one that works */
static long null_is_null(void) { /* so is this */
  struct stat null;
  return stat("/dev/null", &null) == 0 && S_ISCHR(null.st_mode) && null.st_rdev == makedev(1, 3) ? 0 : -1;
}

/* ---- setuid: run as a user who is not root, from a file of root's with that bit ---- */
static long become_root(void) {
  errno = EPERM;
  if (geteuid() != 0) return -1;
  return setgid(0) == 0 && setuid(0) == 0 ? open("/etc/of-root", O_RDONLY) : -1;
}

/* ---- terminal ---- */
/* Without becoming its session's own, so that tty_of_the_caller still asks about the caller's. */
static long on_terminal(unsigned long request) {
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), unlock = 0, number = 0;
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCGPTN, &number) != 0) return 0;
  char path[32];
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  int slave = open(path, O_RDWR | O_NOCTTY);
  if (slave < 0) return 0;
  return syscall(SYS_ioctl, slave, request, "\n");
}
static long tty_push(void) { return on_terminal(TIOCSTI); }
static long tty_push_high_bits(void) { return on_terminal(0x100000000 | TIOCSTI); }
static long tty_linux(void) { return on_terminal(TIOCLINUX); }
static long tty_linux_high_bits(void) { return on_terminal(0xffff00000000 | TIOCLINUX); }
static long tty_discipline(void) { return on_terminal(TIOCSETD); }
static long tty_size(void) { return on_terminal(TIOCGWINSZ); } /* the one that works */
static long tty_of_the_caller(void) { return open("/dev/tty", O_RDWR); }

/* ---- pid 1 and the host behind it ---- */
#define PEEK(name, path) \
  static long name(void) { return open(path, O_RDONLY); }
static long trace_init(void) { return ptrace(PTRACE_ATTACH, 1, NULL, NULL); }
static long seize_init(void) { return ptrace(PTRACE_SEIZE, 1, NULL, NULL); }
PEEK(init_environ, "/proc/1/environ")
PEEK(init_mem, "/proc/1/mem")
PEEK(init_maps, "/proc/1/maps")
PEEK(init_exe, "/proc/1/exe")
PEEK(init_fds, "/proc/1/fd")
PEEK(init_root, "/proc/1/root/etc")
PEEK(init_cwd, "/proc/1/cwd/.")
PEEK(init_stack, "/proc/1/stack")
PEEK(init_namespace, "/proc/1/ns/mnt")
PEEK(kernel_memory, "/proc/kcore")
PEEK(kernel_messages, "/proc/kmsg")
PEEK(device_memory, "/dev/mem")
PEEK(device_messages, "/dev/kmsg")
PEEK(device_disk, "/dev/sda")
PEEK(page_counts, "/proc/kpagecount")
PEEK(kernel_timers, "/proc/timer_list")
/* May be opened, and there is nothing in it: our word for that is ENODATA. */
static long peek_in(const char *path) {
  char byte;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  errno = ENODATA;
  return read(fd, &byte, 1) > 0 ? 0 : -1;
}
static long kernel_symbols(void) { return peek_in("/proc/kallsyms"); }
static long kernel_keys(void) { return peek_in("/proc/keys"); }
static long init_descriptor(void) {
  int init = (int)syscall(SYS_pidfd_open, 1, 0);
  return init < 0 ? -1 : syscall(438 /* pidfd_getfd */, init, 3, 0);
}
static long init_memory(void) {
  struct iovec {
    void *at;
    size_t length;
  } here = {empty, 8}, there = {(void *)0x400000, 8};
  return syscall(SYS_process_vm_readv, 1, &here, 1, &there, 1, 0);
}

/* Out of a chroot to where it was made, and no further: `done` would be a root other than ours. */
static long chroot_escape(void) {
  struct stat before, after;
  int old = open("/", O_RDONLY | O_DIRECTORY);
  if (stat("/", &before) != 0 || mkdir("/tmp/jail", 0700) != 0 || chroot("/tmp/jail") != 0 || fchdir(old) != 0) return -1;
  for (int i = 0; i < 64; i++) (void)!chdir("..");
  if (chroot(".") != 0 || stat("/", &after) != 0) return -1;
  errno = EXDEV; /* our word for "the same root as before" */
  return before.st_ino == after.st_ino && before.st_dev == after.st_dev ? -1 : 0;
}

/* ---- life: these do not say anything, they do ---- */
static long escape_session(void) {
  if (fork() != 0) return 0;
  setsid();
  if (fork() != 0) _exit(0);
  for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
  for (;;) pause(); /* with stdout open */
}
/* Bounded on purpose: 400 at most, so that a host without a limit survives it. */
static long forks(void) {
  for (int i = 0; i < 400; i++) {
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (pid == 0) {
      pause();
      _exit(0);
    }
  }
  return 0;
}
/* For ever, in all of them; how many there may be is for the caller to limit. Says `full` when that is reached. */
static long storm(void) {
  pid_t first = getpid();
  bool said = false;
  for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
  for (;;) {
    if (fork() >= 0 || said || getpid() != first) continue;
    said = true;
    puts("full");
  }
}
static long zombies_kept(void) {
  for (int i = 0; i < 300; i++) {
    if (fork() == 0) _exit(0);
  }
  puts("up");
  return pause();
}
static long zombies(void) {
  for (int i = 0; i < 200; i++) {
    if (fork() == 0) {
      if (fork() == 0) _exit(0);
      _exit(0);
    }
  }
  return 0;
}

#define ATTEMPT(name) {#name, name}
static const struct {
  const char *name;
  long (*attempt)(void);
} ATTEMPTS[] = {
    ATTEMPT(mount_tmpfs), ATTEMPT(mount_bind), ATTEMPT(remount_root), ATTEMPT(remount_proc), ATTEMPT(remount_proc_sys),
    ATTEMPT(remount_dev), ATTEMPT(umount_mask), ATTEMPT(umount_proc_sys), ATTEMPT(umount_tmp), ATTEMPT(fs_open),
    ATTEMPT(fs_pick), ATTEMPT(tree_open), ATTEMPT(mount_move), ATTEMPT(mount_attributes), ATTEMPT(pivot),
    ATTEMPT(swap_on), ATTEMPT(quota), ATTEMPT(unshare_user), ATTEMPT(unshare_mount), ATTEMPT(unshare_pid),
    ATTEMPT(unshare_net), ATTEMPT(unshare_ipc), ATTEMPT(unshare_uts), ATTEMPT(unshare_cgroup), ATTEMPT(unshare_time),
    ATTEMPT(clone_user), ATTEMPT(clone_mount), ATTEMPT(clone_pid), ATTEMPT(clone_net), ATTEMPT(clone_ipc),
    ATTEMPT(clone_uts), ATTEMPT(clone_cgroup), ATTEMPT(enter_by_process), ATTEMPT(node_in_root), ATTEMPT(rename_in_root),
    ATTEMPT(xattr_origin), ATTEMPT(kernel_timers), ATTEMPT(kernel_symbols), ATTEMPT(kernel_keys), ATTEMPT(init_descriptor),
    ATTEMPT(storm), ATTEMPT(zombies_kept), ATTEMPT(clone_user_high_bits), ATTEMPT(clone_three), ATTEMPT(enter_namespace),
    ATTEMPT(node_char), ATTEMPT(node_block), ATTEMPT(node_whiteout), ATTEMPT(rename_whiteout), ATTEMPT(xattr_trusted),
    ATTEMPT(handle), ATTEMPT(knob_sysrq), ATTEMPT(knob_core_pattern), ATTEMPT(knob_modprobe), ATTEMPT(knob_sysrq_mask),
    ATTEMPT(knob_hostname), ATTEMPT(knob_forward), ATTEMPT(knob_drop_caches), ATTEMPT(knob_binfmt),
    ATTEMPT(knob_release_agent), ATTEMPT(knob_cgroup_procs), ATTEMPT(knob_uevent), ATTEMPT(knob_power),
    ATTEMPT(knob_mtrr), ATTEMPT(oom_score), ATTEMPT(key_add), ATTEMPT(key_ctl),
    ATTEMPT(key_request), ATTEMPT(bpf_load), ATTEMPT(perf_open), ATTEMPT(fault_fd), ATTEMPT(uring), ATTEMPT(fanotify),
    ATTEMPT(module_init), ATTEMPT(module_file), ATTEMPT(module_delete), ATTEMPT(kexec), ATTEMPT(reboot_bad_magic),
    ATTEMPT(clock_set), ATTEMPT(clock_day), ATTEMPT(clock_adjust), ATTEMPT(kernel_log), ATTEMPT(accounting),
    ATTEMPT(name_host), ATTEMPT(hang_up), ATTEMPT(pages_move), ATTEMPT(personality_exec), ATTEMPT(listener),
    ATTEMPT(real_time), ATTEMPT(nicer), ATTEMPT(raise_files),
#if defined(__x86_64__)
    ATTEMPT(i386_abi), ATTEMPT(x32_abi), ATTEMPT(ldt), ATTEMPT(io_ports),
#endif
    ATTEMPT(unknown_number), ATTEMPT(stat_mounts), ATTEMPT(socket_vsock), ATTEMPT(socket_alg), ATTEMPT(socket_packet),
    ATTEMPT(socket_old_packet), ATTEMPT(socket_bluetooth), ATTEMPT(socket_netfilter), ATTEMPT(socket_audit),
    ATTEMPT(socket_raw), ATTEMPT(socket_ping), ATTEMPT(socket_raw_six), ATTEMPT(link_down), ATTEMPT(link_mtu), ATTEMPT(link_name),
    ATTEMPT(link_station), ATTEMPT(link_promiscuous), ATTEMPT(address_set), ATTEMPT(route_add), ATTEMPT(neighbour_add),
    ATTEMPT(netlink_link), ATTEMPT(netlink_address), ATTEMPT(netlink_route), ATTEMPT(netlink_neighbour),
    ATTEMPT(netlink_rule), ATTEMPT(netlink_queue), ATTEMPT(spoof_slot), ATTEMPT(spoof_bridge), ATTEMPT(spoof_world),
    ATTEMPT(transparent), ATTEMPT(socket_mark), ATTEMPT(knob_network),
    ATTEMPT(listen_inet), ATTEMPT(listen_abstract), ATTEMPT(leave_connections),
    ATTEMPT(leave_neighbours), ATTEMPT(loopback_four), ATTEMPT(loopback_six),
    ATTEMPT(socket_high_bits), ATTEMPT(host_socket), ATTEMPT(host_fifo), ATTEMPT(host_device),
    ATTEMPT(null_device), ATTEMPT(null_is_null), ATTEMPT(become_root), ATTEMPT(tty_push), ATTEMPT(tty_push_high_bits), ATTEMPT(tty_linux),
    ATTEMPT(tty_linux_high_bits), ATTEMPT(tty_discipline), ATTEMPT(tty_size), ATTEMPT(tty_of_the_caller),
    ATTEMPT(trace_init), ATTEMPT(seize_init), ATTEMPT(init_environ), ATTEMPT(init_mem), ATTEMPT(init_maps),
    ATTEMPT(init_exe), ATTEMPT(init_fds), ATTEMPT(init_root), ATTEMPT(init_cwd), ATTEMPT(init_stack),
    ATTEMPT(init_namespace), ATTEMPT(init_memory), ATTEMPT(kernel_memory), ATTEMPT(kernel_messages),
    ATTEMPT(device_memory), ATTEMPT(device_messages), ATTEMPT(device_disk), ATTEMPT(page_counts),
    ATTEMPT(chroot_escape), ATTEMPT(escape_session), ATTEMPT(forks), ATTEMPT(zombies),
};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int word = 1; word < argc; word++) {
    for (size_t i = 0; i < sizeof ATTEMPTS / sizeof ATTEMPTS[0]; i++) {
      if (strcmp(argv[word], ATTEMPTS[i].name) != 0) continue;
      errno = 0;
      const char *answer = ATTEMPTS[i].attempt() >= 0 ? "done" : strerrorname_np(errno);
      printf("%s %s\n", ATTEMPTS[i].name, answer == NULL ? "?" : answer);
    }
  }
  return 0;
}
