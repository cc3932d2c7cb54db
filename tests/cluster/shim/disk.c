/*
 * Preloaded into replicas by tests: disks that fail, that are full, and that lose at a power cut what was not synced.
 *
 * Only files below QUORATE_SHIM_ROOT whose path has "/data/" in it are looked at.
 *
 * QUORATE_SHIM_FAULTS: a directory. If it has a file `full`, writes that make a file longer fail with ENOSPC; if it has a file `eio`,
 * syncs fail with EIO: in both cases where the path contains what the file says.
 *
 * QUORATE_SHIM_JOURNALS: a directory. Each write leaves there, before it is made, what it replaces and what it writes; a sync of the file
 * removes that. What is left when the process was killed is what a power cut may take.
 *
 * A record is five 64-bit words in the machine's order: the offset, the length of the file before, the number of bytes that are
 * replaced, the number of bytes that are written, and the length of the file after, and then those bytes, old and new. Creations,
 * renames and removals are taken to be durable at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* The function of this name that stands behind this file's. */
#define REAL(result, name, ...)                                                    \
    static result (*real)(__VA_ARGS__);                                            \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t real_pwrite(int fd, const void *bytes, size_t count, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, bytes, count, at);
}

static ssize_t real_write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, bytes, count);
}

static int real_truncate(int fd, off_t length) {
    REAL(int, "ftruncate64", int, off_t);
    return real(fd, length);
}

/* Whether this is one of the files; `path` becomes its path. */
static int is_watched(int fd, char *path) {
    const char *root = getenv("QUORATE_SHIM_ROOT");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = root ? readlink(link, path, PATH_MAX - 1) : -1;
    if (length <= 0) return 0;
    path[length] = 0;
    struct stat found;
    return strncmp(path, root, strlen(root)) == 0 && strstr(path, "/data/") && fstat(fd, &found) == 0 &&
           S_ISREG(found.st_mode) && found.st_nlink > 0;
}

/* Whether a fault of this name is on for this path. */
static int is_struck(const char *fault, const char *path) {
    const char *faults = getenv("QUORATE_SHIM_FAULTS");
    if (!faults) return 0;
    char name[PATH_MAX], where[256];
    snprintf(name, sizeof name, "%s/%s", faults, fault);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, where, sizeof where - 1);
    close(fd);
    if (length <= 0) return 0;
    where[length] = 0;
    return strstr(path, where) != NULL;
}

/* Where the journal of a file is; whether there are journals. */
static int journal_of(const char *path, char *journal) {
    const char *journals = getenv("QUORATE_SHIM_JOURNALS");
    if (!journals) return 0;
    int begin = snprintf(journal, PATH_MAX, "%s/", journals);
    snprintf(journal + begin, PATH_MAX - begin, "%s", path);
    for (char *at = journal + begin; *at; at++)
        if (*at == '/') *at = '%';
    return 1;
}

static uint64_t length_of(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? (uint64_t)found.st_size : 0;
}

