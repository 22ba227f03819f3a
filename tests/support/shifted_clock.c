/* Preloaded, it shifts the time of day of a process by CLOCK_SHIFT_SECONDS, and that of its children,
 * also of those that are given an environment without it.
 *
 * Only the time of day: what measures a while (CLOCK_MONOTONIC, timers, sleeps) is left to the
 * machine, so lock timeouts and leases take as long as ever. Nothing here locks or allocates after
 * the start, so signal handlers may ask for the time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TIME_OF_DAY 1000000000 /* no machine runs for 30 years: a later deadline is one of the day */

static time_t shift;
static char *passed_on[2]; /* what a child's environment needs */
static int (*machine_execve)(const char *, char *const[], char *const[]);
static int (*machine_clock)(clockid_t, struct timespec *);
static int (*machine_sem)(sem_t *, const struct timespec *);
static int (*machine_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*machine_mutex)(pthread_mutex_t *, const struct timespec *);
static int (*machine_utimensat)(int, const char *, const struct timespec *, int);
static int (*machine_futimens)(int, const struct timespec *);

static char *variable(const char *name) /* as it stands in the environment */
{
    char *value = getenv(name);
    return value ? strdup(value - strlen(name) - 1) : NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *given = getenv("CLOCK_SHIFT_SECONDS");
    passed_on[0] = variable("LD_PRELOAD");
    passed_on[1] = variable("CLOCK_SHIFT_SECONDS");
    machine_execve = dlsym(RTLD_NEXT, "execve");
    machine_sem = dlsym(RTLD_NEXT, "sem_timedwait");
    machine_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    machine_mutex = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    machine_utimensat = dlsym(RTLD_NEXT, "utimensat");
    machine_futimens = dlsym(RTLD_NEXT, "futimens");
    machine_clock = dlsym(RTLD_NEXT, "clock_gettime");
    shift = given ? atoll(given) : 0;
}

/* --- asking --- */

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int failed = machine_clock ? machine_clock(clock, at) : syscall(SYS_clock_gettime, clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += shift;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    if (zone)
        *(struct timezone *)zone = (struct timezone){0, 0};
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base)
{
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, at) ? base : 0;
}

/* --- waiting until a moment, which the kernel takes by its own clock --- */

static struct timespec by_machine(const struct timespec *until)
{
    struct timespec at = *until;
    if (at.tv_sec > TIME_OF_DAY)
        at.tv_sec -= shift;
    return at;
}

int sem_timedwait(sem_t *restrict what, const struct timespec *restrict until)
{
    struct timespec at = by_machine(until);
    return machine_sem(what, &at);
}

int pthread_cond_timedwait(pthread_cond_t *restrict what, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec at = by_machine(until);
    return machine_cond(what, mutex, &at);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict what, const struct timespec *restrict until)
{
    struct timespec at = by_machine(until);
    return machine_mutex(what, &at);
}

/* --- touching a file, which the kernel dates by its own clock --- */

static const struct timespec *dated(const struct timespec given[2], struct timespec now[2])
{
    if (given && given[0].tv_nsec != UTIME_NOW && given[1].tv_nsec != UTIME_NOW)
        return given;
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[1] = now[0];
    return now;
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
    struct timespec now[2];
    return machine_utimensat(folder, path, dated(times, now), flags);
}

int futimens(int file, const struct timespec times[2])
{
    struct timespec now[2];
    return machine_futimens(file, dated(times, now));
}

/* --- children --- */

static int has(char *const environment[], const char *variable)
{
    size_t name = strcspn(variable, "=") + 1;
    for (; *environment; environment++)
        if (!strncmp(*environment, variable, name))
            return 1;
    return 0;
}

int execve(const char *program, char *const arguments[], char *const environment[])
{
    size_t size = 0;
    while (environment[size])
        size++;
    char *whole[size + 3]; /* on the stack: nothing may be allocated between vfork and here */
    memcpy(whole, environment, size * sizeof *whole);
    for (int i = 0; i < 2; i++)
        if (passed_on[i] && !has(environment, passed_on[i]))
            whole[size++] = passed_on[i];
    whole[size] = NULL;
    return machine_execve(program, arguments, whole);
}
