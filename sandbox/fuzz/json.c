/* What is told in JSON: whatever is put in, and however much, what comes out is one line with one object in it. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../toroid-sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) abort();                                                                                         \
  } while (0)

/* ---- a reader that takes nothing but JSON ---- */

static const char *at_value(const char *at, unsigned depth);

static const char *at_string(const char *at) {
  MUST(*at++ == '"');
  for (; *at != '"'; at++) {
    MUST(*at >= 0x20 && *at < 0x7f); /* ASCII, and no end of the text */
    if (*at != '\\') continue;
    at++;
    if (*at == '"' || *at == '\\') continue;
    MUST(*at == 'u');
    for (int i = 0; i < 4; i++) MUST(strchr("0123456789abcdef", *++at) != NULL && *at != '\0');
  }
  return at + 1;
}

static const char *at_members(const char *at, char end, unsigned depth) {
  MUST(depth < JSON_DEPTH + 2u);
  if (*++at == end) return at + 1;
  for (;;) {
    if (end == '}') {
      at = at_string(at);
      MUST(*at++ == ':');
    }
    at = at_value(at, depth);
    if (*at == end) return at + 1;
    MUST(*at++ == ',');
  }
}

static const char *at_value(const char *at, unsigned depth) {
  if (*at == '{') return at_members(at, '}', depth + 1);
  if (*at == '[') return at_members(at, ']', depth + 1);
  if (*at == '"') return at_string(at);
  if (strncmp(at, "null", 4) == 0) return at + 4;
  MUST(*at >= '0' && *at <= '9');
  return at + strspn(at, "0123456789");
}

/* ---- members as the bytes say ---- */

struct input {
  const uint8_t *at;
  size_t left;
};

static uint8_t take(struct input *input) {
  if (input->left == 0) return 0;
  input->left--;
  return *input->at++;
}

/* As long as the next two bytes say, repeated where there are fewer. */
static char *take_text(struct input *input) {
  size_t length = (size_t)take(input) * (take(input) % 16 + 1u), given = input->left < length ? input->left : length;
  char *text = malloc(length + 1);
  MUST(text != NULL);
  memset(text, 'x', length);
  memcpy(text, input->at, given);
  text[length] = '\0';
  input->at += given;
  input->left -= given;
  return text;
}

static void put_one(struct json *json, struct input *input, char *open, unsigned *depth) {
  uint8_t what = take(input);
  bool in_list = *depth > 0 && open[*depth - 1] == '[';
  char *key = in_list ? NULL : take_text(input), *value = take_text(input);
  switch (what % 6) {
  case 0: json_string(json, key, value); break;
  case 1: json_string(json, key, NULL); break;
  case 2: json_number(json, key, (uint64_t)what << 56 | what); break;
  case 3: json_number_or_null(json, key, what % 2 == 0, what); break;
  case 4:
    if (*depth == 64) break;
    open[*depth] = what < 128 ? '{' : '[';
    if (open[(*depth)++] == '{')
      json_open(json, key);
    else
      json_list(json, key);
    break;
  default:
    if (*depth == 0) break;
    if (open[--*depth] == '{')
      json_close(json);
    else
      json_list_end(json);
  }
  free(key);
  free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int file = -1;
  static char text[sizeof(struct json) + 1];
  struct input input = {.at = data, .left = size};
  struct json json;
  char open[64];
  unsigned depth = 0;
  if (file < 0) file = memfd_create("json", MFD_CLOEXEC);
  MUST(file >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
  json_begin(&json);
  while (input.left > 0) put_one(&json, &input, open, &depth);
  while (depth > 0) {
    if (open[--depth] == '{')
      json_close(&json);
    else
      json_list_end(&json);
  }
  json_send(&json, file);
  ssize_t length = pread(file, text, sizeof text - 1, 0);
  MUST(length >= 3 && length <= (ssize_t)sizeof json.text);
  text[length] = '\0';
  MUST(strlen(text) == (size_t)length);
  MUST(strcmp(at_value(text, 0), "\n") == 0 && text[0] == '{');
  return 0;
}
