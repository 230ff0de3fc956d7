/* Whether the kernel's own functions put sockets where they belong: what no lookup reads of it is looked at here. */

static void note_misplaced(int object, int which, const char *member)
{
	if (out->written[0])
		return;
	out->written[0] = object;
	out->written[1] = which;
	__builtin_strncpy(out->written_member, member, sizeof(out->written_member) - 1);
}

static bool is_within(const void *from, const void *start, size_t n_bytes)
{
	return (const char *)from >= (const char *)start && (const char *)from + sizeof(void *) <= (const char *)start + n_bytes;
}

/* Whether a pointer points into a slot of a hash table, or into a socket. */
static bool is_in_chain(const void *from)
{
	for (unsigned int i = 0; i < N_HASH_TABLES; i++)
		if (is_within(from, hash_tables[i].now, 2 * hash_tables[i].one))
			return true;
	return is_within(from, arena.socks, sizeof(arena.socks));
}

/* A node's pprev points to the pointer that points to it, in a slot or in another socket. */
static void check_node(int i, const void *node, void *pprev, const char *name)
{
	if (pprev && (!is_in_chain(pprev) || *(void **)pprev != node))
		note_misplaced(WRITTEN_CHAIN, i, name);
}

static void check_chain(int i)
{
	const struct udp_sock *up = &arena.socks[i].udp;
	const struct hlist_nulls_node *node = &arena.socks[i].sk.sk_nulls_node;

	check_node(i, node, node->pprev, "pprev");
	if (!is_udp() || in->socks[i].hashed != HASHED_UDP)
		return;
	check_node(i, &up->udp_portaddr_node, up->udp_portaddr_node.pprev, "skc_portaddr_node");
#ifdef HAVE_HASH4
	check_node(i, &up->udp_lrpa_node, up->udp_lrpa_node.pprev, "udp_lrpa_node");
#endif
}

/* A group has its members in the places that the case says, and counts them. */
static void check_members(int i)
{
	const struct group_record *from = &in->groups[i];
	const struct sock_reuseport *reuse = &arena.groups[i].reuse;
	int closed_at = from->n_slots - from->num_closed_socks, room = MAX_SLOTS - from->n_slots;

	for (int j = 0; j < from->n_slots; j++)
		if (reuse->socks[j < closed_at ? j : room + j] != sock_at(from->slots[j]))
			note_misplaced(WRITTEN_MEMBERS, i, "socks");
	for (int j = closed_at; j < closed_at + room; j++)
		if (reuse->socks[j])
			note_misplaced(WRITTEN_MEMBERS, i, "socks");
	if (reuse->num_socks != from->num_socks || reuse->num_closed_socks != from->num_closed_socks)
		note_misplaced(WRITTEN_MEMBERS, i, "num_socks");
	if (reuse->incoming_cpu != from->incoming_cpu)
		note_misplaced(WRITTEN_MEMBERS, i, "incoming_cpu");
}

static void check_insertion(void)
{
	for (int i = 0; i < in->n_socks; i++)
		check_chain(i);
	for (int i = 0; i < in->n_groups && !in->hostile; i++)
		check_members(i);
}
