/* LD_PRELOAD: fsync and fdatasync fail with EIO while the file named by FAIL_FSYNC exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void) {
  const char *flag = getenv("FAIL_FSYNC");
  return flag && access(flag, F_OK) == 0;
}

static int flush(const char *name, int file) {
  if (fails()) {
    errno = EIO;
    return -1;
  }
  return ((int (*)(int)) dlsym(RTLD_NEXT, name))(file);
}

int fsync(int file) { return flush("fsync", file); }
int fdatasync(int file) { return flush("fdatasync", file); }
