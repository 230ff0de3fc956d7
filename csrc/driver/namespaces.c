/* Network namespaces, with their sysctls, hash tables and sk_lookup programs. */

static void fill_netns(int i)
{
	const struct netns_record *from = &in->netns[i];
	struct net *net = net_at(i);
	struct bpf_prog_array *array = &arena.arrays[i].array;

	__builtin_memset(net, UNSET_BYTE, sizeof(*net));
	__builtin_memset(&arena.devices[i], UNSET_BYTE, sizeof(arena.devices[i]));
	net->hash_mix = from->hash_mix;
#ifdef CONFIG_NET_L3_MASTER_DEV
	net->ipv4.sysctl_tcp_l3mdev_accept = from->tcp_l3mdev_accept;
	net->ipv4.sysctl_udp_l3mdev_accept = from->udp_l3mdev_accept;
#endif
	net->ipv4.sysctl_tcp_migrate_req = 0;
	net->ipv4.tcp_death_row.hashinfo = &arena.tables[from->own_hashinfo];
#ifdef HAVE_NET_UDP_TABLE
	net->ipv4.udp_table = &arena.udp_tables[from->own_hashinfo];
#endif
	arena.devices[i].ifindex = in->packet.skb_iif;
	for (int j = 0; j < from->n_progs; j++) {
		const struct program_record *prog = &from->progs[j];

		arena.progs[i][j] = (struct any_prog) {
			.prog.type = BPF_PROG_TYPE_SK_LOOKUP,
			.run = run_sk_lookup,
			.sk = sock_at(prog->assign),
			.verdict = prog->verdict,
			.assigns = prog->assign != LEAVE,
			.no_reuseport = prog->no_reuseport,
			.netns = i,
			.number = j,
		};
		array->items[j].prog = &arena.progs[i][j].prog;
	}
	array->items[from->n_progs].prog = NULL;
	net->bpf.run_array[NETNS_BPF_SK_LOOKUP] = from->run_array ? array : NULL;
#ifdef CONFIG_NET_NS
	arena.devices[i].nd_net.net = net;
#endif
}
