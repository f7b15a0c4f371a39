/*
 * Stands between a process and the disk, below Node and LMDB alike: loaded with LD_PRELOAD, it takes the place of
 * the C library's calls that change files. For those under one folder it fails the n-th call, or writes half of what
 * it was to write; or it records everything that is written and synced, in the order in which it happened, so that a
 * power cut at any moment can be made up afterwards. Controlled by the process itself, through the functions at the end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum mode { OFF, ONCE, FROM_THEN_ON, SHORT };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char root[PATH_MAX];
static size_t root_length;
static enum mode mode = OFF;
static int fail_at, fail_with, calls, failed, log_fd = -1, syncs;
static char last[PATH_MAX + 64];

#define REAL(name) \
  static __typeof__(name) *real; \
  if (real == NULL) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int under_root(const char *path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == '\0' || path[root_length] == ' ');
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return under_root(path);
}

/* Whether this call is to fail: 0, or the number of the error, or -1 for half a write. */
static int fault(const char *call, const char *path) {
  if (mode == OFF || (mode == SHORT && strstr(call, "write") == NULL)) return 0;
  calls++;
  if (mode == FROM_THEN_ON ? calls < fail_at : calls != fail_at) return 0;
  /* At once, too: the process may not live to tell. */
  if (failed++ == 0) dprintf(2, "%s\n", (snprintf(last, sizeof last, "%s %s", call, path + root_length), last));
  return mode == SHORT ? -1 : fail_with;
}

static void put(const char *bytes, size_t length) {
  REAL(write);
  while (length > 0) {
    ssize_t n = real(log_fd, bytes, length);
    if (n <= 0) abort();
    bytes += n;
    length -= (size_t)n;
  }
}

__attribute__((format(printf, 1, 2))) static void record(const char *format, ...) {
  if (log_fd < 0) return;
  char line[2 * PATH_MAX + 64];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  put(line, (size_t)length);
}

static unsigned long inode(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

static void record_write(int fd, const struct iovec *pieces, int count, ssize_t length, off_t offset) {
  if (log_fd < 0 || length <= 0) return;
  record("W %lu %lld %zd %d\n", inode(fd), (long long)offset, length, (fcntl(fd, F_GETFL) & O_DSYNC) != 0);
  for (int i = 0; i < count && length > 0; i++) {
    size_t part = pieces[i].iov_len < (size_t)length ? pieces[i].iov_len : (size_t)length;
    put(pieces[i].iov_base, part);
    length -= (ssize_t)part;
  }
  record("\n");
}

/* All that writes comes here. An offset of -1 is that of the file. */
static ssize_t write_pieces(const char *call, int fd, const struct iovec *pieces, int count, off_t offset,
                            ssize_t (*doing)(int, const struct iovec *, int, off_t)) {
  char path[PATH_MAX];
  if (root_length == 0 || fd == log_fd || !path_of(fd, path)) return doing(fd, pieces, count, offset);
  pthread_mutex_lock(&lock);
  /* What a file has already, it can be written into on a full disk. */
  struct stat found;
  off_t end = offset;
  for (int i = 0; i < count; i++) end += (off_t)pieces[i].iov_len;
  int owned = fail_with == ENOSPC && mode != SHORT && offset >= 0 && fstat(fd, &found) == 0 && end <= found.st_size;
  int error = owned ? 0 : fault(call, path);
  ssize_t result = -1;
  off_t start = offset >= 0 ? offset : lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  if (error > 0) errno = error;
  else if (error < 0 && (count > 1 || pieces[0].iov_len > 1)) {
    struct iovec half = pieces[0];
    if (half.iov_len > 1) half.iov_len /= 2;
    result = doing(fd, &half, 1, offset);
  } else result = doing(fd, pieces, count, offset);
  int saved = errno;
  record_write(fd, pieces, count, result, start);
  errno = saved;
  pthread_mutex_unlock(&lock);
  return result;
}

static ssize_t do_write(int fd, const struct iovec *pieces, int count, off_t offset) {
  (void)offset;
  if (count == 1) {
    REAL(write);
    return real(fd, pieces[0].iov_base, pieces[0].iov_len);
  }
  REAL(writev);
  return real(fd, pieces, count);
}

static ssize_t do_pwrite(int fd, const struct iovec *pieces, int count, off_t offset) {
  if (count == 1) {
    REAL(pwrite64);
    return real(fd, pieces[0].iov_base, pieces[0].iov_len, offset);
  }
  REAL(pwritev64);
  return real(fd, pieces, count, offset);
}

#define PIECE struct iovec piece = {(void *)bytes, length}
ssize_t write(int fd, const void *bytes, size_t length) {
  PIECE;
  return write_pieces("write", fd, &piece, 1, -1, do_write);
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
  return write_pieces("writev", fd, pieces, count, -1, do_write);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  PIECE;
  return write_pieces("pwrite", fd, &piece, 1, offset, do_pwrite);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  return pwrite64(fd, bytes, length, offset);
}
ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset) {
  return write_pieces("pwritev", fd, pieces, count, offset, do_pwrite);
}
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
  return pwritev64(fd, pieces, count, offset);
}

