/* Sockets of all kinds: full, request and timewait. A new field of a socket is set here. */

/* What is not a socket's own: between the head that all kinds share and its own members, and behind those. */
#define OWN_AT(type) (offsetof(type, apart__) + sizeof(((type *)0)->apart__))
_Static_assert(sizeof(struct inet_timewait_sock) <= OWN_AT(struct request_sock), "own members overlap: _APART of emit.py");
_Static_assert(sizeof(struct request_sock) <= OWN_AT(struct sock), "own members overlap: _APART of emit.py");

/* A socket of UDP has members of its own behind those of any other. */
enum { KIND_UDP = KIND_TIMEWAIT + 1 };

static const struct {
	size_t own, end;
} extents[] = {
	[KIND_FULL] = { OWN_AT(struct sock), sizeof(struct sock) },
	[KIND_REQUEST] = { OWN_AT(struct request_sock), sizeof(struct request_sock) },
	[KIND_TIMEWAIT] = { OWN_AT(struct inet_timewait_sock), sizeof(struct inet_timewait_sock) },
	[KIND_UDP] = { OWN_AT(struct sock), sizeof(struct udp_sock) },
};

/* With AddressSanitizer: nobody may touch what is not the socket's own, while the kernel's functions run. */
static void forbid_strange_memory(union any_sock *any, const struct sock_record *from)
{
	size_t head = sizeof(struct sock_common);
	int kind = from->kind == KIND_FULL && from->protocol == IPPROTO_UDP ? KIND_UDP : from->kind;

	forbid((char *)any + head, extents[kind].own - head);
	forbid((char *)any + extents[kind].end, sizeof(*any) - extents[kind].end);
}

/* What a socket has as its peer's IPv4 address. UDP's connect() to an address of IPv6 writes none (net/ipv6/datagram.c). */
static __be32 ipv4_peer(const struct sock_record *from)
{
	return from->protocol == IPPROTO_UDP && !has_ipv4(from, from->daddr) ? 0 : ipv4_view(from, from->daddr);
}

static void fill_sock(union any_sock *any, const struct sock_record *from)
{
	struct sock *sk = &any->sk;

	allow(any, sizeof(*any));
	__builtin_memset(any, POISON, sizeof(*any));
	__builtin_memset(&sk->__sk_common, UNSET_BYTE, sizeof(sk->__sk_common));
	__builtin_memset(&sk->sk_nulls_node, 0, sizeof(sk->sk_nulls_node));
	sk->sk_daddr = ipv4_peer(from);
	sk->sk_rcv_saddr = ipv4_view(from, from->rcv_saddr);
	sk->sk_dport = htons(from->dport);
	sk->sk_num = from->num;
	sk->sk_family = from->family;
#if IS_ENABLED(CONFIG_IPV6)
	if (from->kind == KIND_FULL) {	/* zeros, as sk_alloc() leaves them to AF_INET */
		__builtin_memset(&sk->sk_v6_daddr, 0, sizeof(sk->sk_v6_daddr));
		__builtin_memset(&sk->sk_v6_rcv_saddr, 0, sizeof(sk->sk_v6_rcv_saddr));
	}
	if (from->family == AF_INET6) {
		__builtin_memcpy(&sk->sk_v6_daddr, from->daddr, sizeof(sk->sk_v6_daddr));
		__builtin_memcpy(&sk->sk_v6_rcv_saddr, from->rcv_saddr, sizeof(sk->sk_v6_rcv_saddr));
	}
#endif
	sk->sk_ipv6only = from->ipv6only;
	sk->sk_bound_dev_if = from->bound_dev_if;
	sk->sk_prot = &arena.prot;
#ifdef CONFIG_NET_NS
	sk->sk_net.net = net_at(from->netns);
#endif
	sk->sk_incoming_cpu = from->incoming_cpu;
	sk->sk_state = from->state;
	sk->sk_reuseport = from->reuseport;
	refcount_set(&sk->sk_refcnt, from->refcnt);
	if (from->kind == KIND_REQUEST) {
		any->req.rsk_listener = sock_at(from->listener);
		any->req.syncookie = from->syncookie;
	} else if (from->kind == KIND_TIMEWAIT) {
		sk->sk_flags = ~0UL;	/* not flags there: a pointer lies at the same place */
		any->tw.tw_substate = from->state;
		any->tw.tw_family = from->family;
	} else {
		/* Of a listener inet_hash() sets it, where TCP's tables are there. */
		sk->sk_flags = from->rcu_free && (from->hashed != HASHED_LHASH2 || is_udp()) ? 1UL << SOCK_RCU_FREE : 0;
		sk->sk_protocol = from->protocol;
		sk->sk_reuseport_cb = from->group < 0 ? NULL : &arena.groups[from->group].reuse;
		/* Who has got a packet may have its CPU and its route: net/ipv4/udp.c __udp_queue_rcv_skb(), udp_sk_rx_dst_set(). */
		sk->sk_rx_dst = from->incoming_cpu < 0 ? NULL : &arena.route.dst;
	}
	if (is_udp())
		sk->sk_hash = 0;	/* the same place has the port by which UDP's tables know a socket, if they have it */
	if (is_udp() && from->hashed == HASHED_UDP)
		keep_out(any);
	if (!in->n_events || !comes_later(index_of(sk))) {
		hash_sock(sk, from);
		hash_udp_sock(any, from);
	}
	forbid_strange_memory(any, from);
}
