/* SPDX-License-Identifier: MPL-2.0 */

/* Preloaded into vmctl and what it starts. Counts the calls that change something outside of the
 * process, over all threads and processes together, and does what is asked at the Nth of them:
 * kills or signals vmctl, holds it, or lets the call fail. What to do and how far it came stands in
 * a file that faults.py maps too; its layout is `struct Shared` here and `Shim` there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum Kind {
  CREATE = 1 << 0, /* open() that may make a file */
  OPEN = 1 << 1,   /* any other */
  WRITE = 1 << 2,  /* to a regular file */
  SEND = 1 << 3,   /* to a pipe or socket */
  SYNC = 1 << 4,
  RENAME = 1 << 5,
  UNLINK = 1 << 6,
  MKDIR = 1 << 7,
  TRUNCATE = 1 << 8,
  LOCK = 1 << 9,
  SOCKET = 1 << 10, /* bind, listen, connect */
  FORK = 1 << 11,
  EXEC = 1 << 12,
  CHMOD = 1 << 13,
  LINK = 1 << 14,
  SIGNAL = 1 << 15,
  MAKE_FD = 1 << 16, /* pipe, socket; not eventfd, without which GLib does not go on at all */
};

enum Action { NOTHING, SIGNAL_ROOT, FAIL_ONCE, FAIL_FROM_THEN_ON, HOLD };

struct Shared {
  _Atomic uint64_t count;
  uint64_t at; /* which call, from 1; 0: none */
  uint32_t action;
  uint32_t value; /* the signal, or the errno */
  uint32_t kinds; /* which are counted */
  _Atomic uint32_t fired;
  _Atomic int32_t root; /* the first process: vmctl */
  uint32_t delay_ms;    /* how long a child goes on sleeping that made the call */
  _Atomic int64_t clock_offset_s;
  char fired_at[64]; /* the call that it was */
};

static struct Shared *shared;
static const char *log_path;
static char *preload;
static char *location;
static char *log_location;
static int (*real_execve) (const char *, char *const[], char *const[]);

static void *
next (const char *name)
{
  return dlsym (RTLD_NEXT, name);
}

