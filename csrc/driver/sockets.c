/* Sockets of all kinds: full, request and timewait. A new field of a socket is set here. */

static void fill_sock(union any_sock *any, const struct sock_record *from)
{
	struct sock *sk = &any->sk;

	__builtin_memset(any, POISON, sizeof(*any));
	__builtin_memset(&sk->__sk_common, 0, sizeof(sk->__sk_common));
	sk->sk_daddr = htonl(from->daddr);
	sk->sk_rcv_saddr = htonl(from->rcv_saddr);
	sk->sk_dport = htons(from->dport);
	sk->sk_num = from->num;
	sk->sk_family = from->family;
	sk->sk_state = from->state;
	sk->sk_reuseport = from->reuseport;
	sk->sk_ipv6only = from->ipv6only;
	sk->sk_bound_dev_if = from->bound_dev_if;
#ifdef CONFIG_NET_NS
	sk->sk_net.net = net_at(from->netns);
#endif
	sk->sk_incoming_cpu = from->incoming_cpu;
	refcount_set(&sk->sk_refcnt, from->refcnt);
	if (from->kind == KIND_REQUEST) {
		any->req.rsk_listener = sock_at(from->listener);
		any->req.syncookie = from->syncookie;
	} else if (from->kind == KIND_TIMEWAIT) {
		sk->sk_flags = ~0UL;	/* not flags there: a pointer lies at the same place */
		any->tw.tw_substate = from->state;
		any->tw.tw_family = from->family;
	} else {
		sk->sk_flags = from->rcu_free ? 1UL << SOCK_RCU_FREE : 0;
		sk->sk_protocol = from->protocol;
		sk->sk_reuseport_cb = from->group < 0 ? NULL : &arena.groups[from->group].reuse;
	}
	hash_sock(sk, from);
}
