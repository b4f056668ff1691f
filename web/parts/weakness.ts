/** What each name in a stage's `weak` means to who relies on the build. */
export const WEAKNESSES: Readonly<Record<string, string>> = {
  "network-host":
    "it shares the executor's network: services on the host's loopback and instance metadata are in reach",
  "image-host": "its root file system is the executor's, with known secrets hidden: what else is there, it can read",
  suid: "setuid programs work in it: who is not root inside may become it",
  rootless: "it was started by a user who is not root: who breaks out of it has what that user has",
  "single-uid": "it has one user only, who is the one that started it outside",
  "no-cgroup": "it has no cgroup: its processes are counted and ended by their namespace alone",
  "no-cgroup-namespace": "it can read where on the host its cgroup is",
  "no-limit-memoryBytes": "the memory it asked for is not a limit on this host",
  "no-limit-pids": "the number of processes it asked for is a limit for each of its users only",
  "no-limit-cpuMilli": "the processor time it asked for is not a limit on this host",
  "no-limit-cpuWeight": "the share of the processors that it asked for is not held to on this host",
  "no-limit-ioReadBps": "the bytes it reads from disk are not limited on this host",
  "no-limit-ioWriteBps": "the bytes it writes to disk are not limited on this host",
  "no-limit-ioReadIops": "its reads from disk are not limited on this host",
  "no-limit-ioWriteIops": "its writes to disk are not limited on this host",
  "no-limit-diskBytes": "the disk space it asked for is not a limit on this host",
  "no-limit-diskInodes": "the number of files it asked for is not a limit on this host",
};

/** Executors may be newer than this page. */
export function weaknessText(name: string): string {
  return WEAKNESSES[name] ?? "this host cannot hold it to that";
}
