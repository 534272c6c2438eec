/* Loaded before a command: numbers the calls of the process that can change the disk, and at one of them lets the machine fail.
 *
 *   DISK_LOG=FILE     a line for each such call: its name and its path
 *   DISK_KILL=N       the process is killed in place of the Nth call
 *   DISK_TEAR=N       as before, but where that is a write, half of it is written first
 *   DISK_FULL=N       from the Nth call on nothing can be added: writes write half of what they should, once, and then nothing
 *   DISK_CLOCK=S      it is S seconds after 1970, and stays so
 *   DISK_COMMAND=C    only processes count whose first argument this is
 *
 * Calls that only take something away succeed on a full disk. What goes to pipes and terminals is not counted. Files that were open
 * when the process began are not counted either. Not covered: calls that do not go through the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long calls;

static long setting(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

/* Whether this process counts. */
static int is_meant(void) {
    static atomic_int known; /* 1: no, 2: yes */
    const char *wanted = getenv("DISK_COMMAND");
    if (!wanted) return 1;
    if (!known) {
        char line[4096] = "";
        int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
        long length = syscall(SYS_read, fd, line, sizeof line - 2);
        syscall(SYS_close, fd);
        line[length < 0 ? 0 : length] = line[sizeof line - 1] = 0;
        known = strcmp(line + strlen(line) + 1, wanted) ? 1 : 2;
    }
    return known == 2;
}

static void note(const char *call, const char *path) {
    const char *file = getenv("DISK_LOG");
    if (!file) return;
    char line[4096];
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (length > 0 && syscall(SYS_write, fd, line, length) != length) abort();
    syscall(SYS_close, fd);
}

/* Counts a call. 0: it may go on; 1: the disk is full; 2: it is, and this call is the first to find out. */
static int count(const char *call, const char *path, int adds, int *tears) {
    *tears = 0;
    if (!is_meant()) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    note(call, path);
    *tears = number == setting("DISK_TEAR");
    if (number == setting("DISK_KILL") || (*tears && strcmp(call, "write") != 0)) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    long full = setting("DISK_FULL");
    if (!full || !adds || number < full) return 0;
    errno = ENOSPC;
    return number == full ? 2 : 1;
}

static const char *path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static int is_disk(int fd) {
    struct stat about;
    return fd > 2 && fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode));
}

/* A call on an open file. */
#define ON_FILE(fd, call, adds)                                                 \
    if (is_disk(fd)) {                                                          \
        char path[4096];                                                        \
        int tears;                                                              \
        if (count(call, path_of(fd, path, sizeof path), adds, &tears)) return -1; \
    }

/* A call on a path. */
#define ON_PATH(path, call, adds)                        \
    do {                                                 \
        int tears;                                       \
        if (count(call, path, adds, &tears)) return -1;  \
    } while (0)

static ssize_t part(int fd, const void *bytes, size_t size) {
    return size ? syscall(SYS_write, fd, bytes, size) : 0;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (!is_disk(fd)) return REAL(write)(fd, bytes, size);
    char path[4096];
    int tears, full = count("write", path_of(fd, path, sizeof path), 1, &tears);
    if (tears) {
        part(fd, bytes, size / 2);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (full == 2 && size > 1) return part(fd, bytes, size / 2);
    return full ? -1 : REAL(write)(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int parts_count) {
    ON_FILE(fd, "writev", 1);
    return REAL(writev)(fd, parts, parts_count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    ON_FILE(fd, "pwrite", 1);
    return REAL(pwrite64)(fd, bytes, size, at);
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *at, size_t size, unsigned flags) {
    ON_FILE(to, "copy_file_range", 1);
    return REAL(copy_file_range)(from, start, to, at, size, flags);
}

int fsync(int fd) {
    ON_FILE(fd, "fsync", 1);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    ON_FILE(fd, "fdatasync", 1);
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size) {
    ON_FILE(fd, "truncate", 0);
    return REAL(ftruncate64)(fd, size);
}

int fchmod(int fd, mode_t mode) {
    ON_FILE(fd, "chmod", 0);
    return REAL(fchmod)(fd, mode);
}

int rename(const char *from, const char *to) {
    ON_PATH(to, "rename", 1);
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    ON_PATH(path, "unlink", 0);
    return REAL(unlink)(path);
}

int rmdir(const char *path) {
    ON_PATH(path, "rmdir", 0);
    return REAL(rmdir)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    ON_PATH(path, "unlink", 0);
    return REAL(unlinkat)(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    ON_PATH(path, "mkdir", 1);
    return REAL(mkdir)(path, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (flags & O_TRUNC || (flags & O_CREAT && access(path, F_OK) != 0)) ON_PATH(path, "create", 1);
    return REAL(open64)(path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long seconds = setting("DISK_CLOCK");
    if (!seconds || clock != CLOCK_REALTIME) return syscall(SYS_clock_gettime, clock, time);
    time->tv_sec = seconds;
    time->tv_nsec = 0;
    return 0;
}
