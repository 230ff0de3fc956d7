/* What another CPU writes while the lookup runs (enum action): by the kernel's own writers, or its list helpers.
 *
 * Each store that a lookup can see is a step. A writer that is to do so many of them has a stack of its own (csrc/guard.c), on
 * which it stands still until it goes on.
 */

static struct sock_record now[MAX_SOCKS];	/* what the sockets are by then */
static struct any_prog later_progs[MAX_EVENTS];	/* that are attached by then */
static bool is_writing;
static bool is_udp_link(int i, const void *to);
static int steps_left;	/* until the writer stands still, -1 for never */

void reference_start_writer(void (*writer)(void));
void reference_goes_on(void);
void reference_stands_still(void);
void reference_forget_writer(void);

/* Whether a socket is in no table as yet, since an event brings it there. */
static bool comes_later(int i)
{
	for (int e = 0; e < in->n_events; e++)
		if ((in->events[e].action == ACTION_COMES && in->events[e].sk == i) ||
		    (in->events[e].action == ACTION_REPLACED && in->events[e].other == i))
			return true;
	return false;
}

/* A store that a lookup can see comes now: the writer may have to stand still before it. */
static void next_step(void)
{
	if (!steps_left)
		reference_stands_still();	/* once: who goes on is not stopped again (csrc/guard.c) */
	else if (steps_left > 0)
		steps_left--;
}

/* The socket that has this in it: a node, a link or a count. */
static int index_within(const void *what)
{
	size_t at = (const char *)what - (const char *)arena.socks;

	return what >= (const void *)arena.socks && at < in->n_socks * sizeof(arena.socks[0]) ? at / sizeof(arena.socks[0]) : NONE;
}

/* A kernel's function stores to a link, to a count or to where a socket's group is: a step, if the link is one of a slot or of
 * who is in a chain, and if it is a socket's count, or group.
 */
static void reference_store(const void *to)
{
	int i = is_writing ? index_within(to) : NONE;
	const struct sock *sk = sock_at(i);
	bool links;

	if (!is_writing)
		return;
	links = sk && to == &sk->sk_nulls_node.next && (sk->sk_nulls_node.pprev || in->socks[i].no_pprev);
	links |= sk && is_udp() && is_udp_link(i, to);
	if (sk ? to == &sk->sk_refcnt || to == &sk->sk_reuseport_cb || links : is_in_chain(to))
		next_step();
}

static bool is_hashed(int i)
{
	return !hlist_nulls_unhashed(&arena.socks[i].sk.sk_nulls_node);
}

/* Out of its group and its chain. Requests and timewait sockets leave ehash by functions of their own, which end in this one
 * (reqsk_queue_unlink()), or in the like of it (inet_twsk_kill()).
 */
static void take_out(int i)
{
	struct sock *sk = sock_at(i);

	if (in->socks[i].kind == KIND_FULL)
		inet_unhash(sk);
	else
		__sk_nulls_del_node_init_rcu(sk);
}

static void put(struct sock *sk)
{
	if ((int)refcount_read(&sk->sk_refcnt) > 0)
		sk->sk_refcnt.refs.counter--;
}

static void leaves(const struct event_record *event)
{
	take_out(event->sk);
	next_step();
	put(sock_at(event->sk));
}

/* The last reference goes, and its memory becomes another socket, which has as many of its own before it is hashed. If the
 * lookup has taken a reference meanwhile it was not the last one.
 */
static void is_reused(const struct event_record *event)
{
	struct sock *sk = sock_at(event->sk);
	int count = refcount_read(&sk->sk_refcnt);

	take_out(event->sk);
	next_step();
	if (refcount_read(&sk->sk_refcnt) != count) {
		put(sk);
		return;
	}
	sk->sk_refcnt.refs.counter = 0;
	now[event->sk].dport = event->value;
	now[event->sk].hash_kind = HASH_OWN;
	sk->sk_dport = htons(event->value);
	refcount_set(&sk->sk_refcnt, count);
	hash_sock(sk, &now[event->sk]);
}

