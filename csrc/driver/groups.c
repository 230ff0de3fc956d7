/* Reuseport groups, and the program that each may have. */

/* What no kernel would have made of it. */
static void fill_members_as_said(struct sock_reuseport *reuse, const struct group_record *from)
{
	reuse->num_socks = from->num_socks;
	reuse->num_closed_socks = from->num_closed_socks;
	reuse->incoming_cpu = from->incoming_cpu;
	for (int j = 0; j < from->n_slots; j++)
		reuse->socks[j] = sock_at(from->slots[j]);
}

/* The kernel's own way into a group: it counts the members, and those that asked for a CPU. Closed ones have the last slots,
 * and each comes in front of those before it.
 */
static void add_members(struct sock_reuseport *reuse, const struct group_record *from)
{
	int closed_at = from->n_slots - from->num_closed_socks;

	reference_in_kernel++;
	for (int j = 0; j < from->num_socks; j++)
		__reuseport_add_sock(sock_at(from->slots[j]), reuse);
	for (int j = from->n_slots - 1; j >= closed_at; j--)
		__reuseport_add_closed_sock(sock_at(from->slots[j]), reuse);
	reference_in_kernel--;
	for (int j = from->num_socks; j < closed_at; j++)
		reuse->socks[j] = sock_at(from->slots[j]);	/* who left, and nobody came to that slot */
}

static void fill_group(int i)
{
	const struct group_record *from = &in->groups[i];
	struct sock_reuseport *reuse = &arena.groups[i].reuse;

	__builtin_memset(reuse, UNSET_BYTE, sizeof(arena.groups[i]));
	__builtin_memset(reuse->socks, 0, MAX_SLOTS * sizeof(reuse->socks[0]));
	reuse->num_socks = reuse->num_closed_socks = reuse->incoming_cpu = 0;
	reuse->prog = NULL;
	reuse->max_socks = MAX_SLOTS;
	reuse->reuseport_id = from->reuseport_id;
	reuse->bind_inany = from->bind_inany;
	reuse->has_conns = from->has_conns;
	if (in->hostile)
		fill_members_as_said(reuse, from);
	else
		add_members(reuse, from);
	if (from->prog != PROG_NONE) {
		bool filter = from->prog == PROG_FILTER;

		arena.group_progs[i] = (struct any_prog) {
			.prog.type = filter ? BPF_PROG_TYPE_SOCKET_FILTER : BPF_PROG_TYPE_SK_REUSEPORT,
			.prog.cb_access = from->cb_access,
			.prog.expected_attach_type = BPF_SK_REUSEPORT_SELECT,
			.run = filter ? run_filter : run_sk_reuseport,
			.sk = sock_at(from->select),
			.verdict = filter ? from->returns : from->verdict,
			.number = i,
		};
		reuse->prog = &arena.group_progs[i].prog;
	}
}
