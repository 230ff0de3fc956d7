/* UDP's hash tables: by port (hash), by port and address (hash2), and by both ends of a connection (hash4, Linux 6.13 on).
 *
 * Sockets come into them by the kernel's own bind(), rehash() and connect().
 */

static struct udp_hslot udp_hash[2][MAX_TABLE + BEHIND];
static typeof(*((struct udp_table *)0)->hash2) udp_hash2[2][MAX_TABLE + BEHIND];
#ifdef HAVE_HASH4
static struct udp_hslot udp_hash4[2][MAX_TABLE + BEHIND];
#endif

/* The tables of a namespace. Before Linux 6.2 there is one for all. */
static struct udp_table *udp_table_at(int netns)
{
#ifdef HAVE_NET_UDP_TABLE
	return net_at(netns)->ipv4.udp_table;
#else
	return &udp_table;
#endif
}

static struct udp_table *udp_table_of_caller(void)
{
	struct udp_table *own = udp_table_at(in->packet.netns);

	return !in->foreign_hashinfo ? own : own == &arena.udp_tables[1] ? &arena.udp_tables[0] : &arena.udp_tables[1];
}

static void fill_udp_tables(void)
{
	__builtin_memset(arena.udp_tables, UNSET_BYTE, sizeof(arena.udp_tables));
	if (!is_udp())
		return;
	for (int t = 0; t < 2; t++) {
		arena.udp_tables[t].hash = udp_hash[t];
		arena.udp_tables[t].hash2 = udp_hash2[t];
		arena.udp_tables[t].mask = in->udp_size - 1;
		__builtin_memset(udp_hash[t], 0, in->udp_size * sizeof(udp_hash[t][0]));
		__builtin_memset(udp_hash2[t], 0, in->udp_size * sizeof(udp_hash2[t][0]));
		__builtin_memset(&udp_hash[t][in->udp_size], POISON, BEHIND * sizeof(udp_hash[t][0]));
		__builtin_memset(&udp_hash2[t][in->udp_size], POISON, BEHIND * sizeof(udp_hash2[t][0]));
#ifdef HAVE_HASH4
		arena.udp_tables[t].hash4 = udp_hash4[t];
		__builtin_memset(udp_hash4[t], 0, in->udp_size * sizeof(udp_hash4[t][0]));
		for (u32 i = 0; i < in->udp_size; i++)
			INIT_HLIST_NULLS_HEAD(&udp_hash4[t][i].nulls_head, (i ^ in->ehash_nulls_xor));
		__builtin_memset(&udp_hash4[t][in->udp_size], POISON, BEHIND * sizeof(udp_hash4[t][0]));
#endif
	}
#ifndef HAVE_NET_UDP_TABLE
	udp_table = arena.udp_tables[0];
	arena.prot.h.udp_table = &udp_table;
#endif
}

/* A socket's own address, or the wildcard, which it has until connect() gives it one. */
static void set_udp_address(struct sock *sk, const struct sock_record *from, bool wildcard)
{
	static const uint8_t none[ADDRESS_BYTES];
	const uint8_t *address = wildcard ? none : from->rcv_saddr;

	sk->sk_rcv_saddr = ipv4_view(from, address);
#if IS_ENABLED(CONFIG_IPV6)
	if (from->family == AF_INET6)
		__builtin_memcpy(&sk->sk_v6_rcv_saddr, address, sizeof(sk->sk_v6_rcv_saddr));
#endif
}

static bool has_ipv6_functions(const struct sock_record *from)
{
	return IS_ENABLED(CONFIG_IPV6) && from->family == AF_INET6;
}

/* Its nodes are in no chain as yet. */
static void keep_out(union any_sock *any)
{
	__builtin_memset(&any->udp.udp_portaddr_node, 0, sizeof(any->udp.udp_portaddr_node));
#ifdef HAVE_HASH4
	__builtin_memset(&any->udp.udp_lrpa_node, 0, sizeof(any->udp.udp_lrpa_node));
#endif
}

/* Into its chains as bind() and connect() do it. */
static void hash_udp_sock(union any_sock *any, const struct sock_record *from)
{
	struct sock *sk = &any->sk;
	struct sock_reuseport *group = sk->sk_reuseport_cb;

	if (!is_udp() || from->hashed != HASHED_UDP)
		return;
	sk->sk_reuseport_cb = NULL;	/* groups are as the case says */
	sk->sk_reuseport = from->reuseport != from->reuseport_changed;
	set_udp_address(sk, from, from->hash2 != HASH2_BOUND);
	refcount_set(&sk->sk_refcnt, 1);
	reference_in_kernel++;
#ifdef HAVE_UDP6
	if (has_ipv6_functions(from)) {
		udp_v6_get_port(sk, from->num);
		set_udp_address(sk, from, false);
		if (from->hash2 == HASH2_REHASHED)
			udp_v6_rehash(sk);
	} else
#endif
	{
		udp_v4_get_port(sk, from->num);
		set_udp_address(sk, from, false);
		if (from->hash2 == HASH2_REHASHED)
			udp_v4_rehash(sk);
	}
#ifdef HAVE_HASH4
	if (from->state == TCP_ESTABLISHED && from->hash2 != HASH2_STALE) {
#ifdef HAVE_UDP6
		if (has_ipv6_functions(from))
			udp6_hash4(sk);
		else
#endif
			udp4_hash4(sk);
	}
#endif
	reference_in_kernel--;
	sk->sk_reuseport = from->reuseport;
	sk->sk_reuseport_cb = group;
	sk->sk_flags = from->rcu_free ? 1UL << SOCK_RCU_FREE : 0;
	refcount_set(&sk->sk_refcnt, from->refcnt);
}