/* disconnect(), and then listen() again. */
static void listens(const struct event_record *event)
{
	struct sock *sk = sock_at(event->sk);
	struct sock_record *of = &now[event->sk];

	take_out(event->sk);
	of->hashed = HASHED_LHASH2;
	of->state = TCP_LISTEN;
	of->rcu_free = 1;
	of->reuseport_changed = of->reuseport;
	sk->sk_daddr = sk->sk_dport = 0;
#if IS_ENABLED(CONFIG_IPV6)
	__builtin_memset(&sk->sk_v6_daddr, 0, sizeof(sk->sk_v6_daddr));
#endif
	hash_sock(sk, of);
}

static void join(const struct event_record *event)
{
	struct sock *sk = sock_at(event->sk);

	if (event->value) {
		struct sock_reuseport *reuse = &arena.groups[event->value - 1].reuse;

		next_step();
		__reuseport_add_sock(sk, reuse);
		rcu_assign_pointer(sk->sk_reuseport_cb, reuse);
	}
}

static void comes(const struct event_record *event)
{
	join(event);
	hash_sock(sock_at(event->sk), &now[event->sk]);
}

/* A timewait socket has no reference as yet, and the hash of its connection: net/ipv4/inet_timewait_sock.c inet_twsk_alloc(). */
static void timewait_replaces(struct inet_timewait_sock *tw, struct sock *sk)
{
	struct inet_hashinfo *hashinfo = net_at(now[index_within(sk)].netns)->ipv4.tcp_death_row.hashinfo;

	tw->tw_hash = sk->sk_hash;
#ifdef HAVE_TWSK_SCHEDULE
	inet_twsk_hashdance_schedule(tw, sk, hashinfo, 0);
#else
	inet_twsk_hashdance(tw, sk, hashinfo);
#endif
}

static void is_replaced(const struct event_record *event)
{
	if (in->socks[event->other].kind == KIND_TIMEWAIT)
		timewait_replaces(&arena.socks[event->other].tw, sock_at(event->sk));
	else
		inet_ehash_insert(sock_at(event->other), sock_at(event->sk), NULL);
}

static void is_rebound(const struct event_record *event)
{
	WRITE_ONCE(sock_at(event->sk)->sk_bound_dev_if, event->value);
}

static void sysctl_is_set(const struct event_record *event)
{
#ifdef CONFIG_NET_L3_MASTER_DEV
	struct net *net = net_at(in->packet.netns);

	if (is_udp())
		net->ipv4.sysctl_udp_l3mdev_accept = event->value;
	else
		net->ipv4.sysctl_tcp_l3mdev_accept = event->value;
#endif
}

static void is_detached(const struct event_record *event)
{
	rcu_assign_pointer(arena.groups[event->value].reuse.prog, NULL);
}

/* net/core/sock_reuseport.c reuseport_attach_prog(): whoever runs the old one still does. */
static void is_attached(const struct event_record *event)
{
	struct any_prog *prog = &later_progs[event - in->events];

	*prog = (struct any_prog) {
		.prog.type = BPF_PROG_TYPE_SK_REUSEPORT,
		.prog.expected_attach_type = BPF_SK_REUSEPORT_SELECT,
		.run = run_sk_reuseport,
		.sk = sock_at(event->sk),
		.verdict = SK_PASS,
		.number = event->value,
	};
	rcu_assign_pointer(arena.groups[event->value].reuse.prog, &prog->prog);
}

/* kernel/bpf/net_namespace.c netns_bpf_run_array_detach(), netns_bpf_link_attach(): all programs at once. */
static void sk_lookup_is_set(const struct event_record *event)
{
	rcu_assign_pointer(net_at(in->packet.netns)->bpf.run_array[NETNS_BPF_SK_LOOKUP],
			   event->value ? &arena.arrays[in->packet.netns].array : NULL);
}

static void goes_on(const struct event_record *event)
{
}

static void (*const actions[])(const struct event_record *event) = {
	[ACTION_LEAVES] = leaves, [ACTION_REUSED] = is_reused, [ACTION_LISTENS] = listens, [ACTION_COMES] = comes,
	[ACTION_REPLACED] = is_replaced, [ACTION_REBOUND] = is_rebound, [ACTION_SYSCTL] = sysctl_is_set,
	[ACTION_DETACHED] = is_detached, [ACTION_GOES_ON] = goes_on, [ACTION_ATTACHED] = is_attached,
	[ACTION_SK_LOOKUP] = sk_lookup_is_set,
};
