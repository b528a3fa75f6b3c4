/* Has the server publish: a request of 16 bytes on its control socket is so many messages in one turn, with a stamp.
   Closed loop: so many requests are under way, and the next follows when one is delivered whole, so the server is never
   idle and no queue grows. Open loop: requests at a fixed rate, stamped with the moment at which they were due. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "load.h"

struct publisher publisher;
static int control_fd;

void publish_connect(void) {
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)config.control)};
    int one = 1;
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    control_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(control_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(control_fd, (struct sockaddr *)&target, sizeof target)) {
        perror("control");
        exit(1);
    }
}

static void request(int number, int burst, int64_t stamp) {
    struct { uint64_t burst, stamp; } wanted[256];
    if (number > 256) number = 256;
    for (int index = 0; index < number; index++) {
        wanted[index].burst = (uint64_t)burst;
        wanted[index].stamp = (uint64_t)stamp;
    }
    if (send(control_fd, wanted, sizeof wanted[0] * (size_t)number, MSG_NOSIGNAL) < 0) {
        perror("the server's control socket");
        exit(1);
    }
    count.bursts += number;
    count.commits += (long)number * burst;
    count.published += (long)number * burst;
}

void publish_one(int burst, int64_t stamp) { request(1, burst, stamp); }

/* Each commit reaches this many; channels are of one size. */
static long audience(void) { return config.connections / config.channels; }

static void closed_loop(void) {
    long done = count.delivered / (publisher.burst * audience());
    long free = publisher.window - (count.bursts - done);
    if (free > publisher.window / 2 || (free && publisher.window < 4)) request((int)free, publisher.burst, now_ns());
}

void publish_tick(void) {
    if (!publisher.on) return;
    if (publisher.window) {
        closed_loop();
        return;
    }
    for (int64_t now = now_ns(); publisher.due <= now; publisher.due += publisher.every)
        request(1, publisher.burst, publisher.due);
}

int64_t publish_due(void) { return publisher.on && !publisher.window ? publisher.due : 0; }

/* What the server's processes have used, of user's and system's time, to the nanosecond. */
double server_cpu(void) {
    double seconds = 0;
    for (int index = 0; index < config.pid_count; index++) {
        clockid_t clock;
        struct timespec used;
        if (clock_getcpuclockid(config.pids[index], &clock) || clock_gettime(clock, &used)) continue;
        seconds += (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    }
    return seconds;
}

/* Less what was spent on looking whether there is anything to do. */
double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6 - (double)count.idle / 1e9;
}