/* Keeps what a write, or a change of the length, is about to change. */
static void note(int fd, const char *path, uint64_t at, const void *bytes, uint64_t count, uint64_t after) {
    char journal[PATH_MAX];
    if (!journal_of(path, journal)) return;
    uint64_t before = length_of(fd);
    /* A cut takes all that lies behind it. */
    uint64_t end = after < before ? before : at + count;
    uint64_t old = at < before ? (end < before ? end : before) - at : 0;
    char *kept = malloc(old + 1);
    if (kept && old > 0 && pread(fd, kept, old, (off_t)at) != (ssize_t)old) abort();
    int to = open(journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    uint64_t head[5] = {at, before, old, count, after};
    if (!kept || to < 0 || real_write(to, head, sizeof head) != sizeof head ||
        real_write(to, kept, old) != (ssize_t)old || real_write(to, bytes, count) != (ssize_t)count)
        abort();
    close(to);
    free(kept);
}

static int is_full(const char *path, uint64_t before, uint64_t end) {
    return end > before && is_struck("full", path);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    char path[PATH_MAX];
    if (!is_watched(fd, path)) return real_pwrite(fd, bytes, count, at);
    pthread_mutex_lock(&turn);
    uint64_t before = length_of(fd), end = (uint64_t)at + count;
    ssize_t written = -1;
    if (is_full(path, before, end)) {
        errno = ENOSPC;
    } else {
        note(fd, path, (uint64_t)at, bytes, count, end > before ? end : before);
        written = real_pwrite(fd, bytes, count, at);
    }
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite64(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    char path[PATH_MAX];
    if (!is_watched(fd, path)) return real_write(fd, bytes, count);
    pthread_mutex_lock(&turn);
    uint64_t before = length_of(fd);
    off_t place = lseek(fd, 0, SEEK_CUR);
    uint64_t at = fcntl(fd, F_GETFL) & O_APPEND ? before : (uint64_t)(place < 0 ? 0 : place);
    ssize_t written = -1;
    if (is_full(path, before, at + count)) {
        errno = ENOSPC;
    } else {
        note(fd, path, at, bytes, count, at + count > before ? at + count : before);
        written = real_write(fd, bytes, count);
    }
    pthread_mutex_unlock(&turn);
    return written;
}

int ftruncate64(int fd, off_t length) {
    char path[PATH_MAX];
    if (!is_watched(fd, path)) return real_truncate(fd, length);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (is_full(path, length_of(fd), (uint64_t)length)) {
        errno = ENOSPC;
    } else {
        note(fd, path, (uint64_t)length, "", 0, (uint64_t)length);
        done = real_truncate(fd, length);
    }
    pthread_mutex_unlock(&turn);
    return done;
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

/* What was written before the sync began is durable; what came while it ran is not. */
static int synced(int fd, int (*sync)(int)) {
    char path[PATH_MAX], journal[PATH_MAX];
    if (!is_watched(fd, path)) return sync(fd);
    if (is_struck("eio", path)) {
        errno = EIO;
        return -1;
    }
    if (!journal_of(path, journal)) return sync(fd);
    struct stat found;
    pthread_mutex_lock(&turn);
    off_t covered = stat(journal, &found) == 0 ? found.st_size : 0;
    pthread_mutex_unlock(&turn);
    int done = sync(fd);
    if (done != 0 || covered == 0) return done;
    pthread_mutex_lock(&turn);
    int from = open(journal, O_RDONLY | O_CLOEXEC);
    off_t rest = from < 0 ? 0 : (off_t)length_of(from) - covered;
    if (rest <= 0) {
        syscall(SYS_unlinkat, AT_FDCWD, journal, 0);
    } else {
        char draft[PATH_MAX + 8];
        snprintf(draft, sizeof draft, "%s.new", journal);
        char *kept = malloc((size_t)rest);
        int to = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (!kept || to < 0 || pread(from, kept, (size_t)rest, covered) != rest || real_write(to, kept, (size_t)rest) != rest ||
            syscall(SYS_renameat, AT_FDCWD, draft, AT_FDCWD, journal) != 0)
            abort();
        close(to);
        free(kept);
    }
    if (from >= 0) close(from);
    pthread_mutex_unlock(&turn);
    return done;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return synced(fd, real);
}

/* Where the journal is of a file that is named by a path; whether it is one of the files, and there are journals. */
static int journal_at(const char *path, char *journal) {
    const char *root = getenv("QUORATE_SHIM_ROOT"), *name = strrchr(path, '/');
    char directory[PATH_MAX], whole[PATH_MAX];
    if (!root || !name || name == path) return 0;
    snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path);
    if (!realpath(directory, whole) || strncmp(whole, root, strlen(root)) != 0) return 0;
    if (strlen(whole) + strlen(name) >= PATH_MAX) return 0;
    strcat(whole, name);
    return strstr(whole, "/data/") && journal_of(whole, journal);
}

/* What is not synced goes with the file. */
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    char old[PATH_MAX], new[PATH_MAX];
    pthread_mutex_lock(&turn);
    int done = real(from, to);
    if (done == 0 && journal_at(from, old) && journal_at(to, new)) {
        syscall(SYS_unlinkat, AT_FDCWD, new, 0);
        syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new);
    }
    pthread_mutex_unlock(&turn);
    return done;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    char journal[PATH_MAX];
    pthread_mutex_lock(&turn);
    int done = real(path);
    if (done == 0 && journal_at(path, journal)) syscall(SYS_unlinkat, AT_FDCWD, journal, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