/* A sync takes time, and others write meanwhile: what it is sure to have on the disk is what was written before it. */
static int sync_file(const char *call, int fd, int (*doing)(int)) {
  char path[PATH_MAX];
  if (root_length == 0 || !path_of(fd, path)) return doing(fd);
  pthread_mutex_lock(&lock);
  int error = fault(call, path), number = ++syncs;
  if (error <= 0) record("B %d %lu\n", number, inode(fd));
  pthread_mutex_unlock(&lock);
  if (error > 0) {
    errno = error;
    return -1;
  }
  int result = doing(fd);
  pthread_mutex_lock(&lock);
  if (result == 0) record("E %d\n", number);
  pthread_mutex_unlock(&lock);
  return result;
}

static int do_fsync(int fd) {
  REAL(fsync);
  return real(fd);
}
static int do_fdatasync(int fd) {
  REAL(fdatasync);
  return real(fd);
}
int fsync(int fd) { return sync_file("fsync", fd, do_fsync); }
int fdatasync(int fd) { return sync_file("fdatasync", fd, do_fdatasync); }

int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64);
  char path[PATH_MAX];
  if (root_length == 0 || !path_of(fd, path)) return real(fd, length);
  pthread_mutex_lock(&lock);
  int error = fault("ftruncate", path), result = -1;
  if (error > 0) errno = error;
  else if ((result = real(fd, length)) == 0) record("T %lu %lld\n", inode(fd), (long long)length);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fallocate64(int fd, int how, off64_t offset, off64_t length) {
  REAL(fallocate64);
  char path[PATH_MAX];
  if (root_length == 0 || !path_of(fd, path)) return real(fd, how, offset, length);
  pthread_mutex_lock(&lock);
  int error = fault("fallocate", path), result = -1;
  if (error > 0) errno = error;
  else if ((result = real(fd, how, offset, length)) == 0)
    record("T %lu %lld\n", inode(fd), (long long)(offset + length));
  pthread_mutex_unlock(&lock);
  return result;
}
int fallocate(int fd, int how, off_t offset, off_t length) { return fallocate64(fd, how, offset, length); }

static int open_file(const char *path, int flags, mode_t permissions, int (*real)(const char *, int, ...)) {
  if (root_length == 0 || !under_root(path) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, permissions);
  pthread_mutex_lock(&lock);
  struct stat before;
  int is_new = stat(path, &before) != 0, error = is_new ? fault("open", path) : 0, result = -1;
  if (error > 0) errno = error;
  else if ((result = real(path, flags, permissions)) >= 0) {
    int saved = errno;
    if (is_new) record("C %lu %s\n", inode(result), path + root_length);
    else if (flags & O_TRUNC) record("T %lu 0\n", inode(result));
    errno = saved;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

#define PERMISSIONS \
  mode_t permissions = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list values; \
    va_start(values, flags); \
    permissions = va_arg(values, mode_t); \
    va_end(values); \
  }
int open64(const char *path, int flags, ...) {
  REAL(open64);
  PERMISSIONS
  return open_file(path, flags, permissions, real);
}
int open(const char *path, int flags, ...) {
  REAL(open);
  PERMISSIONS
  return open_file(path, flags, permissions, real);
}

/* What changes names: a letter, and the path or paths. */
#define CHANGE_NAME(call, letter, doing, path, ...) \
  REAL(call); \
  if (root_length == 0 || !under_root(path)) return real doing; \
  pthread_mutex_lock(&lock); \
  int error = fault(#call, path), result = -1; \
  if (error > 0) errno = error; \
  else if ((result = real doing) == 0) record(letter __VA_ARGS__); \
  pthread_mutex_unlock(&lock); \
  return result

static unsigned long inode_of(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 ? found.st_ino : 0;
}
int mkdir(const char *path, mode_t permissions) {
  CHANGE_NAME(mkdir, "D %lu %s\n", (path, permissions), path, , inode_of(path), path + root_length);
}
int rmdir(const char *path) { CHANGE_NAME(rmdir, "X %s\n", (path), path, , path + root_length); }
int unlink(const char *path) { CHANGE_NAME(unlink, "U %s\n", (path), path, , path + root_length); }
int link(const char *from, const char *to) {
  CHANGE_NAME(link, "L %s\t%s\n", (from, to), to, , from + root_length, to + root_length);
}
int rename(const char *from, const char *to) {
  CHANGE_NAME(rename, "R %s\t%s\n", (from, to), to, , from + root_length, to + root_length);
}

/* Files under this folder are looked after; it must be an absolute path without symlinks. */
void disk_shim_root(const char *path) {
  pthread_mutex_lock(&lock);
  mode = OFF;
  root_length = strlen(path);
  memcpy(root, path, root_length + 1);
  pthread_mutex_unlock(&lock);
}

/* From now on calls are counted, and the one with this number fails. */
void disk_shim_arm(int at, int error, int how) {
  pthread_mutex_lock(&lock);
  calls = failed = 0;
  last[0] = '\0';
  fail_at = at;
  fail_with = error;
  mode = (enum mode)how;
  pthread_mutex_unlock(&lock);
}

void disk_shim_disarm(void) {
  pthread_mutex_lock(&lock);
  mode = OFF;
  pthread_mutex_unlock(&lock);
}

/* How many calls there were since it was armed, how many have failed, and which was the first. */
int disk_shim_calls(void) { return calls; }
int disk_shim_failed(void) { return failed; }
const char *disk_shim_last(void) { return last; }

int disk_shim_record(const char *path) {
  REAL(open);
  log_fd = real(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return log_fd;
}

/* Writes down what is promised from now on. */
void disk_shim_promise(const char *text) {
  pthread_mutex_lock(&lock);
  record("A %s\n", text);
  pthread_mutex_unlock(&lock);
}
