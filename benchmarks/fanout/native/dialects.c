/* The ways in of two foreign dialects: Pusher's, whose client subscribes once it is greeted, and Juggernaut's, which asks for
   a session first; that is done on the same socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "load.h"

/* The channel of whoever has this index. */
static int channel(struct conn *c) { return c->index % config.channels; }

void dialect_request(struct conn *c) {
    char request[200];
    int size = snprintf(request, sizeof request, "GET /socket.io/1/?t=%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", c->index,
                        config.port);
    c->stage = UPGRADING;
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size) net_close(c);
}

/* The answer is SESSION:HEARTBEAT:CLOSE:TRANSPORTS. Returns its size, 0 while it is not all there. */
size_t dialect_session(struct conn *c, char *data, size_t size) {
    char path[200], *end = memmem(data, size, "\r\n\r\n", 4), *length = memmem(data, size, "\r\nContent-Length: ", 18);
    if (!end || !length) return 0;
    size_t head = (size_t)(end - data) + 4, body = (size_t)atol(length + 18);
    char *colon = size < head + body ? NULL : memchr(data + head, ':', body);
    if (!colon) return 0;
    snprintf(path, sizeof path, config.path, (int)(colon - data - (long)head), data + head);
    shake_upgrade(c, path);
    return head + body;
}

/* The server has said who it is. A path of Pusher's may end with the prefix by which its client calls the channel. */
void dialect_greeted(struct conn *c) {
    char text[200];
    const char *prefix = strstr(config.path, "&as=");
    int size = config.kind == PUSHER
        ? snprintf(text, sizeof text, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%srooms,%d\"}}",
                   prefix ? prefix + 4 : "", channel(c))
        : snprintf(text, sizeof text, "3:::{\"type\":\"subscribe\",\"channel\":\"/rooms/%d\"}", channel(c));
    net_send(c, 1, text, (size_t)size);
}

/* Pusher says so. Juggernaut says nothing, but sends the channel's row. */
int dialect_joined(char *text, size_t size) {
    if (config.kind == PUSHER) return memmem(text, size, "subscription_succeeded", 22) != NULL;
    return size > 4 && !memcmp(text, "3:::", 4);
}

/* Whoever is asked whether he is still there says so. */
void dialect_alive(struct conn *c, char *text, size_t size) {
    static const char pong[] = "{\"event\":\"pusher:pong\",\"data\":{}}";
    if (config.kind == PUSHER && memmem(text, size, "\"pusher:ping\"", 13)) net_send(c, 1, pong, sizeof pong - 1);
    else if (config.kind == JUGGERNAUT && size == 3 && !memcmp(text, "2::", 3)) net_send(c, 1, "2::", 3);
}
