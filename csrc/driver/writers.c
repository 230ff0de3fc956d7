/* What another CPU writes while the lookup runs (enum action): by the kernel's own writers, or its list helpers.
 *
 * Each store that a lookup can see is a step. A writer that is to do so many of them has a stack of its own (csrc/guard.c), on
 * which it stands still until it goes on.
 */

static struct sock_record now[MAX_SOCKS];	/* what the sockets are by then */
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
	if (!steps_left) {
		reference_stands_still();
		steps_left = -1;	/* it is not stopped again */
	} else if (steps_left > 0)
		steps_left--;
}

/* The socket that has this in it: a node, a link or a count. */
static int index_within(const void *what)
{
	size_t at = (const char *)what - (const char *)arena.socks;

	return what >= (const void *)arena.socks && at < in->n_socks * sizeof(arena.socks[0]) ? at / sizeof(arena.socks[0]) : NONE;
}

/* A kernel's function stores to a link or to a count: a step, if the link is one of a slot or of who is in a chain, or if it is
 * a socket's count.
 */
static void reference_store(const void *to)
{
	int i = is_writing ? index_within(to) : NONE;
	const struct hlist_nulls_node *node = i < 0 ? NULL : &arena.socks[i].sk.sk_nulls_node;

	if (!is_writing)
		return;
	if (node ? to == &arena.socks[i].sk.sk_refcnt || (to == &node->next && (node->pprev || in->socks[i].no_pprev)) ||
		   (is_udp() && is_udp_link(i, to)) :
	    is_in_chain(to))
		next_step();
}

static bool is_hashed(int i)
{
	return !hlist_nulls_unhashed(&arena.socks[i].sk.sk_nulls_node);
}

static struct sock_reuseport *group_of(struct sock *sk)
{
	return rcu_dereference_protected(sk->sk_reuseport_cb, 1);
}

/* net/core/sock_reuseport.c reuseport_detach_sock() of a member. */
static void reference_detach(struct sock *sk)
{
	next_step();
	if (__reuseport_detach_sock(sk, group_of(sk)))
		rcu_assign_pointer(sk->sk_reuseport_cb, NULL);
}

/* net/ipv4/inet_hashtables.c inet_unhash(): out of its group, and then out of its chain. */
static void take_out(int i)
{
	struct sock *sk = sock_at(i);

	if (now[i].hashed == HASHED_LHASH2 && group_of(sk))
		reference_detach(sk);
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
	of->dport = 0;
	__builtin_memset(of->daddr, 0, sizeof(of->daddr));
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

static void is_replaced(const struct event_record *event)
{
	inet_ehash_insert(sock_at(event->other), sock_at(event->sk), NULL);
}

static void is_rebound(const struct event_record *event)
{
	next_step();
	WRITE_ONCE(sock_at(event->sk)->sk_bound_dev_if, event->value);
}

static void sysctl_is_set(const struct event_record *event)
{
#ifdef CONFIG_NET_L3_MASTER_DEV
	struct net *net = net_at(in->packet.netns);

	next_step();
	if (is_udp())
		net->ipv4.sysctl_udp_l3mdev_accept = event->value;
	else
		net->ipv4.sysctl_tcp_l3mdev_accept = event->value;
#endif
}

static void is_detached(const struct event_record *event)
{
	next_step();
	rcu_assign_pointer(arena.groups[event->value].reuse.prog, NULL);
}

static void goes_on(const struct event_record *event)
{
}

static void (*const actions[])(const struct event_record *event) = {
	[ACTION_LEAVES] = leaves, [ACTION_REUSED] = is_reused, [ACTION_LISTENS] = listens, [ACTION_COMES] = comes,
	[ACTION_REPLACED] = is_replaced, [ACTION_REBOUND] = is_rebound, [ACTION_SYSCTL] = sysctl_is_set,
	[ACTION_DETACHED] = is_detached, [ACTION_GOES_ON] = goes_on,
};
