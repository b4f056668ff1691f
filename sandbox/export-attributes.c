/* Extended attributes of what a build wrote: which of them an image keeps, and in which form. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "toroid-archive.h"

enum { VERSION_2 = 0x02000000, VERSION_3 = 0x03000000, VERSION_MASK = 0xff000000, BYTES_2 = 20, BYTES_3 = 24 };

/* Inside, capabilities of a file are those of the run's root: version 3, with its uid outside. In an image they are
 * root's: version 2. Those of any other uid never had an effect inside, and are left out. False: left out. */
static bool capability_of_image(char *value, size_t *length, uint64_t uid_base) {
  uint32_t magic, root;
  if (*length == BYTES_2) return true;
  if (*length != BYTES_3) return false;
  memcpy(&magic, value, sizeof magic);
  memcpy(&root, value + BYTES_2, sizeof root);
  if ((magic & VERSION_MASK) != VERSION_3 || root != uid_base) return false;
  magic = (magic & ~(uint32_t)VERSION_MASK) | VERSION_2;
  memcpy(value, &magic, sizeof magic);
  *length = BYTES_2;
  return true;
}

static const char *add(struct attributes *attributes, int fd, const char *name, struct tar_entry *entry,
                       uint64_t uid_base) {
  char *value = attributes->space + attributes->used;
  ssize_t got = fgetxattr(fd, name, value, sizeof attributes->space - attributes->used);
  if (got < 0) return "has an extended attribute that cannot be read";
  size_t length = (size_t)got;
  if (strcmp(name, "security.capability") == 0 && !capability_of_image(value, &length, uid_base)) return NULL;
  if (entry->xattr_count == MAX_XATTRS) return "has more than 64 extended attributes";
  entry->xattrs[entry->xattr_count++] = (struct xattr){.name = name, .value = value, .length = length};
  attributes->used += (size_t)got;
  return NULL;
}

const char *attributes_read(struct attributes *attributes, int fd, struct tar_entry *entry, uint64_t uid_base,
                            bool *opaque) {
  char yes;
  attributes->used = 0;
  ssize_t used = flistxattr(fd, attributes->names, sizeof attributes->names);
  if (used < 0 && errno != EOPNOTSUPP) return "has extended attributes that cannot be read";
  const char *why = NULL;
  for (ssize_t at = 0; at < used && why == NULL; at += (ssize_t)strlen(attributes->names + at) + 1) {
    const char *name = attributes->names + at;
    if (strcmp(name, "trusted.overlay.opaque") == 0)
      *opaque = fgetxattr(fd, name, &yes, 1) == 1 && yes == 'y';
    else if (strcmp(name, "trusted.overlay.redirect") == 0 || strcmp(name, "trusted.overlay.metacopy") == 0)
      why = "is only a part of a file or directory below";
    else if (is_kept_xattr(name))
      why = add(attributes, fd, name, entry, uid_base);
  }
  return why;
}
