/* The floor: floor CHANNELS send|coalesce. Accepts, answers the WebSocket handshake, and then makes one frame for each
   message and one non-blocking send() for each connection of its channel; or one send() for all messages of a request. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PAYLOAD 250
#define FRAME (PAYLOAD + 4)
#define MOST 65536

struct channel { int *fds, count, room; };

static struct channel *channels;
static int channel_count, coalescing, epoll_fd, web_fd, control_fd, control_listener, channel_of[MOST];
static long published, full;

static int listener(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* An unmasked text frame (RFC 6455 5.2) of a 250-byte message that carries the stamp. */
static void fill(char *frame, uint64_t stamp) {
    frame[0] = (char)0x81;
    frame[1] = 126;
    frame[2] = 0;
    frame[3] = (char)PAYLOAD;
    memset(frame + 4, 'x', PAYLOAD);
    int size = sprintf(frame + 4, "{\"at\":\"@%020llu\",\"text\":\"", (unsigned long long)stamp);
    frame[4 + size] = 'x';
    memcpy(frame + FRAME - 2, "\"}", 2);
}

static void send_all(struct channel *channel, const char *data, size_t size) {
    for (int index = 0; index < channel->count; index++)
        if (send(channel->fds[index], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size) full++;
}

static void publish(uint64_t burst, uint64_t stamp) {
    static char frames[256 * FRAME];
    uint64_t each = coalescing && channel_count == 1 ? burst : 1;
    for (uint64_t index = 0; index < each; index++) fill(frames + index * FRAME, stamp);
    for (uint64_t done = 0; done < burst; done += each) {
        send_all(channels + published % channel_count, frames, each * FRAME);
        published += (long)each;
    }
}

static void accept_all(int from) {
    int one = 1, fd;
    while ((fd = accept4(from, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (from == control_listener) control_fd = fd;
        else channel_of[fd] = -1;
        watch(fd);
    }
}

static void join(int fd, int number) {
    struct channel *channel = channels + number % channel_count;
    if (channel->count == channel->room) {
        channel->room = channel->room ? channel->room * 2 : 8;
        channel->fds = realloc(channel->fds, sizeof(int) * (size_t)channel->room);
    }
    channel->fds[channel->count++] = fd;
    channel_of[fd] = number % channel_count;
}

static void leave(int fd) {
    if (channel_of[fd] >= 0) {
        struct channel *channel = channels + channel_of[fd];
        for (int index = 0; index < channel->count; index++)
            if (channel->fds[index] == fd) channel->fds[index] = channel->fds[--channel->count];
    }
    close(fd);
}

/* The generator's key is the one of RFC 6455 1.3, and its answer stands there too: no hash is needed here. */
static void handshake(int fd) {
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char text[2048];
    ssize_t size = recv(fd, text, sizeof text - 1, 0);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN) leave(fd);
        return;
    }
    text[size] = 0;
    if (channel_of[fd] < 0 && !strncmp(text, "GET /", 5)) {
        join(fd, atoi(text + 5));
        (void)!send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
}

static void control(void) {
    struct { uint64_t burst, stamp; } wanted[256];
    ssize_t size = recv(control_fd, wanted, sizeof wanted, 0);
    if (size == 0) {
        if (full) fprintf(stderr, "%ld sends found a socket full\n", full);
        exit(0);
    }
    for (ssize_t index = 0; index < size / (ssize_t)sizeof wanted[0]; index++)
        publish(wanted[index].burst, wanted[index].stamp);
}

int main(int argc, char **argv) {
    int web_port, control_port;
    struct epoll_event events[256];
    channel_count = argc > 1 ? atoi(argv[1]) : 1;
    coalescing = argc > 2 && !strcmp(argv[2], "coalesce");
    channels = calloc((size_t)channel_count, sizeof *channels);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(web_fd = listener(&web_port));
    watch(control_listener = listener(&control_port));
    printf("{\"port\":%d,\"control\":%d,\"pids\":[%d]}\n", web_port, control_port, getpid());
    fflush(stdout);
    for (;;) {
        int found = epoll_wait(epoll_fd, events, 256, -1);
        for (int index = 0; index < found; index++) {
            int fd = events[index].data.fd;
            if (fd == web_fd || fd == control_listener) accept_all(fd);
            else if (fd == control_fd) control();
            else handshake(fd);
        }
    }
}
