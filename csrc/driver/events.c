/* The events of a case: what another CPU does while the lookup runs, each at a visit of a point (enum point).
 *
 * Stubs that others can get between call reference_visit(). What is done there stands in writers.c.
 */

static u8 visits_left[MAX_EVENTS];
static bool is_racing;

static bool is_full(const struct sock_reuseport *reuse)
{
	return reuse->num_socks + reuse->num_closed_socks >= MAX_SLOTS;
}

/* Whether it can come about as things are by now: nothing happens to who is freed. */
static bool is_possible(const struct event_record *event)
{
	if ((event->sk >= 0 && out->freed >> event->sk & 1) || (event->other >= 0 && out->freed >> event->other & 1))
		return false;
	if (is_udp() && event->action != ACTION_COMES)
		return is_possible_of_udp(event);
	switch (event->action) {
	case ACTION_LEAVES:
		return is_hashed(event->sk);
	case ACTION_REUSED:
	case ACTION_LISTENS:
		return is_hashed(event->sk) && now[event->sk].hashed == HASHED_EHASH;
	case ACTION_COMES:
		return !is_hashed(event->sk) && !(event->value && is_full(&arena.groups[event->value - 1].reuse));
	case ACTION_REPLACED:
		return is_hashed(event->sk) && !is_hashed(event->other) && now[event->sk].hashed == HASHED_EHASH &&
		       now[event->sk].dport == now[event->other].dport;
	}
	return true;
}

static const struct event_record *begun;

static void write_begun(void)
{
	if (is_udp() && udp_actions[begun->action])
		udp_actions[begun->action](begun);
	else
		actions[begun->action](begun);
}

/* The other CPU has the word: who stands still goes on, and then comes an event, if it can. What they write is not the lookup's
 * doing.
 */
static void let_others(const struct event_record *event)
{
	uint32_t on = reference_mutant;
	struct sk_buff packet = kept.skb;	/* what becomes of it is looked at when the lookup is over: early demux has it half made */

	reference_mutant = 0;
	is_racing = false;
	is_writing = true;
	kept.skb = arena.skb;
	note_written();
	reference_goes_on();
	if (event && is_possible(event)) {
		out->fired |= 1ull << (event - in->events);
		begun = event;
		steps_left = event->steps ? event->steps : -1;
		if (event->steps)
			reference_start_writer(write_begun);
		else
			write_begun();
	}
	if (event)
		reference_step(0, event - in->events, out->fired >> (event - in->events) & 1, 0);
	spoil_nodes();
	keep_all();
	kept.skb = packet;
	is_writing = false;
	is_racing = true;
	reference_mutant = on;
}

static void reference_visit(int point, const void *of)
{
	if (!is_racing)
		return;
	for (int e = 0; e < in->n_events; e++) {
		const struct event_record *event = &in->events[e];

		if (event->point != point || !visits_left[e] || (event->at != NONE && event->at != index_within(of)) || --visits_left[e])
			continue;
		let_others(event);
	}
}

/* A number of 16 bits was read: that of a group's members is a point. */
static void reference_read_number(const void *from)
{
	if (!is_racing)
		return;
	for (int i = 0; i < in->n_groups; i++)
		if (from == &arena.groups[i].reuse.num_socks)
			reference_visit(POINT_MEMBERS, from);
}

static void start_race(void)
{
	reference_forget_writer();
	is_racing = in->n_events;
	if (!is_racing)
		return;
	__builtin_memcpy(now, in->socks, in->n_socks * sizeof(now[0]));
	__builtin_memset(later_progs, POISON, in->n_events * sizeof(later_progs[0]));
	for (int e = 0; e < in->n_events; e++)
		visits_left[e] = in->events[e].nth;
}

/* The lookup is over: who stands still goes on. */
static void end_race(void)
{
	if (is_racing)
		let_others(NULL);
	is_racing = false;
}
