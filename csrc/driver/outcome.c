/* What the lookup left behind: the socket, the sk_buff, counts and listeners, and what programs were shown. */

static int destructor_of(const struct sk_buff *skb)
{
	return !skb->destructor ? DESTRUCTOR_NONE :
		skb->destructor == sock_pfree ? DESTRUCTOR_PFREE :
		skb->destructor == sock_edemux ? DESTRUCTOR_EDEMUX :
		skb->destructor == other_destructor ? DESTRUCTOR_OTHER : FOREIGN;
}

static int data_offset(const struct sk_buff *skb)
{
	return skb->data - arena.data - HEADROOM;
}

/* How many bytes of a packet that a program saw are not those that came in, besides what the Outcome tells by name. */
static int other_bytes(const struct sk_buff *seen)
{
	struct sk_buff one = *seen;
	const unsigned char *now = (const unsigned char *)&one, *before = (const unsigned char *)&kept.skb;
	int count = 0;

	one.sk = kept.skb.sk;
	one.destructor = kept.skb.destructor;
	one.data = kept.skb.data;
	one.len = kept.skb.len;
	one.data_len = kept.skb.data_len;
	one.users = kept.skb.users;
	__builtin_memcpy(one.cb, kept.skb.cb, sizeof(one.cb));
	for (size_t i = 0; i < sizeof(one); i++)
		count += now[i] != before[i];
	return count;
}

static void read_seen(const struct glimpse *seen, struct shown_record *shown)
{
	const struct bpf_sk_lookup_kern *lookup = &seen->lookup;
	const struct sk_reuseport_kern *reuse = &seen->selection;
	int64_t *args = shown->args;

	if (seen->any->run == run_sk_lookup) {
		shown->program = SHOWN_SK_LOOKUP;
		args[0] = seen->any->netns;
		args[1] = seen->any->number;
		args[2] = lookup->family;
		args[3] = lookup->protocol;
		args[4] = ntohl(lookup->v4.saddr);
		args[5] = ntohs(lookup->sport);
		args[6] = ntohl(lookup->v4.daddr);
		args[7] = lookup->dport;
		args[8] = (int)lookup->ingress_ifindex;
		args[9] = index_of(lookup->selected_sk);
		args[10] = lookup->no_reuseport;
		args[11] = lookup->v6.saddr || lookup->v6.daddr;
	} else if (seen->any->run == run_filter) {
		shown->program = SHOWN_FILTER;
		args[0] = seen->any->number;
		args[1] = seen->clone;
		args[2] = data_offset(&seen->skb);
		args[3] = seen->skb.len;
		args[4] = seen->skb.data_len;
		args[5] = 0;
		for (unsigned int i = 0; i < sizeof(seen->skb.cb); i++)
			args[5] += seen->skb.cb[i] != 0;
		args[6] = other_bytes(&seen->skb);
	} else {
		shown->program = SHOWN_SK_REUSEPORT;
		args[0] = seen->any->number;
		args[1] = index_of(reuse->sk);
		args[2] = reuse->hash;
		args[3] = reuse->reuseport_id;
		args[4] = reuse->bind_inany;
		args[5] = index_of(reuse->selected_sk);
		args[6] = index_of(reuse->migrating_sk);
		args[7] = reuse->skb == &arena.skb;
		args[8] = (unsigned char *)reuse->data_end - (arena.data + HEADROOM);
	}
}

static void read_outcome(const struct sock *sk)
{
	const struct sk_buff *skb = &arena.skb;

	note_written();
	out->sk = index_of(sk);
	out->skb_sk = index_of(skb->sk);
	out->destructor = destructor_of(skb);
	out->skb_data = data_offset(skb);
	out->skb_len = skb->len;
	out->skb_data_len = skb->data_len;
	out->skb_users = refcount_read(&skb->users);
	out->clones = reference_clones;
	out->sections = reference_sections;
	out->skb_cb = 0;
	for (unsigned int i = 0; i < sizeof(skb->cb); i++)
		out->skb_cb += skb->cb[i] != POISON;
	for (unsigned int i = 0; i < out->n_shown; i++)
		read_seen(&seen[i], &out->shown[i]);
	for (int i = 0; i < in->n_socks; i++) {
		out->refcnt[i] = refcount_read(&arena.socks[i].sk.sk_refcnt);
		out->listener[i] = in->socks[i].kind == KIND_REQUEST && !(out->freed & 1u << i) ?
			index_of(arena.socks[i].req.rsk_listener) : NONE;
	}
}
