/* Reuseport groups, and the program that each may have. */

static void fill_group(int i)
{
	const struct group_record *from = &in->groups[i];
	struct sock_reuseport *reuse = &arena.groups[i].reuse;

	__builtin_memset(reuse, 0, sizeof(arena.groups[i]));
	reuse->max_socks = MAX_SLOTS;
	reuse->num_socks = from->num_socks;
	reuse->num_closed_socks = from->num_closed_socks;
	reuse->incoming_cpu = from->incoming_cpu;
	reuse->reuseport_id = from->reuseport_id;
	reuse->bind_inany = from->bind_inany;
	for (int j = 0; j < from->n_slots; j++)
		reuse->socks[j] = sock_at(from->slots[j]);
	if (from->prog != PROG_NONE) {
		bool filter = from->prog == PROG_FILTER;

		arena.group_progs[i] = (struct any_prog) {
			.prog.type = filter ? BPF_PROG_TYPE_SOCKET_FILTER : BPF_PROG_TYPE_SK_REUSEPORT,
			.prog.cb_access = from->cb_access,
			.run = filter ? run_filter : run_sk_reuseport,
			.sk = sock_at(from->select),
			.verdict = filter ? from->returns : from->verdict,
			.number = i,
		};
		reuse->prog = &arena.group_progs[i].prog;
	}
}
