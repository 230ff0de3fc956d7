/* What another CPU does while the lookup runs. */

/* Another CPU, right after the lookup took a reference: it does this once to each socket. Returns 1. */
static int reference_race(const void *counter)
{
	uint32_t on = reference_mutant;

	reference_mutant = 0;
	for (int i = 0; i < in->n_socks; i++) {
		struct sock_record next = in->socks[i];
		struct sock *sk = &arena.socks[i].sk;
		int count = refcount_read(&sk->sk_refcnt);

		if (counter != &sk->sk_refcnt || next.race == RACE_STAYS || raced & 1ull << i)
			continue;
		raced |= 1ull << i;
		note_written();
		hlist_nulls_del_init_rcu(&sk->sk_nulls_node);
		if (next.race == RACE_LEAVES && count > 0)
			refcount_set(&sk->sk_refcnt, count - 1);
		if (next.race == RACE_REUSED) {
			next.dport ^= 1;
			next.hash_kind = HASH_OWN;
			sk->sk_dport = htons(next.dport);
			hash_sock(sk, &next);
		}
		spoil_nodes();
		keep_all();
	}
	reference_mutant = on;
	return 1;
}
