/* What a run may write to disk, and what holds it to that. */
#ifndef TOROID_DISK_H
#define TOROID_DISK_H

#include "toroid-sandbox.h"

#define DISK_IMAGE "disk.img"
#define DISK_MEMORY "memory"

/* ---- which way, and how it went: disk.c ---- */

/* Finds what an earlier run left in the scratch, and makes it `scratch->disk`. */
int disk_adopt(struct scratch *scratch, struct failure *failure);
/* Chooses how this run is limited, as far as it can be, and says so in `limits`; makes `scratch->disk` then. Fails only
 * where the scratch itself cannot be used. */
int disk_choose(struct scratch *scratch, const struct plan *plan, uint64_t uid_base, struct disk_limits *limits,
                struct failure *failure);
/* Gives directories that were made in a scratch to its project. */
int disk_give(const struct scratch *scratch, const char *name, struct failure *failure);
bool disk_is_full(const struct scratch *scratch);
bool disk_has_no_room(uint64_t size, uint64_t left);
/* No file system of the scratch stays with us. */
void disk_close(struct scratch *scratch);
/* Before a scratch is deleted: takes down what is mounted in it, and forgets its limit. `uid_base` 0: it has none. */
void disk_forget(int scratch, uint64_t uid_base);

/* ---- project quota: quota.c. `dir` is any descriptor of the file system but one of O_PATH ---- */

/* Whether the file system counts what a project has, and holds it to limits. */
bool quota_is_enforced(int dir);
/* The first project from `first` on, of UID_COUNT, that owns nothing; 0 after a sentence. */
uint32_t quota_choose(int dir, uint64_t first, struct failure *failure);
/* 0: no limit. */
int quota_limit(int dir, uint32_t project, uint64_t bytes, uint64_t inodes, struct failure *failure);
/* Whether nothing more can be written, or nearly nothing. */
bool quota_is_full(int dir, uint32_t project);
/* Of a file or directory; 0: none. */
uint32_t quota_project_of(int fd);
/* Makes `name` in `dir`, a directory, and all that will be made in it the project's. */
int quota_give(int dir, const char *name, uint32_t project, struct failure *failure);
/* The same of what `fd` is and, if it is a directory, of all that is in it by now. Takes `fd` over. */
int quota_give_tree(int fd, uint32_t project, struct failure *failure);

/* ---- a file system of its own: loop.c ---- */

/* Makes the image `DISK_IMAGE` in `dir`; `inodes` 0: as many as is usual. */
int loop_make(int dir, uint64_t bytes, uint64_t inodes, struct failure *failure);
/* Mounts it: attached nowhere, and gone with the descriptor and what was made from it. -1 after a sentence. */
int loop_mount(int dir, struct failure *failure);

#endif
