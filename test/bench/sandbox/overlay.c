/* What users of a bubblewrap without overlays do: a mount namespace, an overlay in it, then the program.
 *
 *   overlay LOWER DIR PROGRAM [WORD...]
 *
 * The changes go to DIR/upper, the overlay is attached at DIR/root. */
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char options[1024];
  if (argc < 4) return 2;
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=upper,workdir=work,volatile", argv[1]);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || chdir(argv[2]) != 0 ||
      mkdir("upper", 0755) != 0 || mkdir("work", 0700) != 0 || mkdir("root", 0755) != 0 ||
      mount("overlay", "root", "overlay", MS_NODEV | MS_NOSUID, options) != 0) {
    perror("overlay");
    return 1;
  }
  execv(argv[3], argv + 3);
  perror(argv[3]);
  return 127;
}
