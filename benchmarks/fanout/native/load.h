/* What the parts of the load generator share: connections, counters, and the calls between the modules. */
#ifndef LOAD_H
#define LOAD_H
#include <stdint.h>
#include <stddef.h>

enum kind { PLAIN, PRODUCT, SOCKETIO, PUSHER, JUGGERNAUT };
/* LIVE is past every handshake; ASLEEP is LIVE and reads no more. */
enum stage { CLOSED, CONNECTING, UPGRADING, GREETING, LIVE, ASLEEP };

struct conn {
    int fd, index;
    enum stage stage;
    size_t kept;        /* bytes of an unfinished frame, in keep */
    char *keep;
    long next;          /* product: the offset that must come next; 0 before the first answer */
    int64_t began, due; /* when its connect began; when a closed one comes back, 0 for never */
};

struct config {
    enum kind kind;
    int port, connections, channels, control, small; /* the first so many have small receive buffers */
    const char *path;
    int pids[8], pid_count;
};

/* Everything that is counted, since the phase began or, for those below the line, since the start. */
struct counters {
    long delivered, commits, bursts, wrong, messages;
    /* -- */
    int64_t idle; /* nanoseconds of looking at saturation, in vain */
    long live, lost_connections, failed, recovered, snapshots, missing, repeated, code, published, refused;
};

struct publisher { int on, burst, window; int64_t every, due, stop; };

extern struct config config;
extern struct conn *conns;
extern struct counters count;
extern struct publisher publisher;
/* asked: a command waits on standard input. */
extern int asked, asleep, sampling, verifying, comeback_ms, epoll_fd;
/* How many messages a commit is. */
extern int pieces;
extern char epoch[40];

/* net.c */
int64_t now_ns(void);
void net_init(void);
void net_open(struct conn *c);
void net_close(struct conn *c);
void net_watch(struct conn *c, int on);
void net_send(struct conn *c, int opcode, const char *text, size_t size);
void net_pump(int64_t until);

/* handshake.c */
void shake_connected(struct conn *c);
void shake_upgrade(struct conn *c, const char *path);
size_t shake_upgraded(struct conn *c, char *data, size_t size);
void shake_message(struct conn *c, char *text, size_t size);

/* dialects.c: the ways in of Pusher's and of Juggernaut's clients */
void dialect_request(struct conn *c);
size_t dialect_session(struct conn *c, char *data, size_t size);
void dialect_greeted(struct conn *c);
int dialect_joined(char *text, size_t size);
void dialect_alive(struct conn *c, char *text, size_t size);

/* frames.c */
size_t frames_parse(struct conn *c, char *data, size_t size);
void frames_commit(struct conn *c, const char *text);
void frames_position(struct conn *c, long offset);

/* publish.c */
void publish_connect(void);
void publish_tick(void);
int64_t publish_due(void);
void publish_one(int burst, int64_t stamp);
double server_cpu(void);
double own_cpu(void);

/* latency.c */
void latency_clear(void);
void latency_add(int64_t ns);
double latency_ms(double quantile);

/* phases.c */
void phase_run(char *line);
#endif
