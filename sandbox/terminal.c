/* A terminal for the command: one of the sandbox's own, made by pid 1, with its other end in the supervisor's hands.
 * The caller's terminal is never seen inside; what is typed there comes as bytes, and so does what is printed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "terminal"

/* ---- inside ---- */

/* After dev and before the mounts of the caller, which may put something else there. */
int setup_terminal(struct inside *inside) {
  if (!inside->plan->pty) return 0;
  int unlock = 0, slave = -1, master = openat(inside->dev, "pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0)
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0 || fchown(slave, (uid_t)inside->plan->user, (gid_t)-1) != 0)
    return failed(&inside->failure, STEP, "no terminal can be made");
  const struct message message = {.kind = MESSAGE_TERMINAL};
  if (message_send(inside->supervisor, &message, &master, 1) != 0)
    return failed(&inside->failure, STEP, "its other end cannot be given away");
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(slave, fd) != fd) return failed(&inside->failure, STEP, "it cannot be the command's");
  }
  close(slave);
  close(master);
  return 0;
}

/* ---- outside ---- */

/* Where there is a window: of the input, or of the output where that comes from elsewhere. */
void terminal_resize(const struct terminal *terminal) {
  struct winsize size;
  if (terminal->master < 0) return;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return;
  (void)ioctl(terminal->master, TIOCSWINSZ, &size);
}

/* Keys are for the terminal inside to understand, Ctrl-C among them. Not from the background: it is not ours then. */
static void make_raw(struct terminal *terminal) {
  struct termios raw;
  if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &terminal->before) != 0) return;
  raw = terminal->before;
  cfmakeraw(&raw);
  terminal->is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

int terminal_take(struct terminal *terminal, int master) {
  if (terminal->master >= 0 || fcntl(master, F_SETFL, O_NONBLOCK) != 0) {
    if (master >= 0) close(master);
    return -1;
  }
  terminal->master = master;
  terminal_resize(terminal);
  make_raw(terminal);
  return 0;
}

void terminal_give_back(struct terminal *terminal) {
  if (terminal->is_raw) (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal->before);
  terminal->is_raw = false;
  if (terminal->master >= 0) close(terminal->master);
  terminal->master = -1;
}

/* What a key would say. In the middle of a line the first one only sends what there is of it. */
size_t terminal_end_of_input(int master, bool in_a_line, char into[2]) {
  struct termios now;
  if (tcgetattr(master, &now) != 0 || (now.c_lflag & ICANON) == 0) return 0;
  into[0] = into[1] = (char)now.c_cc[VEOF];
  return in_a_line ? 2 : 1;
}
