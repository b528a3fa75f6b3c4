/* Reads WebSocket frames (RFC 6455 5.2) as servers send them, counts deliveries, and checks the product's offsets. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

/* A published message is larger, whatever a server says on its own behalf is smaller. */
#define SMALLEST 150

static long offset_at(const char *text, size_t size) {
    const char *dot = memchr(text, '.', size < 40 ? size : 40);
    return dot ? atol(dot + 1) : 0;
}

/* Commit number n, from 1, goes to channel (n - 1) % channels: so a client knows which offset it is owed next. */
static long next_after(struct conn *c, long offset) {
    long channel = c->index % config.channels, turn = offset % config.channels;
    return offset + 1 + (channel - turn + config.channels) % config.channels;
}

void frames_position(struct conn *c, long offset) {
    long next = next_after(c, offset);
    if (c->next && next > c->next) count.missing += (next - c->next) / config.channels;
    c->next = next;
}

void frames_commit(struct conn *c, const char *text) {
    long offset = offset_at(text + 10, 40);
    if (!c->next) return;
    if (offset < c->next) {
        count.repeated++;
        return;
    }
    count.missing += (offset - c->next) / config.channels;
    c->next = offset + config.channels;
}

static void message(struct conn *c, char *text, size_t size) {
    if (c->stage == GREETING) {
        shake_message(c, text, size);
        return;
    }
    if (size < SMALLEST) {
        /* A reset is rare: the next subscribe is a reload. */
        if (config.kind == PRODUCT && memmem(text, size, "\"type\":\"reset\"", 14)) {
            c->next = 0;
            net_close(c);
        } else if (config.kind == SOCKETIO && size == 1 && *text == '2') {
            net_send(c, 1, "3", 1);
        } else {
            dialect_alive(c, text, size);
        }
        return;
    }
    /* Whose pieces they are does not matter for the sum. */
    count.delivered += ++count.messages % pieces == 0;
    if (verifying && config.kind == PRODUCT && !memcmp(text, "{\"commit\":\"", 11)) frames_commit(c, text);
    if (sampling) {
        char *mark = memchr(text, '@', size);
        if (mark) latency_add(now_ns() - atoll(mark + 1));
        else count.wrong++;
    }
}

/* How many bytes the head and the body of the frame at data have; 0 where the head is not all there. */
static size_t measure(const unsigned char *data, size_t size, size_t *body) {
    if (size < 2) return 0;
    size_t length = data[1] & 127, head = length == 126 ? 4 : length == 127 ? 10 : 2;
    if (size < head) return 0;
    if (length == 126) {
        length = (size_t)data[2] << 8 | data[3];
    } else if (length == 127) {
        length = 0;
        for (int index = 2; index < 10; index++) length = length << 8 | data[index];
    }
    *body = length;
    return head;
}

/* Takes every whole frame; returns how many bytes that was. A connection that closes meanwhile takes all. */
size_t frames_parse(struct conn *c, char *data, size_t size) {
    size_t used = 0, body = 0, head;
    if (c->stage == UPGRADING) {
        used = shake_upgraded(c, data, size);
        if (!used) return c->stage == CLOSED ? size : 0;
    }
    while ((head = measure((unsigned char *)data + used, size - used, &body)) && used + head + body <= size) {
        int opcode = data[used] & 15;
        char *text = data + used + head;
        used += head + body;
        if (opcode == 1 || opcode == 2) message(c, text, body);
        else if (opcode == 9) net_send(c, 10, text, body);
        else if (opcode == 8) {
            if (body >= 2) count.code = (unsigned char)text[0] << 8 | (unsigned char)text[1];
            net_close(c);
        }
        if (c->stage == CLOSED) return size;
    }
    return used;
}
