/* A case is made of its record: knobs of stubs, tables, namespaces, groups, sockets, the packet. */

static void fill_case(void)
{
	reference_fuel = FUEL_OF_INSERTION;
	reference_cpu = in->cpu;
	reference_secret = in->hash_secret;
	reference_secret6 = in->hash_secret6;
#ifdef HAVE_INET_EHASH_SECRET
	/* Linux 6.9 on: a member of net_hotdata, from some 7.x on set when the first socket is hashed, which no lookup does. */
	inet_ehash_secret = in->hash_secret;
#endif
#ifdef HAVE_INET6_EHASH_SECRET
	inet6_ehash_secret = in->hash_secret;
#endif
#ifdef HAVE_TCP_IPV6_HASH_SECRET
	tcp_ipv6_hash_secret = in->hash_secret6;
#endif
#ifdef HAVE_UDP_EHASH_SECRET
	udp_ehash_secret = in->hash_secret;
#endif
#ifdef HAVE_UDP6_EHASH_SECRET
	udp6_ehash_secret = in->hash_secret;
#endif
#ifdef HAVE_UDP_IPV6_HASH_SECRET
	udp_ipv6_hash_secret = in->hash_secret6;
#endif
	__builtin_memset(&arena.prot, UNSET_BYTE, sizeof(arena.prot));
	arena.prot.h.hashinfo = NULL;
	reference_pull_fails = in->packet.pull_fails;
	reference_clone_fails = in->packet.clone_fails;
	bpf_sk_lookup_enabled.enabled = in->sk_lookup_enabled;
	reference_clones = reference_sections = 0;
	fill_tables();
	fill_udp_tables();
	for (int i = 0; i < in->n_netns; i++)
		if (IS_ENABLED(CONFIG_NET_NS) || i == in->packet.netns)
			fill_netns(i);
	allow(&arena, sizeof(arena));
	for (int i = 0; i < in->n_socks; i++)
		fill_sock(&arena.socks[i], &in->socks[i]);
	for (int i = 0; i < in->n_groups; i++)
		fill_group(i);
	plant(PLANTED_IN_TABLES);
	check_insertion();
	plant(PLANTED_IN_TABLES);	/* and what it was again */
	spoil_nodes();
	fill_packet();
}
