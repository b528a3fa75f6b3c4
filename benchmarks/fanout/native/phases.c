/* What can be asked of the generator, one command a line; each is answered with one line of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

#define SECOND 1000000000LL

/* What a phase is measured by: read where it begins, taken off where it ends. */
struct mark { int64_t at; double server, own; long delivered, commits; };

static struct mark mark(void) {
    return (struct mark){now_ns(), server_cpu(), own_cpu(), count.delivered, count.commits};
}

static void answer(struct mark from) {
    struct mark to = mark();
    printf("{\"seconds\":%.6f,\"deliveries\":%ld,\"commits\":%ld,\"server_cpu\":%.6f,\"own_cpu\":%.3f,\"live\":%ld,"
           "\"closed\":%ld,\"failed\":%ld,\"refused\":%ld,\"recovered\":%ld,\"snapshots\":%ld,\"missing\":%ld,\"repeated\":%ld,"
           "\"code\":%ld,\"unstamped\":%ld,\"published\":%ld,\"p50\":%.3f,\"p99\":%.3f}\n",
           (double)(to.at - from.at) / 1e9, to.delivered - from.delivered, to.commits - from.commits,
           to.server - from.server, to.own - from.own, count.live, count.lost_connections, count.failed, count.refused,
           count.recovered, count.snapshots, count.missing, count.repeated, count.code, count.wrong, count.published,
           latency_ms(0.5), latency_ms(0.99));
    fflush(stdout);
}

static void comebacks(void) {
    static int64_t looked;
    int64_t now = now_ns();
    if (!comeback_ms || now - looked < 5000000) return;
    looked = now;
    for (int index = 0; index < config.connections; index++) {
        struct conn *c = conns + index;
        if (c->stage == CLOSED && c->due && c->due <= now) net_open(c);
    }
}

static void run_until(int64_t end) {
    while (now_ns() < end) {
        comebacks();
        net_pump(comeback_ms && end - now_ns() > 5000000 ? now_ns() + 5000000 : end);
    }
}

/* Until what was published is delivered, or that many seconds have passed. */
static void drain(double seconds) {
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    publisher.on = 0;
    while (count.delivered < count.commits * ((config.connections - asleep) / config.channels) && now_ns() < end)
        net_pump(now_ns() + 10000000);
}

static void begin_publishing(int window, int burst, double rate) {
    count.delivered = count.commits = count.bursts = count.wrong = count.messages = 0;
    int64_t every = rate > 0 ? (int64_t)(1e9 / rate) : 0;
    publisher = (struct publisher){.on = 1, .burst = burst, .window = window, .every = every, .due = now_ns() + every};
}

/* saturate WARM SECONDS WINDOW BURST */
static void saturate(double warm, double seconds, int window, int burst) {
    begin_publishing(window, burst, 0);
    run_until(now_ns() + (int64_t)(warm * 1e9));
    struct mark from = mark();
    run_until(now_ns() + (int64_t)(seconds * 1e9));
    answer(from);
    drain(10);
}

/* pace WARM SECONDS RATE BURST: latency at that many bursts a second. */
static void pace(double warm, double seconds, double rate, int burst) {
    begin_publishing(0, burst, rate);
    run_until(now_ns() + (int64_t)(warm * 1e9));
    latency_clear();
    sampling = 1;
    struct mark from = mark();
    run_until(now_ns() + (int64_t)(seconds * 1e9));
    sampling = 0;
    answer(from);
    drain(10);
}

/* connect MOST: open everything that is closed, so many handshakes under way at a time; a failed one is tried again. */
static void connect_all(long most, double seconds) {
    struct mark from = mark();
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    int next = 0;
    while (count.live < config.connections && now_ns() < end) {
        long tried = 0;
        for (int index = 0; index < config.connections; index++)
            tried += conns[index].stage != CLOSED && conns[index].stage < LIVE;
        for (int seen = 0; seen < config.connections && tried < most; seen++) {
            struct conn *c = conns + next;
            next = (next + 1) % config.connections;
            if (c->stage == CLOSED) {
                net_open(c);
                tried++;
            }
        }
        net_pump(now_ns() + 2000000);
    }
    answer(from);
}

/* offer RATE SECONDS: handshakes begin at that rate, however long they take; latency is from connect to live. */
static void offer(double rate, double seconds, double patience) {
    int64_t begin = now_ns(), end = begin + (int64_t)(patience * 1e9);
    int wanted = (int)(rate * seconds), opened = 0;
    struct mark from = mark();
    while ((opened < wanted || count.live < config.connections) && now_ns() < end) {
        int due = (int)((double)(now_ns() - begin) / 1e9 * rate);
        for (; opened < due && opened < wanted && opened < config.connections; opened++) net_open(conns + opened);
        if (opened >= config.connections) wanted = opened;
        comebacks();
        net_pump(now_ns() + 1000000);
    }
    answer(from);
}

static void drop(int number) {
    struct mark from = mark();
    for (int index = 0; index < number && index < config.connections; index++)
        if (conns[index].stage != CLOSED) net_close(conns + index);
    answer(from);
}

/* settle PATIENCE: publishing ends; until everyone is live and has the last commit. */
static void settle(double patience) {
    struct mark from = mark();
    int64_t end = now_ns() + (int64_t)(patience * 1e9);
    publisher.on = 0;
    for (long behind = 1; behind && now_ns() < end;) {
        comebacks();
        net_pump(now_ns() + 5000000);
        behind = 0;
        for (int index = 0; index < config.connections; index++)
            behind += conns[index].stage != LIVE || conns[index].next <= count.published;
    }
    answer(from);
}

/* sleep NUMBER: so many read no more. wake: they do again, or come back where they were cut. */
static void sleepers(int number, int on) {
    struct mark from = mark();
    asleep = on ? number : 0;
    for (int index = 0; index < number; index++) {
        struct conn *c = conns + index;
        if (on && c->stage == LIVE) {
            c->stage = ASLEEP;
            net_watch(c, 0);
        } else if (!on && c->stage == ASLEEP) {
            c->stage = LIVE;
            net_watch(c, 1);
        } else if (!on && c->stage == CLOSED) {
            net_open(c);
        }
    }
    answer(from);
}

void phase_run(char *line) {
    char name[20] = "";
    double a = 0, b = 0, c = 0, d = 0;
    sscanf(line, "%19s %lf %lf %lf %lf", name, &a, &b, &c, &d);
    if (!strcmp(name, "connect")) connect_all((long)a, b);
    else if (!strcmp(name, "offer")) offer(a, b, c);
    else if (!strcmp(name, "saturate")) saturate(a, b, (int)c, (int)d);
    else if (!strcmp(name, "pace")) pace(a, b, c, (int)d);
    else if (!strcmp(name, "drop")) drop((int)a);
    else if (!strcmp(name, "settle")) settle(a);
    else if (!strcmp(name, "sleep")) sleepers((int)a, 1);
    else if (!strcmp(name, "wake")) sleepers((int)a, 0);
    else {
        if (!strcmp(name, "verify")) verifying = (int)a;
        else if (!strcmp(name, "pieces")) pieces = (int)a;
        else if (!strcmp(name, "comeback")) comeback_ms = (int)a;
        else if (!strcmp(name, "publish")) begin_publishing(0, 1, a);
        else fprintf(stderr, "no such command: %s\n", name);
        if (!strcmp(name, "publish") && a <= 0) publisher.on = 0;
        struct mark from = mark();
        run_until(now_ns() + (int64_t)(b * 1e9));
        answer(from);
    }
}
