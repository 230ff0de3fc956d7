/* What stands before the closure: the records, and the names of the driver and the guard that the stubs call. */
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct bpf_prog;
struct hlist_node;
struct hlist_nulls_node;
struct sk_buff;
struct sock;
struct sock_reuseport;

/* libc's, for which <string.h> would bring too much along. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *one, const void *two, size_t bytes);

/* Each byte of what nobody sets, or has freed. */
#define POISON 0x6b

/* Whether the kernel's text runs: a crash is its own then. */
extern volatile int reference_in_kernel;
void reference_stop(int why) __attribute__((noreturn));
static int index_of(const struct sock *sk);
static _Bool is_told_of(const struct sock *sk);
static int sock_or_drop(const struct sock *sk);
static int64_t half_of(const void *address, int which);
static void reference_step(unsigned int step, int64_t one, int64_t two, int64_t three);
static void reference_warn(const char *function, const char *text);
static void reference_visit(int point, const void *of);
static void reference_read_number(const void *from);
static void reference_store(const void *to);
static void reference_disconnect(struct sock *sk);
static _Bool reference_mc_allows(const struct sock *sk, unsigned int group, unsigned int source, int dif, int sdif);
static _Bool reference_mc_has(unsigned int group, unsigned int source);
static _Bool reference_mc_refuses(unsigned long skb, unsigned long group, unsigned long source, unsigned long tos,
				  unsigned long device, unsigned long in_dev);
static void reference_freed(const struct sock *sk, int kind);
static unsigned int reference_run_program(const struct bpf_prog *prog, const void *ctx);
