/* Kernel: what goes with putting a socket into its table and its group. Here: what is left of that in one thread. */

/* Kernel: random bytes, the first time, where it may sleep. Here: the Scenario's secret, each time. */
#define net_get_random_sleepable_once(buf, nbytes) __builtin_memcpy(buf, reference_secret_of(#buf), nbytes)
/* Kernel: whether somebody has this connection already. Here: never asked for: the Scenario may have it twice. */
static bool inet_ehash_lookup_by_sk(struct sock *sk, struct hlist_nulls_head *list) { reference_stop(ENDED_CRASHED); return false; }
/* Kernel: inserts a connection, or ends it. Here: never called: the driver calls inet_ehash_insert() itself. */
static bool inet_ehash_nolisten(struct sock *sk, struct sock *osk, bool *found_dup_sk) { reference_stop(ENDED_CRASHED); return false; }
/* Kernel: finds the listener's group, or makes one. Here: groups are as the Scenario says. */
static int inet_reuseport_add_sock(struct sock *sk, struct inet_listen_hashbucket *ilb) { return 0; }
/* Kernel: counts the sockets of a protocol, for /proc. Here: nothing. */
#define sock_prot_inuse_add(net, prot, count) ((void)0)
/* Kernel: sets a bit, not atomically. Here: the same. */
#define __set_bit(number, address) ((void)(*(address) |= 1UL << (number)))
