/* Drawn groups as a system can have them: the part of normalise.c that is about groups and their members. */

/* Sockets by their numbers, in the order of their slots. */
struct numbers {
	unsigned int count;
	int8_t numbers[MAX_SOCKS];
};

static void add(struct numbers *to, int number)
{
	to->numbers[to->count++] = number;
}

static void make_alike(struct scenario_record *s, const struct numbers *members)
{
	struct sock_record *first = &s->socks[members->numbers[0]];
	const struct place *key = plain.group_key;

	if (is_ipv6(first->rcv_saddr))
		first->ipv6only = 1;	/* a connected one need not be, but the others are bound */
	for (unsigned int i = 0; i < members->count; i++)
		if (s->socks[members->numbers[i]].hashed == HASHED_UDP)
			key = plain.udp_group_key;
	if (key == plain.udp_group_key)
		fit_members_address(first);	/* it may be in no table itself */
	for (unsigned int i = 1; i < members->count; i++) {
		struct sock_record *sock = &s->socks[members->numbers[i]];

		for (const struct place *place = key; place->size; place++)
			memcpy((char *)sock + place->offset, (const char *)first + place->offset, place->size);
		fit_family(sock);
		if (sock->hashed == HASHED_UDP)
			settle(sock);
	}
}

static bool has_conns(const struct scenario_record *s, const struct numbers *members, bool drawn)
{
	bool bound = false;

	for (unsigned int i = 0; i < members->count; i++) {
		const struct sock_record *sock = &s->socks[members->numbers[i]];

		if (sock->hashed == HASHED_UDP && !is_any(sock->daddr))
			return true;
		bound |= sock->protocol == IPPROTO_UDP && !is_wildcard(sock->rcv_saddr);
	}
	return bound && drawn;
}

/* Members in the order of the drawn slots, and then of their numbers. */
static void sort_by_slot(struct numbers *members, const struct group_record *group)
{
	unsigned int rank[MAX_SOCKS];

	if (members->count < 2)
		return;
	for (unsigned int i = 0; i < members->count; i++) {
		int number = members->numbers[i];
		unsigned int at = 0, to = i;

		while (at < group->n_slots && group->slots[at] != number)
			at++;
		if (at == group->n_slots)
			at += number;
		for (; to && rank[to - 1] > at; to--) {
			rank[to] = rank[to - 1];
			members->numbers[to] = members->numbers[to - 1];
		}
		rank[to] = at;
		members->numbers[to] = number;
	}
}

/* Whether a socket of UDP is still in its group: connect() from the wildcard has it leave. */
static bool stays(const struct sock_record *sock, const struct sock_record *first)
{
	return sock->hash2 == HASH2_BOUND && (is_any(sock->daddr) || !is_wildcard(first->rcv_saddr));
}

/* The live members of a group and the closed ones, at most so many; returns whether the only one never listened. Who cannot
 * be in it has no group any more.
 */
static bool find_members(struct scenario_record *s, int number, unsigned int most, struct numbers *live, struct numbers *closed)
{
	struct numbers connected = { 0 };
	int protocol = NONE;
	bool alone;

	for (int i = 0; i < s->n_socks; i++) {
		struct sock_record *sock = &s->socks[i];

		if (sock->group != number)
			continue;
		if (sock->hashed == HASHED_EHASH) {
			add(&connected, i);
		} else if (live->count + closed->count == most || (protocol != NONE && protocol != sock->protocol) ||
			   (sock->hashed == HASHED_UDP && !stays(sock, live->count ? &s->socks[live->numbers[0]] : sock))) {
			sock->group = NONE;
		} else {
			protocol = sock->protocol;
			add(protocol == IPPROTO_TCP && sock->hashed == HASHED_NOWHERE ? closed : live, i);
		}
	}
	alone = connected.count && !live->count && !closed->count;
	if (alone)
		add(live, connected.numbers[0]);
	for (unsigned int i = alone; i < connected.count; i++)
		s->socks[connected.numbers[i]].group = NONE;
	return alone;
}

/* The slots of a group: live members, slots that nobody uses, closed members. */
static void fill_slots(struct group_record *group, const struct numbers *live, const struct numbers *closed, unsigned int most)
{
	int8_t slots[MAX_SLOTS];
	unsigned int n_slots = live->count, last = most - closed->count;

	memcpy(slots, live->numbers, live->count);
	for (unsigned int i = group->num_socks; i < group->n_slots && n_slots < last; i++)
		if (!holds(live->numbers, live->count, group->slots[i]) && !holds(closed->numbers, closed->count, group->slots[i]))
			slots[n_slots++] = group->slots[i];
	memcpy(slots + n_slots, closed->numbers, closed->count);
	n_slots += closed->count;
	memcpy(group->slots, slots, n_slots);
	group->n_slots = n_slots;
}

/* The group of that number, whose members become alike in what they must have in common. */
static void reachable_group(struct scenario_record *s, int number)
{
	struct group_record *group = &s->groups[number];
	unsigned int most = s->n_socks <= format.socks ? format.slots : MAX_SLOTS;
	struct numbers live = { 0 }, closed = { 0 }, members;
	bool alone = find_members(s, number, most, &live, &closed);

	members = live;
	for (unsigned int i = 0; i < closed.count; i++)
		add(&members, closed.numbers[i]);
	if (members.count > 1)
		make_alike(s, &members);
	group->reuseport_id = number + 1;
	group->has_conns = has_conns(s, &members, group->has_conns);
	group->incoming_cpu = 0;
	for (unsigned int i = 0; i < members.count; i++)
		group->incoming_cpu += s->socks[members.numbers[i]].incoming_cpu >= 0;
	if (members.count)
		group->bind_inany = !alone && is_any(s->socks[members.numbers[0]].rcv_saddr);
	else
		group->prog = PROG_NONE;
	if (!holds(live.numbers, live.count, group->select))
		group->select = live.count && group->select != NONE ? live.numbers[group->select % live.count] : NONE;
	sort_by_slot(&live, group);
	sort_by_slot(&closed, group);
	fill_slots(group, &live, &closed, most);
	group->num_socks = live.count;
	group->num_closed_socks = closed.count;
}
