/* The load generator: load KIND PORT CONTROL PATH CONNECTIONS CHANNELS SMALL PID..., then commands on standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include "load.h"

struct config config;
struct counters count;
int asleep, sampling, verifying, comeback_ms, pieces = 1;

static enum kind kind_of(const char *name) {
    if (!strcmp(name, "product")) return PRODUCT;
    if (!strcmp(name, "pusher")) return PUSHER;
    if (!strcmp(name, "juggernaut")) return JUGGERNAUT;
    return strcmp(name, "socketio") ? PLAIN : SOCKETIO;
}

int main(int argc, char **argv) {
    char line[200];
    if (argc < 9) {
        fprintf(stderr, "load KIND PORT CONTROL PATH CONNECTIONS CHANNELS SMALL PID...\n");
        return 2;
    }
    config = (struct config){.kind = kind_of(argv[1]), .port = atoi(argv[2]), .control = atoi(argv[3]), .path = argv[4],
                             .connections = atoi(argv[5]), .channels = atoi(argv[6]), .small = atoi(argv[7])};
    for (int index = 8; index < argc && config.pid_count < 8; index++) config.pids[config.pid_count++] = atoi(argv[index]);
    net_init();
    publish_connect();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        net_pump(now_ns() + 100000000);
        if (!asked) continue;
        asked = 0;
        ssize_t size = read(STDIN_FILENO, line, sizeof line - 1);
        if (size <= 0) return 0;
        line[size] = 0;
        phase_run(line);
    }
}
