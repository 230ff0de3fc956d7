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
/* Kernel: where sockets are that have this port, whatever they are connected to. Here: the bucket that all have. */
#define inet_bhashfn(net, port, size) 0
/* Kernel: the same by port and address. Here: the same bucket. */
#define inet_bhashfn_portaddr(hashinfo, sk, net, port) (&reference_bound_here)
/* Kernel: no such thing. Here: that bucket, into which nobody looks. */
static struct inet_bind_hashbucket reference_bound_here;
/* Kernel: what a full socket of TCP has beside an inet_sock. Here: that it is bound, the same for all. */
#define inet_csk(sk) ((void)(sk), &reference_bound)
/* Kernel: no such thing. Here: what all have. */
static struct inet_connection_sock reference_bound = {
	.icsk_bind_hash = (void *)&reference_bound_here,
	.icsk_bind2_hash = (void *)&reference_bound_here,
};
/* Kernel: a timewait socket comes to those that are bound to its port. Here: nothing, no lookup goes there. */
#define inet_twsk_add_bind_node(tw, list) ((void)(list))
/* Kernel: the same, by port and address. Here: the same. */
#define inet_twsk_add_bind2_node(tw, list) ((void)(list))
/* Kernel: the same, since 6.9. Here: the same. */
#define sk_add_bind_node(sk, list) ((void)(list))
/* Kernel: starts the timer of a timewait socket. Here: nothing, it does not run out during a lookup. */
#define inet_twsk_schedule(tw, timeo) ((void)(timeo))
/* Kernel: a group's socket leaves the maps of BPF programs. Here: it is in none. */
#define bpf_sk_reuseport_detach(sk) ((void)(sk))
/* Kernel: forgets which CPU a connection's packets go to. Here: nothing. */
#define sock_rps_delete_flow(sk) ((void)(sk))
/* Kernel: calls a function behind a grace period. Here: none ends during a lookup. */
#define call_rcu(head, function) ((void)(function))
/* Kernel: frees a group, behind a grace period. Here: never called. */
#define reuseport_free_rcu NULL
