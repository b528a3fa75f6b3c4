/* The sockets: opens them from several loopback addresses, reads each in one call, closes with a reset. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include "load.h"

#define ROOM (8 << 20)
#define SOURCES 8

int epoll_fd, asked;
struct conn *conns;
static char *room;
static int timer_fd;

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void net_init(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    room = malloc(ROOM);
    conns = calloc((size_t)config.connections, sizeof *conns);
    for (int index = 0; index < config.connections; index++) conns[index] = (struct conn){.fd = -1, .index = index};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
}

void net_open(struct conn *c) {
    struct sockaddr_in source = {.sin_family = AF_INET}, target = {.sin_family = AF_INET};
    int one = 1, small = 4096;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(c->index % SOURCES));
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)config.port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->due = 0;
    c->began = now_ns();
    if (c->fd < 0) {
        perror("socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->index < config.small) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    bind(c->fd, (struct sockaddr *)&source, sizeof source);
    c->stage = CONNECTING;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS) net_close(c);
}

void net_close(struct conn *c) {
    struct linger reset = {.l_onoff = 1};
    if (c->stage == CLOSED) return;
    int sleeping = c->stage == ASLEEP;
    if (c->stage == LIVE || sleeping) {
        count.live--;
        count.lost_connections++;
    } else {
        count.failed++;
    }
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c->fd);
    free(c->keep);
    c->keep = NULL;
    c->kept = 0;
    c->fd = -1;
    c->stage = CLOSED;
    if (comeback_ms && !sleeping) c->due = now_ns() + (int64_t)(random() % comeback_ms) * 1000000;
}

void net_watch(struct conn *c, int on) {
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

/* A masked frame, as clients must send it; the mask is zero, so the text stays as it is. */
void net_send(struct conn *c, int opcode, const char *text, size_t size) {
    char frame[400];
    size_t head = size < 126 ? 2 : 4;
    if (size > sizeof frame - 8) return;
    frame[0] = (char)(0x80 | opcode);
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, size);
    if (send(c->fd, frame, head + 4 + size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) net_close(c);
}

static void keep(struct conn *c, const char *data, size_t size) {
    if (size == 0) {
        c->kept = 0;
        return;
    }
    c->keep = realloc(c->keep, size);
    memcpy(c->keep, data, size);
    c->kept = size;
}

static void readable(struct conn *c) {
    size_t before = c->kept;
    if (before) memcpy(room, c->keep, before);
    ssize_t got = recv(c->fd, room + before, ROOM - before, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        net_close(c);
        return;
    }
    size_t size = before + (size_t)got, used = frames_parse(c, room, size);
    if (c->stage != CLOSED) keep(c, room + used, size - used);
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        net_close(c);
        return;
    }
    net_watch(c, 1);
    shake_connected(c);
}

static void arm(int64_t when) {
    static int64_t armed;
    if (when == armed && when > now_ns()) return;
    armed = when;
    struct itimerspec at = {.it_value = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Handles what there is to handle, and waits for it until that moment at the latest. At saturation it looks again at once
   instead: a server that sends to somebody asleep has to wake him, and the slower it is the oftener, so that what it costs
   to send would be measured together with what it costs to be slow. */
void net_pump(int64_t until) {
    struct epoll_event events[256];
    uint64_t fired;
    publish_tick();
    int64_t due = publish_due(), looked = now_ns();
    int awake = publisher.on && publisher.window;
    if (!awake) arm(due && due < until ? due : until);
    int found = epoll_wait(epoll_fd, events, 256, awake ? 0 : -1);
    if (awake && !found) count.idle += now_ns() - looked;
    for (int index = 0; index < found; index++) {
        struct conn *c = events[index].data.ptr;
        if ((void *)c == (void *)&timer_fd) (void)!read(timer_fd, &fired, sizeof fired);
        else if (c == NULL) asked = 1;
        else if (c->stage == CLOSED) continue;
        else if (c->stage == CONNECTING) connected(c);
        else if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->stage != ASLEEP) readable(c);
        else if (c->stage == ASLEEP) net_close(c);
    }
}
