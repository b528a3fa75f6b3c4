/* The way into each kind of server: the HTTP upgrade, then the hello of the product or of socket.io, if there is one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include "load.h"

char epoch[40];

void shake_upgrade(struct conn *c, const char *path) {
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                        path, config.port,
                        config.kind == PRODUCT ? "Sec-WebSocket-Protocol: sqla-realtime.v1\r\n" : "");
    c->stage = UPGRADING;
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size) net_close(c);
}

void shake_connected(struct conn *c) {
    char path[200];
    if (config.kind == JUGGERNAUT) {
        dialect_request(c);
        return;
    }
    snprintf(path, sizeof path, config.path, c->index % config.channels);
    shake_upgrade(c, path);
}

static void live(struct conn *c) {
    c->stage = LIVE;
    count.live++;
}

static void hello(struct conn *c) {
    char text[300];
    net_send(c, 1, "{\"type\":\"hello\"}", 16);
    int size = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"rooms/%d\"]",
                        c->index % config.channels);
    if (c->next) {
        /* The last offset of its own channel: what came after that was other channels', and it may be from before it came. */
        long last = c->next > config.channels ? c->next - config.channels : 0;
        size += snprintf(text + size, sizeof text - (size_t)size, ",\"after\":\"%s.%ld\"", epoch, last);
    }
    size += snprintf(text + size, sizeof text - (size_t)size, "}");
    net_send(c, 1, text, (size_t)size);
}

/* Returns the size of the HTTP answer, 0 while it is not all there. */
size_t shake_upgraded(struct conn *c, char *data, size_t size) {
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (config.kind == JUGGERNAUT && !memcmp(data + 9, "200", 3)) return dialect_session(c, data, size);
    if (size < 12 || memcmp(data + 9, "101", 3)) {
        count.refused++;
        net_close(c);
        return 0;
    }
    if (config.kind == PLAIN) live(c);
    else c->stage = GREETING;
    if (config.kind == PRODUCT) hello(c);
    return (size_t)(end - data) + 4;
}

static void subscribed(struct conn *c, char *text, size_t size) {
    char *position = memmem(text, size, "\"position\":\"", 12);
    char *dot = position ? memchr(position, '.', size - (size_t)(position - text)) : NULL;
    if (!dot || dot - position - 12 >= (long)sizeof epoch) return;
    snprintf(epoch, sizeof epoch, "%.*s", (int)(dot - position - 12), position + 12);
    if (memmem(text, size, "\"recovered\":true", 16)) {
        count.recovered++;
        char *at = text;
        while ((at = memmem(at, size - (size_t)(at - text), "{\"commit\":\"", 11))) frames_commit(c, at++);
    } else {
        count.snapshots++;
        c->next = 0; /* the rows stand for everything before */
    }
    frames_position(c, atol(dot + 1));
    live(c);
}

/* A message before the connection is live. */
void shake_message(struct conn *c, char *text, size_t size) {
    if (config.kind == SOCKETIO) {
        if (*text == '0') net_send(c, 1, "40", 2);
        else if (size > 1 && text[0] == '4' && text[1] == '0') live(c);
        return;
    }
    if (config.kind == PUSHER || config.kind == JUGGERNAUT) {
        if (dialect_joined(text, size)) live(c);
        else dialect_greeted(c);
        return;
    }
    if (memmem(text, size, "\"type\":\"subscribed\"", 19)) subscribed(c, text, size);
    else if (memmem(text, size, "\"type\":\"error\"", 14)) {
        count.refused++;
        c->next = 0;
        net_close(c);
    }
}