__attribute__ ((constructor)) static void
set_up (void)
{
  const char *path = getenv ("FAULTS_SHARED");
  if (path == NULL)
    return;
  int fd = (int) syscall (SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return;
  void *map = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall (SYS_close, fd);
  if (map == MAP_FAILED)
    return;
  shared = map;
  log_path = getenv ("FAULTS_LOG");
  if (asprintf (&preload, "LD_PRELOAD=%s", getenv ("LD_PRELOAD")) < 0 ||
      asprintf (&location, "FAULTS_SHARED=%s", path) < 0 ||
      asprintf (&log_location, "FAULTS_LOG=%s", log_path != NULL ? log_path : "") < 0)
    abort ();
  real_execve = next ("execve"); /* a forked child of a program with threads must not look it up */
  int32_t nobody = 0;
  atomic_compare_exchange_strong (&shared->root, &nobody, getpid ());
}

static void
sleep_ms (uint32_t ms)
{
  struct timespec left = { ms / 1000, (long) (ms % 1000) * 1000000 };
  while (syscall (SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) < 0)
    ;
}

static void
note (uint64_t number, const char *call, const char *detail)
{
  char line[512];
  int length = snprintf (line, sizeof line, "%llu %d %s %s\n", (unsigned long long) number,
                         getpid (), call, detail != NULL ? detail : "");
  if (length >= (int) sizeof line)
    length = sizeof line - 1;
  int fd = (int) syscall (SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
  syscall (SYS_write, fd, line, length);
  syscall (SYS_close, fd);
}

static void
signal_root (void)
{
  int is_root = getpid () == shared->root;
  syscall (SYS_kill, shared->root, (int) shared->value);
  if (is_root && shared->value == SIGKILL)
    sleep_ms (10000);
  /* A handler in another thread gets the time to hear of it before the call is made. */
  sleep_ms (is_root ? 30 : shared->delay_ms);
}

/* 0 when the call is to go on, otherwise the errno to fail with. */
static int
reached (enum Kind kind, const char *call, const char *detail)
{
  if (shared == NULL || (shared->kinds & kind) == 0)
    return 0;
  int saved = errno;
  uint64_t number = atomic_fetch_add (&shared->count, 1) + 1;
  int failure = 0;
  if (log_path != NULL)
    note (number, call, detail);
  if (shared->at != 0 && number == shared->at) {
    snprintf (shared->fired_at, sizeof shared->fired_at, "%s %.40s", call,
              detail != NULL ? detail : "");
    shared->fired = 1;
    if (shared->action == SIGNAL_ROOT)
      signal_root ();
    else if (shared->action == HOLD)
      while (shared->action == HOLD)
        sleep_ms (20);
  }
  if (shared->at != 0 && ((shared->action == FAIL_ONCE && number == shared->at) ||
                          (shared->action == FAIL_FROM_THEN_ON && number >= shared->at)))
    failure = (int) shared->value;
  errno = saved;
  return failure;
}

#define FAIL_IF_REACHED(kind, call, detail)     \
  do {                                          \
    int failed_ = reached (kind, call, detail); \
    if (failed_ != 0) {                         \
      errno = failed_;                          \
      return -1;                                \
    }                                           \
  } while (0)

/* The last part of a path says enough. */
static const char *
leaf (const char *path)
{
  const char *slash = path != NULL ? strrchr (path, '/') : NULL;
  return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static const char *
fd_name (int fd)
{
  static _Thread_local char buffer[256];
  char link[64];
  if (shared == NULL)
    return "";
  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = syscall (SYS_readlink, link, buffer, sizeof buffer - 1);
  buffer[n > 0 ? n : 0] = '\0';
  return leaf (buffer);
}

static int
fd_mode (int fd)
{
  struct stat st;
  return syscall (SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 ? (int) (st.st_mode & S_IFMT)
                                                                   : 0;
}

/* 0 when @fd is nothing that outlives the process. */
static int
write_kind (int fd)
{
  switch (fd_mode (fd)) {
  case S_IFREG:
    return WRITE;
  case S_IFIFO:
  case S_IFSOCK:
    return SEND;
  default:
    return 0;
  }
}

#define OPEN_KIND(flags) (((flags) & (O_CREAT | O_TRUNC | __O_TMPFILE)) != 0 ? CREATE : OPEN)

#define WRAP_OPEN(name)                                      \
  int name (const char *path, int flags, ...)                \
  {                                                          \
    static int (*real) (const char *, int, ...);             \
    va_list args;                                            \
    va_start (args, flags);                                  \
    mode_t mode = va_arg (args, mode_t);                     \
    va_end (args);                                           \
    if (real == NULL)                                        \
      real = next (#name);                                   \
    FAIL_IF_REACHED (OPEN_KIND (flags), #name, leaf (path)); \
    return real (path, flags, mode);                         \
  }
WRAP_OPEN (open)
WRAP_OPEN (open64)

#define WRAP_OPENAT(name)                                    \
  int name (int dir, const char *path, int flags, ...)       \
  {                                                          \
    static int (*real) (int, const char *, int, ...);        \
    va_list args;                                            \
    va_start (args, flags);                                  \
    mode_t mode = va_arg (args, mode_t);                     \
    va_end (args);                                           \
    if (real == NULL)                                        \
      real = next (#name);                                   \
    FAIL_IF_REACHED (OPEN_KIND (flags), #name, leaf (path)); \
    return real (dir, path, flags, mode);                    \
  }
WRAP_OPENAT (openat)
WRAP_OPENAT (openat64)

/* The form of an ordinary function: its type, parameters, arguments, kind and what to note. */
#define WRAP(type, name, parameters, arguments, kind, detail) \
  type name parameters                                        \
  {                                                           \
    static type (*real) parameters;                           \
    if (real == NULL)                                         \
      real = next (#name);                                    \
    FAIL_IF_REACHED (kind, #name, detail);                    \
    return real arguments;                                    \
  }

WRAP (int, __open_2, (const char *path, int flags), (path, flags), OPEN_KIND (flags), leaf (path))
WRAP (int, __open64_2, (const char *path, int flags), (path, flags), OPEN_KIND (flags), leaf (path))
WRAP (int, __openat_2, (int dir, const char *path, int flags), (dir, path, flags),
      OPEN_KIND (flags), leaf (path))
WRAP (int, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags),
      OPEN_KIND (flags), leaf (path))
WRAP (int, creat, (const char *path, mode_t mode), (path, mode), CREATE, leaf (path))
WRAP (int, creat64, (const char *path, mode_t mode), (path, mode), CREATE, leaf (path))
WRAP (int, mkstemp, (char *path), (path), CREATE, leaf (path))
WRAP (int, mkstemp64, (char *path), (path), CREATE, leaf (path))
WRAP (int, mkostemp, (char *path, int flags), (path, flags), CREATE, leaf (path))
WRAP (int, mkostemp64, (char *path, int flags), (path, flags), CREATE, leaf (path))

#define WRAP_FOPEN(name)                                                                      \
  FILE *name (const char *path, const char *mode)                                             \
  {                                                                                           \
    static FILE *(*real) (const char *, const char *);                                        \
    if (real == NULL)                                                                         \
      real = next (#name);                                                                    \
    int failed = reached (strpbrk (mode, "wa+") != NULL ? CREATE : OPEN, #name, leaf (path)); \
    if (failed != 0) {                                                                        \
      errno = failed;                                                                         \
      return NULL;                                                                            \
    }                                                                                         \
    return real (path, mode);                                                                 \
  }
WRAP_FOPEN (fopen)
WRAP_FOPEN (fopen64)

#define WRAP_WRITE(type, name, parameters, arguments)          \
  type name parameters                                         \
  {                                                            \
    static type (*real) parameters;                            \
    int kind = shared != NULL ? write_kind (fd) : 0;           \
    if (real == NULL)                                          \
      real = next (#name);                                     \
    if (kind != 0)                                             \
      FAIL_IF_REACHED ((enum Kind) kind, #name, fd_name (fd)); \
    return real arguments;                                     \
  }
WRAP_WRITE (ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
WRAP_WRITE (ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
WRAP_WRITE (ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
WRAP_WRITE (ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP_WRITE (ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
WRAP_WRITE (ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at))
WRAP_WRITE (ssize_t, send, (int fd, const void *data, size_t n, int flags), (fd, data, n, flags))
WRAP_WRITE (ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))

WRAP (int, fsync, (int fd), (fd), SYNC, fd_name (fd))
WRAP (int, fdatasync, (int fd), (fd), SYNC, fd_name (fd))
WRAP (int, rename, (const char *from, const char *to), (from, to), RENAME, leaf (to))
WRAP (int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), RENAME,
      leaf (to))
WRAP (int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
      (a, from, b, to, flags), RENAME, leaf (to))
WRAP (int, unlink, (const char *path), (path), UNLINK, leaf (path))
WRAP (int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), UNLINK,
      leaf (path))
WRAP (int, rmdir, (const char *path), (path), UNLINK, leaf (path))
WRAP (int, remove, (const char *path), (path), UNLINK, leaf (path))
WRAP (int, mkdir, (const char *path, mode_t mode), (path, mode), MKDIR, leaf (path))
WRAP (int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), MKDIR, leaf (path))
WRAP (int, ftruncate, (int fd, off_t size), (fd, size), TRUNCATE, fd_name (fd))
WRAP (int, ftruncate64, (int fd, off64_t size), (fd, size), TRUNCATE, fd_name (fd))
WRAP (int, truncate, (const char *path, off_t size), (path, size), TRUNCATE, leaf (path))
WRAP (int, truncate64, (const char *path, off64_t size), (path, size), TRUNCATE, leaf (path))
WRAP (int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), TRUNCATE,
      fd_name (fd))
WRAP (int, fallocate64, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n), TRUNCATE,
      fd_name (fd))
WRAP (int, flock, (int fd, int operation), (fd, operation), LOCK, fd_name (fd))
WRAP (int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), SOCKET, fd_name (fd))
WRAP (int, listen, (int fd, int n), (fd, n), SOCKET, fd_name (fd))
WRAP (int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), SOCKET,
      fd_name (fd))
WRAP (int, chmod, (const char *path, mode_t mode), (path, mode), CHMOD, leaf (path))
WRAP (int, fchmod, (int fd, mode_t mode), (fd, mode), CHMOD, fd_name (fd))
WRAP (int, fchmodat, (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags),
      CHMOD, leaf (path))
WRAP (int, link, (const char *from, const char *to), (from, to), LINK, leaf (to))
WRAP (int, linkat, (int a, const char *from, int b, const char *to, int flags),
      (a, from, b, to, flags), LINK, leaf (to))
WRAP (int, symlink, (const char *from, const char *to), (from, to), LINK, leaf (to))
WRAP (int, symlinkat, (const char *from, int dir, const char *to), (from, dir, to), LINK, leaf (to))
WRAP (int, kill, (pid_t pid, int sig), (pid, sig), SIGNAL, NULL)
WRAP (int, pidfd_send_signal, (int fd, int sig, siginfo_t *info, unsigned flags),
      (fd, sig, info, flags), SIGNAL, fd_name (fd))
WRAP (pid_t, fork, (void), (), FORK, NULL)
WRAP (int, pipe, (int fds[2]), (fds), MAKE_FD, NULL)
WRAP (int, pipe2, (int fds[2], int flags), (fds, flags), MAKE_FD, NULL)
WRAP (int, socket, (int domain, int type, int protocol), (domain, type, protocol), MAKE_FD, NULL)

#define WRAP_FCNTL(name)                                                               \
  int name (int fd, int command, ...)                                                  \
  {                                                                                    \
    static int (*real) (int, int, ...);                                                \
    va_list args;                                                                      \
    va_start (args, command);                                                          \
    void *arg = va_arg (args, void *);                                                 \
    va_end (args);                                                                     \
    if (real == NULL)                                                                  \
      real = next (#name);                                                             \
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||         \
        command == F_OFD_SETLKW)                                                       \
      FAIL_IF_REACHED (LOCK, #name,                                                    \
                       ((struct flock *) arg)->l_type == F_UNLCK ? "unlock" : "lock"); \
    return real (fd, command, arg);                                                    \
  }
WRAP_FCNTL (fcntl)
WRAP_FCNTL (fcntl64)

/* vmctl gives QEMU an environment of its own; the shim is to be in it all the same. */
int
execve (const char *path, char *const argv[], char *const envp[])
{
  char *extended[1024];
  int n = 0;
  if (real_execve == NULL)
    real_execve = next ("execve");
  FAIL_IF_REACHED (EXEC, "execve", leaf (path));
  if (shared == NULL)
    return real_execve (path, argv, envp);
  for (; envp[n] != NULL; n++) {
    if (n == 1020 || strncmp (envp[n], "LD_PRELOAD=", 11) == 0)
      return real_execve (path, argv, envp);
    extended[n] = envp[n];
  }
  extended[n++] = preload;
  extended[n++] = location;
  if (log_path != NULL)
    extended[n++] = log_location;
  extended[n] = NULL;
  return real_execve (path, argv, extended);
}

WRAP (int, execvp, (const char *path, char *const argv[]), (path, argv), EXEC, leaf (path))
WRAP (int, posix_spawn,
      (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]),
      (pid, path, actions, attributes, argv, envp), FORK, leaf (path))

int
clock_gettime (clockid_t clock, struct timespec *now)
{
  static int (*real) (clockid_t, struct timespec *);
  if (real == NULL)
    real = next ("clock_gettime");
  int rc = real (clock, now);
  if (rc == 0 && shared != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += shared->clock_offset_s;
  return rc;
}

int
gettimeofday (struct timeval *restrict now, void *restrict zone)
{
  (void) zone;
  struct timespec fine;
  int rc = clock_gettime (CLOCK_REALTIME, &fine);
  now->tv_sec = fine.tv_sec;
  now->tv_usec = fine.tv_nsec / 1000;
  return rc;
}

time_t
time (time_t *out)
{
  struct timespec fine;
  clock_gettime (CLOCK_REALTIME, &fine);
  if (out != NULL)
    *out = fine.tv_sec;
  return fine.tv_sec;
}
