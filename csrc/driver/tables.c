/* The hash tables: empty ones, and how a socket comes into its chain. */

static void fill_tables(void)
{
	for (int t = 0; t < 2; t++) {
		tables[t].ehash = ehash[t];
		tables[t].ehash_mask = in->ehash_size - 1;
		tables[t].lhash2 = lhash2[t];
		tables[t].lhash2_mask = in->lhash2_size - 1;
		for (u32 i = 0; i < in->ehash_size; i++)
			INIT_HLIST_NULLS_HEAD(&ehash[t][i].chain, (i ^ in->ehash_nulls_xor));
		for (u32 i = 0; i < in->lhash2_size; i++)
			INIT_HLIST_NULLS_HEAD(&lhash2[t][i].nulls_head, i + LISTENING_NULLS_BASE);
	}
}

static u32 hash_of_packet(void)
{
	const struct packet_record *p = &in->packet;

	return inet_ehashfn(net_at(p->netns), htonl(p->daddr), p->dport, htonl(p->saddr), htons(p->sport));
}

/* The mark that the end of a chain carries belongs to the slot: insertion is the kernel's own. */
static void hash_sock(struct sock *sk, const struct sock_record *from)
{
	struct net *net = net_at(from->netns);
	struct inet_hashinfo *table = net->ipv4.tcp_death_row.hashinfo;
	u32 hash;

	if (from->hashed == HASHED_EHASH) {
		hash = from->hash_kind == HASH_PACKET ? hash_of_packet() :
			inet_ehashfn(net, sk->sk_rcv_saddr, sk->sk_num, sk->sk_daddr, sk->sk_dport);
		sk->sk_hash = hash ^ (from->hash_kind == HASH_WRONG);
		__sk_nulls_add_node_rcu(sk, &inet_ehash_bucket(table, hash)->chain);
	} else if (from->hashed == HASHED_LHASH2) {
		struct hlist_nulls_head *head;

		/* An AF_INET6 socket is bound to :: or to a mapped address: ipv6_portaddr_hash() then gives this too. */
		hash = ipv4_portaddr_hash(net, sk->sk_rcv_saddr, sk->sk_num);
		head = &inet_lhash2_bucket(table, hash)->nulls_head;
		if (IS_ENABLED(CONFIG_IPV6) && sk->sk_reuseport && sk->sk_family == AF_INET6)
			__sk_nulls_add_node_tail_rcu(sk, head);
		else
			__sk_nulls_add_node_rcu(sk, head);
	}
}

/* Once all are in their places: who comes or goes writes its neighbour's pprev. */
static void spoil_nodes(void)
{
	for (int i = 0; i < in->n_socks; i++)
		if (in->socks[i].no_pprev)
			arena.socks[i].sk.sk_nulls_node.pprev = NULL;
}
