/* Two voices: JSON lines on the status descriptor for the caller, one sentence on stderr for people. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { PATIENCE_MS = 1000 };

uint64_t now_us(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000u + (uint64_t)at.tv_nsec / 1000u;
}

void step_done(struct steps *steps, const char *name, uint64_t *mark) {
  uint64_t now = now_us();
  if (steps->count < MAX_STEPS) {
    snprintf(steps->at[steps->count].name, sizeof steps->at[0].name, "%s", name);
    steps->at[steps->count++].us = now - *mark;
  }
  *mark = now;
}

int failed(struct failure *failure, const char *step, const char *format, ...) {
  int error = errno;
  if (failure->step[0] != '\0') return -1;
  failure->error = error;
  snprintf(failure->step, sizeof failure->step, "%s", step);
  va_list rest;
  va_start(rest, format);
  vsnprintf(failure->text, sizeof failure->text, format, rest);
  va_end(rest);
  return -1;
}

#define NAMED(name)                                                                                                    \
  { name, #name }

const char *errno_name(int error) {
  static const struct {
    int error;
    const char *name;
  } NAMES[] = {
      NAMED(EPERM),     NAMED(ENOENT),  NAMED(ESRCH),     NAMED(EINTR),      NAMED(EIO),          NAMED(ENXIO),
      NAMED(E2BIG),     NAMED(ENOEXEC), NAMED(EBADF),     NAMED(EAGAIN),     NAMED(ENOMEM),       NAMED(EACCES),
      NAMED(EBUSY),     NAMED(EEXIST),  NAMED(EXDEV),     NAMED(ENODEV),     NAMED(ENOTDIR),      NAMED(EISDIR),
      NAMED(EINVAL),    NAMED(ENFILE),  NAMED(EMFILE),    NAMED(ETXTBSY),    NAMED(EFBIG),        NAMED(ENOSPC),
      NAMED(EROFS),     NAMED(EMLINK),  NAMED(EPIPE),     NAMED(ERANGE),     NAMED(ENAMETOOLONG), NAMED(ENOSYS),
      NAMED(ENOTEMPTY), NAMED(ELOOP),   NAMED(EOVERFLOW), NAMED(EOPNOTSUPP), NAMED(EUSERS),       NAMED(EDQUOT),
      NAMED(ETIMEDOUT), NAMED(ESTALE),  NAMED(ELIBBAD),
  };
  for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
    if (NAMES[i].error == error) return NAMES[i].name;
  }
  return "errno not named here";
}

void failure_sentence(const struct failure *failure, char *into, size_t room) {
  if (failure->error == 0)
    snprintf(into, room, "%s: %s", failure->step, failure->text);
  else
    snprintf(into, room, "%s: %s: %s (%s)", failure->step, failure->text, errno_name(failure->error),
             strerror(failure->error));
}

void complain(const char *format, ...) {
  char line[1200];
  va_list rest;
  va_start(rest, format);
  int used = vsnprintf(line, sizeof line - 1, format, rest);
  va_end(rest);
  if (used < 0) return;
  if ((size_t)used > sizeof line - 2) used = (int)sizeof line - 2;
  line[used] = '\n';
  line[used + 1] = '\0';
  /* a pipe that nobody reads must not hold us: a line is short enough to be taken whole or not at all */
  struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&ready, 1, PATIENCE_MS) == 1) dprintf(STDERR_FILENO, "toroid-sandbox: %s", line);
}

/* The last bytes are kept for what closes the object and all in it. */
static bool put(struct json *json, const char *text, size_t length) {
  if (json->used + length + JSON_RESERVE > sizeof json->text) return false;
  memcpy(json->text + json->used, text, length);
  json->used += length;
  return true;
}

static bool put_quoted(struct json *json, const char *text) {
  char out[1600] = "\"";
  size_t used = 1;
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && used + 8 < sizeof out; c++) {
    if (*c == '"' || *c == '\\') {
      out[used++] = '\\';
      out[used++] = (char)*c;
    } else if (*c < 0x20 || *c >= 0x7f) { /* file names are bytes: what is not ASCII is shown as U+00xx */
      used += (size_t)snprintf(out + used, sizeof out - used, "\\u%04x", *c);
    } else {
      out[used++] = (char)*c;
    }
  }
  out[used++] = '"';
  return put(json, out, used);
}

static bool put_key(struct json *json, const char *key) {
  if (!json->first && !put(json, ",", 1)) return false;
  json->first = false;
  return key == NULL || (put_quoted(json, key) && put(json, ":", 1));
}

/* All of it, or as if it had not been asked for. */
static bool put_member(struct json *json, const char *key, const char *value, bool quoted) {
  const size_t used = json->used;
  const bool first = json->first;
  if (json->skipped == 0 && put_key(json, key) && (quoted ? put_quoted(json, value) : put(json, value, strlen(value))))
    return true;
  json->used = used;
  json->first = first;
  return false;
}

static void put_open(struct json *json, const char *key, const char *brace) {
  if (json->depth < JSON_DEPTH && put_member(json, key, brace, false)) {
    json->first = true;
    json->depth++;
  } else {
    json->skipped++;
  }
}

static void put_close(struct json *json, char brace) {
  if (json->skipped > 0) {
    json->skipped--;
    return;
  }
  json->text[json->used++] = brace;
  json->first = false;
  json->depth--;
}

void json_begin(struct json *json) {
  json->used = json->depth = json->skipped = 0;
  json->first = true;
  (void)put(json, "{", 1);
}

void json_raw(struct json *json, const char *key, const char *value) {
  (void)put_member(json, key, value, false);
}

void json_string(struct json *json, const char *key, const char *value) {
  (void)put_member(json, key, value == NULL ? "null" : value, value != NULL);
}

void json_number(struct json *json, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
  json_raw(json, key, digits);
}

void json_number_or_null(struct json *json, const char *key, bool known, uint64_t value) {
  if (known)
    json_number(json, key, value);
  else
    json_raw(json, key, "null");
}

void json_open(struct json *json, const char *key) {
  put_open(json, key, "{");
}

void json_close(struct json *json) {
  put_close(json, '}');
}

void json_list(struct json *json, const char *key) {
  put_open(json, key, "[");
}

void json_list_end(struct json *json) {
  put_close(json, ']');
}

void json_send(struct json *json, int fd) {
  if (fd < 0) return;
  memcpy(json->text + json->used, "}\n", 2);
  json->used += 2;
  /* A pipe that polls writable takes PIPE_BUF bytes at once, and a line is never longer: no write blocks. */
  struct pollfd ready = {.fd = fd, .events = POLLOUT};
  if (poll(&ready, 1, PATIENCE_MS) != 1 || (ready.revents & POLLOUT) == 0) {
    complain("the status descriptor takes nothing, so an event is lost");
    return;
  }
  if (write(fd, json->text, json->used) < 0 && errno != EPIPE) {
    complain("the status descriptor cannot be written: %s", strerror(errno));
  }
}
