/* The hash tables: empty ones, and how a socket comes into its chain. */

static void fill_tables(void)
{
	__builtin_memset(arena.tables, UNSET_BYTE, sizeof(arena.tables));
	if (is_udp())
		return;
	for (int t = 0; t < 2; t++) {
		arena.tables[t].ehash = ehash[t];
		arena.tables[t].ehash_mask = in->ehash_size - 1;
		arena.tables[t].lhash2 = lhash2[t];
		arena.tables[t].lhash2_mask = in->lhash2_size - 1;
		for (u32 i = 0; i < in->ehash_size; i++)
			INIT_HLIST_NULLS_HEAD(&ehash[t][i].chain, (i ^ in->ehash_nulls_xor));
		for (u32 i = 0; i < in->lhash2_size; i++)
			INIT_HLIST_NULLS_HEAD(&lhash2[t][i].nulls_head, i + LISTENING_NULLS_BASE);
		__builtin_memset(&ehash[t][in->ehash_size], POISON, BEHIND * sizeof(ehash[t][0]));
		__builtin_memset(&lhash2[t][in->lhash2_size], POISON, BEHIND * sizeof(lhash2[t][0]));
	}
}

static u32 hash_of_packet(void)
{
	const struct packet_record *p = &in->packet;

#ifdef HAVE_TCP6
	if (is_ipv6())
		return inet6_ehashfn(net_at(p->netns), (const struct in6_addr *)p->daddr, p->dport,
				     (const struct in6_addr *)p->saddr, htons(p->sport));
#endif
	return inet_ehashfn(net_at(p->netns), low_word(p->daddr), p->dport, low_word(p->saddr), htons(p->sport));
}

/* Into its chain, as the kernel does it: inet_ehash_insert() for what has a connection, inet_hash() for who listens. In the
 * chain of the packet whatever its addresses are: as another socket with the same hash would be.
 */
static void hash_sock(struct sock *sk, const struct sock_record *from)
{
	struct inet_hashinfo *table = net_at(from->netns)->ipv4.tcp_death_row.hashinfo;

	if (is_udp())
		return;	/* see udp_tables.c */
	if (from->hashed == HASHED_EHASH && from->hash_kind == HASH_PACKET) {
		sk->sk_hash = hash_of_packet();
		__sk_nulls_add_node_rcu(sk, &inet_ehash_bucket(table, sk->sk_hash)->chain);
	} else if (from->hashed == HASHED_EHASH) {
		reference_in_kernel++;
		inet_ehash_insert(sk, NULL, NULL);
		reference_in_kernel--;
		sk->sk_hash ^= from->hash_kind == HASH_WRONG;
	} else if (from->hashed == HASHED_LHASH2) {
		sk->sk_state = TCP_LISTEN;
		sk->sk_reuseport = from->reuseport != from->reuseport_changed;
		reference_in_kernel++;
		inet_hash(sk);
		reference_in_kernel--;
		sk->sk_state = from->state;
		sk->sk_reuseport = from->reuseport;
		if (!from->rcu_free)
			sk->sk_flags = 0;
	}
}

/* Once all are in their places: who comes or goes writes its neighbour's pprev. */
static void spoil_nodes(void)
{
	for (int i = 0; i < in->n_socks; i++)
		if (in->socks[i].no_pprev)
			arena.socks[i].sk.sk_nulls_node.pprev = NULL;
}
