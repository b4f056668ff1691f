/* The kept inputs of a fuzzer, one after the other, for compilers without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
  static uint8_t room[1 << 20];
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return -1;
  }
  size_t size = fread(room, 1, sizeof room, file);
  fclose(file);
  uint8_t *data = malloc(size + 1); /* just as long as it is, so that reading past its end is seen */
  if (data == NULL) return -1;
  for (size_t i = 0; i < size; i++) data[i] = room[i];
  data = size == 0 ? data : realloc(data, size);
  (void)LLVMFuzzerTestOneInput(data, size);
  free(data);
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (replay(argv[i]) != 0) return 1;
  }
  printf("%s: %d inputs\n", argv[0], argc - 1);
  return argc > 1 ? 0 : 1;
}
